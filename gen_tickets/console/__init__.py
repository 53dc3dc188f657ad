"""What a person reads while a run works: header, progress bar, rounds, verdict."""
