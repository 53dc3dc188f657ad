"""Convolutions that XLA compiles well on every platform."""
