"""Permanent lines with a progress bar below them, on stderr.

On a terminal, rich redraws the bar in place, at any width. In a file or a pipe, a line
with the same state is written every `LOG_SECONDS`, even while a compilation blocks the
main thread.
"""

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

LOG_SECONDS = 30.0
_REDRAWN_A_SECOND = 5
_MIN_BAR, _MAX_BAR = 10, 40  # characters
_SPINNER, _ASCII_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"

Span = tuple[str, str]  #: (text, rich style; "" = plain)


class Progress(NamedTuple):
    """The progress of a piece of work."""

    title: str
    done: int = 0
    total: int = 0  #: 0: unknown
    unit: str = "step"
    details: tuple[str, ...] = ()  #: most important first
    seconds_left: float | None = None

    def parts(self) -> list[str]:
        """Everything except the title and the bar, most important first."""
        found = [f"{self.unit} {self.done}/{self.total}"] if self.total else []
        if self.seconds_left is not None:
            found.append(f"{duration(self.seconds_left)} left")
        return [*found, *self.details]


def duration(seconds: float) -> str:
    """41 -> "41s", 125 -> "2m05s", 7400 -> "2h03m"."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole // 60 % 60:02d}m"


def log_line(progress: Progress) -> str:
    """The progress as a log line."""
    return "  ".join([progress.title, *progress.parts()])


def bar_line(progress: Progress, width: int, ascii_only: bool = False) -> list[Span]:
    """The progress as a terminal line, never wider than the terminal.

    Args:
      progress: the progress.
      width: columns of the terminal.
      ascii_only: whether the terminal has no line-drawing characters.
    """
    bar_width = _MIN_BAR if progress.total else 0
    kept: list[str] = []
    used = len(progress.title) + 2 + bar_width
    for part in progress.parts():
        if used + 2 + len(part) >= width:
            break
        kept.append(part)
        used += 2 + len(part)
    if progress.total:
        bar_width = min(bar_width + max(width - used - 1, 0), _MAX_BAR)
    spans: list[Span] = [(progress.title[: width - 1], "bold")]
    if progress.total and bar_width + len(progress.title) + 2 < width:
        share = min(progress.done / progress.total, 1.0)
        full = round(share * bar_width)
        full_mark, rest_mark = ("#", "-") if ascii_only else ("━", "━")
        spans += [("  ", ""), (full_mark * full, "cyan")]
        spans.append((rest_mark * (bar_width - full), "bright_black"))
    for i, part in enumerate(kept):
        style = "" if progress.total and i == 0 else "bright_black"
        spans.append((f"  {part}", style))
    return spans


class _Screen(Protocol):
    """The output of lines and the bar."""

    def say(self, spans: list[Span]) -> None:
        """Writes a permanent line."""

    def begin(self) -> None:
        """Called when the first of the nested bars starts."""

    def end(self) -> None:
        """Called when the last of the nested bars ends."""


class _Terminal:
    """A terminal, by rich."""

    def __init__(self) -> None:
        from rich.console import Console  # only needed for terminals

        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._live: Any = None

    def say(self, spans: list[Span]) -> None:
        self._console.print(self._text(spans))

    def begin(self) -> None:
        from rich.live import Live

        self._live = Live(
            console=self._console,
            get_renderable=self._draw,
            refresh_per_second=_REDRAWN_A_SECOND,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
        )
        self._live.start()

    def end(self) -> None:
        self._live.stop()
        self._live = None

    def _draw(self) -> Any:
        width = self._console.width
        ascii_only = not self._console.encoding.startswith("utf")
        spans = bar_line(_bars[-1], width - 2, ascii_only) if _bars else []
        marks = _ASCII_SPINNER if ascii_only else _SPINNER
        mark = marks[int(time.monotonic() * _REDRAWN_A_SECOND) % len(marks)]
        return self._text([(f"{mark} ", "cyan"), *spans])

    @staticmethod
    def _text(spans: list[Span]) -> Any:
        from rich.text import Text

        return Text.assemble(*spans, no_wrap=True, overflow="ellipsis")


class _Log:
    """A file or a pipe: a separate thread writes a line at intervals."""

    def __init__(self) -> None:
        self._ended = threading.Event()

    def say(self, spans: list[Span]) -> None:
        line = "".join(text for text, _ in spans)
        print(line.rstrip(), file=sys.stderr, flush=True)

    def begin(self) -> None:
        self._ended = threading.Event()
        threading.Thread(target=self._tell, args=(self._ended,), daemon=True).start()

    def end(self) -> None:
        self._ended.set()

    def _tell(self, ended: threading.Event) -> None:
        while not ended.wait(LOG_SECONDS):
            with contextlib.suppress(IndexError):  # the last bar has ended
                self.say([(log_line(_bars[-1]), "")])


_bars: list[Progress] = []  # states of the nested bars; the innermost is shown
_screens: dict[bool, _Screen] = {}


def is_terminal(stream: Any) -> bool:
    """Whether a stream is a terminal on which lines can be redrawn."""
    return bool(stream.isatty()) and os.environ.get("TERM") not in ("dumb", "unknown")


def shows_bars() -> bool:
    """Whether stderr is a terminal, on which bars and tables are drawn."""
    return is_terminal(sys.stderr)


def width() -> int:
    """Columns of a line on stderr; for a log, as many as a long line needs."""
    return shutil.get_terminal_size().columns if shows_bars() else 200


def _screen() -> _Screen:
    found = shows_bars()
    if found not in _screens:
        _screens[found] = _Terminal() if found else _Log()
    return _screens[found]


def say(*spans: Span | str) -> None:
    """Writes a permanent line, above the bar if there is one.

    Args:
      *spans: texts, or (text, rich style).
    """
    styled = [(span, "") if isinstance(span, str) else span for span in spans]
    _screen().say(styled)


class Bar:
    """The progress bar of a piece of work; see `bar`."""

    def __init__(self, place: int):
        self._place = place

    def update(self, **fields: Any) -> None:
        """Updates fields of the `Progress`."""
        _bars[self._place] = _bars[self._place]._replace(**fields)


@contextlib.contextmanager
def bar(title: str, total: int = 0, unit: str = "step") -> Iterator[Bar]:
    """Shows a progress bar during the block; bars may be nested.

    Args:
      title: description of the work.
      total: number of units; 0: unknown.
      unit: name of a unit.
    """
    _bars.append(Progress(title, total=total, unit=unit))
    screen = _screen()
    if len(_bars) == 1:
        screen.begin()
    try:
        yield Bar(len(_bars) - 1)
    finally:
        if len(_bars) == 1:
            screen.end()
        _bars.pop()


def announce(notice: str) -> None:
    """Shows a notice in the title of the bar when it is next drawn, and in a log.

    For use in threads: the caller itself writes nothing to a terminal.
    """
    if _bars:
        _bars[-1] = _bars[-1]._replace(title=notice, details=(), seconds_left=None)
    if not shows_bars() or not _bars:
        say(notice)


def stop() -> None:
    """Removes the bar from the screen, for a process that is about to exit."""
    if _bars:
        _screen().end()
