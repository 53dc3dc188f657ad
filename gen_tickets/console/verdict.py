"""Prints the verdict of a run on stdout, on a terminal in a box, else as lines."""

import sys
from collections.abc import Sequence

from gen_tickets.console import display
from gen_tickets.report.gates import Gate
from gen_tickets.report.verdict import Verdict

# (rich style, mark) of a gate that passed, failed, or is unknown.
_MARKS = {True: ("green", "+"), False: ("red", "-"), None: ("bright_black", "?")}


def show(judged: Verdict, title: str = "verdict", with_gates: bool = True) -> None:
    """Writes the verdict, its gates and its notes.

    Args:
      judged: the verdict.
      title: of the box.
      with_gates: whether the gates are listed; the verdict names the failed ones.
    """
    gates = judged.gates if with_gates else ()
    if display.is_terminal(sys.stdout):
        _box(judged, title, gates)
        return
    print(f"{title}: {' '.join((judged.sentence, *judged.notes))}")
    for gate in gates:
        print(f"  {_MARKS[gate.passed][1]} {gate.sentence}")


def _box(judged: Verdict, title: str, listed: Sequence[Gate]) -> None:
    # Here: only where there is a terminal.
    from rich.console import Console, Group, RenderableType
    from rich.padding import Padding
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    failed = any(gate.passed is False for gate in judged.gates)
    gates = Table.grid(padding=(0, 1))  # further lines of a gate are indented
    for gate in listed:
        style, mark = _MARKS[gate.passed]
        gates.add_row(mark, Text(gate.sentence), style=style)
    lines: list[RenderableType] = [
        Padding(Text(judged.sentence, "bold"), (0, 0, 1, 0)),
        gates,
    ]
    lines += [
        Padding(Text(note, "bright_black"), (1, 0, 0, 0)) for note in judged.notes
    ]
    style = "yellow" if failed or judged.sparsity is None else "green"
    box = Panel(Group(*lines), title=title, title_align="left", border_style=style)
    Console(highlight=False).print(box)
