"""Usage in the words of other programs: ccusage, FOCUS, Prometheus."""
