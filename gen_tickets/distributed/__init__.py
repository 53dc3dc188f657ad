"""Distributed training: device meshes, several processes, memory planning."""
