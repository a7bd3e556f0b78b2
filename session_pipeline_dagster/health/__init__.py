"""Is what lands processed? Rules over what a look finds, and when someone is told."""
