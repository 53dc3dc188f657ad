"""Evaluation: quality of samples and reconstructions, and cost in FLOPs."""
