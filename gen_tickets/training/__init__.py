"""Training: its state, the compiled loop, and the driver that runs it."""
