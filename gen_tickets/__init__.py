"""gen_tickets: lottery tickets in deep generative models, in JAX and Flax."""

__version__ = "0.1.0"
