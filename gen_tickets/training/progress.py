"""One line that says how far a long work is, and how long it will take still."""

import sys
import time


def duration(seconds: float) -> str:
    """41 -> "41s", 125 -> "2m05s", 7400 -> "2h03m"."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole // 60 % 60:02d}m"


class Progress:
    """Writes to stderr: the same line again on a terminal, else one now and then."""

    def __init__(self, stream=None, every_seconds: float = 10.0):
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._every = 0.2 if self._terminal else every_seconds
        self._last = -float("inf")
        self._width = 0

    def show(self, line: str) -> None:
        """Shows a passing line, unless one was shown a moment ago."""
        now = time.monotonic()
        if now - self._last < self._every:
            return
        self._last = now
        if self._terminal:
            self._stream.write("\r" + line.ljust(self._width))
            self._width = len(line)
        else:
            self._stream.write(line + "\n")
        self._stream.flush()

    def say(self, line: str) -> None:
        """Writes a line that stays."""
        if self._terminal and self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._width = 0
        self._stream.write(line + "\n")
        self._stream.flush()
