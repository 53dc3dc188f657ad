"""Benchmark of an accelerator in ten minutes; see `__main__`."""
