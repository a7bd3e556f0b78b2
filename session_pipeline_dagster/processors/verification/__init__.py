"""The `verification` processor: what people corrected, confirmed and defined, as they said it."""
