"""The Dagster edge: gather, call the core, phrase the answer. No decision is made here."""
