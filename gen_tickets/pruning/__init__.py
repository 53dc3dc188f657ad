"""Pruning: saliencies, selection and masks."""
