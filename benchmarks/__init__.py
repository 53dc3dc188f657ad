"""Benchmarks and long tests; results/ has their results with hardware and versions."""
