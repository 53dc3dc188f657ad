"""Faults done to small experiments, again and again; see `__main__`."""

import os

# Before JAX is imported: a restart then compiles nothing, however small.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
