"""Knowledge of other programs, taken over: how it lies there, and what it is here."""
