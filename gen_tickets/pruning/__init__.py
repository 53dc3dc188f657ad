"""Saliency, selection, masks."""
