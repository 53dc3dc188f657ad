"""Kernels: convolutions and pools in forms that XLA compiles well on every platform."""
