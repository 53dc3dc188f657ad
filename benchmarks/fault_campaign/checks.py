"""What must hold after a fault: nothing lost, nothing changed, everything told."""

import pathlib

from benchmarks import compare_results
from gen_tickets.workdir import paths


class Loss(Exception):
    """Something was lost, or the user was not told properly."""


def compare(before: pathlib.Path, after: pathlib.Path) -> None:
    """Raises Loss where the results of two finished workdirs differ in a bit.

    Or where a checkpoint was taken for damaged: no kind of faults damages one.
    """
    _compare(before, after, is_finished=True)


def compare_so_far(before: pathlib.Path, after: pathlib.Path) -> None:
    """The same for an `after` that a fault ended: what it has must be right already.

    A loss that the next start repairs would else go unseen.
    """
    _compare(before, after, is_finished=False)


def _compare(before: pathlib.Path, after: pathlib.Path, is_finished: bool) -> None:
    found = compare_results.differences(before, after, is_finished)
    if found:
        raise Loss(f"{after}: other results: {'; '.join(found[:3])}")
    check_none_aside(after)


def check_none_aside(workdir: pathlib.Path) -> None:
    """Raises Loss where a checkpoint was taken for damaged: none is."""
    aside = paths.checkpoints_dir(workdir) / "damaged"
    if aside.exists():
        raise Loss(f"{aside}: taken for damaged, but intact")


def is_complete(before: pathlib.Path, after: pathlib.Path) -> bool:
    """Whether a workdir has all results of the undisturbed one."""
    return not compare_results.differences(before, after)


def check_told(log: pathlib.Path, status: int) -> None:
    """Raises Loss unless a run that ended badly said so in one line of its own."""
    text = read(log)
    lines = [x for x in text.splitlines() if x.startswith("gen_tickets: ")]
    if status != 2 or "Traceback" in text or len(lines) != 1:
        raise Loss(f"exit status {status}, not told in one line: {text[-1500:]}")


def read(log: pathlib.Path) -> str:
    """What process 0 has written."""
    return pathlib.Path(f"{log}.0").read_text(errors="replace")
