"""How does Dagster run it? Gather, call the core, phrase the answer; nothing is decided here."""
