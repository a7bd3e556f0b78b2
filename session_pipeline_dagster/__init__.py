"""Coding-agent session transcripts, turned into trusted data by Dagster."""
