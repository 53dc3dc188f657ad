"""Trained networks as PyTorch modules."""
