"""The verdict of a run: in a box on a terminal, else as plain lines, on stdout."""

import pathlib
import sys

from gen_tickets.console import display
from gen_tickets.report.verdict import Verdict


def show(judged: Verdict, page: str | pathlib.Path) -> None:
    """Writes the verdict and where the page is.

    Args:
      judged: the verdict.
      page: path of the report.
    """
    if display.is_terminal(sys.stdout):
        _box(judged)
    else:
        print(" ".join((judged.sentence, *judged.notes)))
    print(f"report: {page}")


def _box(judged: Verdict) -> None:
    from rich.console import Console, Group  # here: only where there is a terminal
    from rich.panel import Panel
    from rich.text import Text

    style = "green" if judged.sparsity is not None else "yellow"
    lines = [Text(judged.sentence, "bold")]
    lines += [Text(note, "bright_black") for note in judged.notes]
    box = Panel(Group(*lines), title="verdict", title_align="left", border_style=style)
    Console(highlight=False).print(box)
