"""Export of trained networks as PyTorch modules."""
