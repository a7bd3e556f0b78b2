"""Makes `weights.json` out of labelled turns; users do not install it."""
