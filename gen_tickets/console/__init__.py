"""Terminal output of a run: progress bar, rounds, verdict, signals."""
