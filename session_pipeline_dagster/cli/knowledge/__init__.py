"""`session-pipeline knowledge`: what was learned, decided about and handed on."""
