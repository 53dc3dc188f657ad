"""Standard streams that outlast their readers.

`| head` closes its end of a pipe, and a terminal may be closed: what a run still says
is then lost, but the run goes on and saves.
"""

import contextlib
import io
import sys
from typing import Any


class _Lasting(io.FileIO):
    """A file that takes what it cannot write."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def outlast_readers() -> None:
    """Replaces this process's stdout and stderr, unless somebody else has done so."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or stream is not getattr(sys, f"__{name}__"):
            continue
        with contextlib.suppress(OSError, ValueError):  # it has no file below it
            stream.flush()
            raw = _Lasting(stream.fileno(), "w", closefd=False)
            lasting = io.TextIOWrapper(
                io.BufferedWriter(raw),
                encoding=stream.encoding,
                # An ASCII locale has no "±".
                errors="backslashreplace",
                line_buffering=True,
            )
            setattr(sys, name, lasting)
