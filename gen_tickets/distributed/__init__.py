"""Device meshes, several processes, memory planning."""
