"""What usage costs, what was billed, and what a budget says."""
