"""Faults done to small experiments, again and again; see `__main__`."""
