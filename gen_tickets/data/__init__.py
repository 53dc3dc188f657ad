"""Data sets: readers, decoding, batch order, resident and streamed pipelines."""
