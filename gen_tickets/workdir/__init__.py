"""Files of a run: tables, tickets, checkpoints, events and their paths."""
