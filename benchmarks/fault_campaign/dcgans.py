"""SIGTERM to 20 members of the paper's DCGAN: is a state of gigabytes saved in time?

The widths are those of its Table 1; the images are random. A signal is answered at the
end of the step that is running, and on a CPU a step of 20 members takes long: its
seconds are counted apart from those of the save, which the notice must suffice for.
"""

import contextlib
import json
import pathlib
import random
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.fault_campaign import checks, runs
from benchmarks.fault_campaign.checks import Loss
from gen_tickets.workdir import paths
from gen_tickets.workdir.checkpoints import Checkpoints

NOTICE_SECONDS = 30.0  # between SIGTERM and the end, as clouds give them
_GIB = 2.0**30
_MOST_SECONDS = 1800.0  # until the first checkpoint, compilation included

# The batch is small: it decides how long a step takes, but not what is saved.
_EXPERIMENT = runs.Experiment(
    "experiments/dcgan_cifar10.py",
    (
        *("--config.runs=20", "--config.arms=('winning',)", "--config.prune.rounds=1"),
        *("--config.data.name=arrays", "--config.data.batch_size=8"),
        *("--config.eval.metrics=()", "--config.eval.verdict=heldout_sample_spread"),
    ),
)


@contextlib.contextmanager
def _noted(notes: pathlib.Path) -> Iterator[None]:
    """Processes that are forked within note every save and every restored checkpoint.

    A note is a line of JSON: what it was, its position, when it began and how many
    seconds and seconds of a core it took.
    """
    save, restore = Checkpoints.save, Checkpoints.restore

    def clocks() -> tuple[float, float]:
        return time.monotonic(), time.process_time()  # the first is that of all

    def note(what: str, position: list[Any], began: tuple[float, float]) -> None:
        seconds, core_seconds = (b - a for a, b in zip(began, clocks(), strict=True))
        line = {"what": what, "position": position, "began": began[0]}
        line |= {"seconds": seconds, "core_seconds": core_seconds}
        paths.append(notes, f"{json.dumps(line)}\n".encode())

    def noted_save(self: Checkpoints, number: int, tree: Any, position: Any) -> None:
        began = clocks()
        save(self, number, tree, position)
        note("save", position, began)

    def noted_restore(self: Checkpoints, make_template: Callable[..., Any]) -> Any:
        began = clocks()
        restored = restore(self, make_template)
        if restored is not None:
            note("restore", restored[1], began)
        return restored

    with mock.patch.multiple(Checkpoints, save=noted_save, restore=noted_restore):
        yield


def _read(notes: pathlib.Path, what: str) -> list[dict[str, Any]]:
    lines = notes.read_text().splitlines() if notes.exists() else []
    return [note for note in map(json.loads, lines) if note["what"] == what]


def _wait_for(
    processes: list[runs.Process], notes: pathlib.Path, what: str
) -> dict[str, Any]:
    """The first note of a kind, once it is there."""
    deadline = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < deadline and processes[0].poll() is None:
        found = _read(notes, what)
        if found:
            return found[0]
        time.sleep(0.02)
    raise Loss(f"ended or hung before its first {what}: {notes.parent}")


def preemption(folder: pathlib.Path, draw: random.Random) -> dict[str, float]:
    """One SIGTERM within the second step; then the start that continues from there."""
    images, workdir, log = folder / "images.npz", folder / "run", folder / "log"
    pixels = np.random.default_rng(0).integers(0, 256, (90, 32, 32, 3), np.uint8)
    np.savez(images, images=pixels)
    options = (*_EXPERIMENT.options, f"--config.data.dir={images}")
    experiment, notes = _EXPERIMENT._replace(options=options), folder / "notes"
    with _noted(notes):
        processes = experiment.start(workdir, log)
    with runs.ended(processes):
        first = _wait_for(processes, notes, "save")
        time.sleep(draw.uniform(0.0, 1.0))
        signalled = time.monotonic()
        runs.send(processes[0], signal.SIGTERM)
        [status] = runs.wait(processes)
        ended = time.monotonic()
    last = _read(notes, "save")[-1]
    after_step = max(0.0, last["began"] - signalled)
    save_seconds = ended - max(last["began"], signalled)
    if status or "stopped by SIGTERM" not in checks.read(log):
        raise Loss(f"exit status {status}: {log}")
    if last["position"][1] <= first["position"][1]:
        raise Loss(f"the step that was running is not saved: {notes}")
    size = _size(paths.checkpoints_dir(workdir) / str(runs.newest_checkpoint(workdir)))
    with _noted(notes):
        processes = experiment.start(workdir, log)
    with runs.ended(processes):
        restored = _wait_for(processes, notes, "restore")
    if restored["position"] != last["position"]:
        raise Loss(f"continued from {restored['position']}: {notes}")
    checks.check_none_aside(workdir)
    if save_seconds > NOTICE_SECONDS:
        raise Loss(
            f"{save_seconds:.1f} s after the step that was running, "
            f"{last['core_seconds']:.1f} s of a core: {notes}"
        )
    return {
        "signals": 1,
        "longest seconds of the running step": after_step,
        "longest seconds of a save": save_seconds,
        "longest core seconds of a save": last["core_seconds"],
        "longest seconds of a restore": restored["seconds"],
        "largest GiB": size / _GIB,
    }


def _size(folder: pathlib.Path) -> int:
    return sum(x.stat().st_size for x in folder.rglob("*") if x.is_file())
