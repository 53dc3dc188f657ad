"""Standard streams that stay usable after their readers have closed.

`| head` closes its end of a pipe, and a terminal may be closed: later output is then
lost, but the run continues and saves.
"""

import contextlib
import io
import sys
from typing import Any


class _Lasting(io.FileIO):
    """A file that discards what it cannot write."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def outlast_readers() -> None:
    """Replaces this process's stdout and stderr, unless they are already replaced."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or stream is not getattr(sys, f"__{name}__"):
            continue
        with contextlib.suppress(OSError, ValueError):  # it is not backed by a file
            stream.flush()
            raw = _Lasting(stream.fileno(), "w", closefd=False)
            lasting = io.TextIOWrapper(
                io.BufferedWriter(raw),
                encoding=stream.encoding,
                # An ASCII locale cannot encode "±".
                errors="backslashreplace",
                line_buffering=True,
            )
            setattr(sys, name, lasting)
