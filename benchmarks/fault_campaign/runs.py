"""Small experiments in processes of their own: started, disturbed, compared."""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks import compare_results
from gen_tickets.workdir import paths

_POLL_SECONDS = 0.001
_SAVE_SECONDS = 0.03  # a save of a small experiment; blows fall within it
_MOST_SECONDS = 900.0  # after which a run hangs


class Loss(Exception):
    """Something was lost, or the user was not told properly."""


class Experiment(NamedTuple):
    """What a trial runs."""

    config: str  #: of --config
    options: tuple[str, ...] = ()  #: further words of the command
    processes: int = 1

    def start(
        self, workdir: pathlib.Path, log: pathlib.Path, **environment: str
    ) -> list[subprocess.Popen[bytes]]:
        """Starts, or goes on with, the experiment: all its processes."""
        words = [
            *(sys.executable, "-m", "gen_tickets.main", f"--config={self.config}"),
            f"--workdir={workdir}",
            # Saved after every stretch, of five steps at most.
            "--config.checkpoint.every_seconds=0",
            "--config.eval.every_steps=5",
            *self.options,
        ]
        several: list[list[str]] = [[]]
        if self.processes > 1:
            prefix = "--config.parallel."
            port = _free_port()
            several = [
                [
                    f"{prefix}coordinator=localhost:{port}",
                    f"{prefix}processes={self.processes}",
                    f"{prefix}process={i}",
                ]
                for i in range(self.processes)
            ]
        started = []
        for i, extra in enumerate(several):
            with open(f"{log}.{i}", "wb") as file:
                started.append(
                    subprocess.Popen(
                        [*words, *extra],
                        stdout=file,
                        stderr=subprocess.STDOUT,
                        env={**os.environ, **environment},
                    )
                )
        return started


def _free_port() -> int:
    with socket.socket() as place:
        place.bind(("localhost", 0))
        return int(place.getsockname()[1])


def wait(processes: list[subprocess.Popen[bytes]]) -> list[int]:
    """Exit statuses, once all have ended; one that hangs is a Loss."""
    deadline = time.monotonic() + _MOST_SECONDS
    try:
        return [x.wait(max(0.1, deadline - time.monotonic())) for x in processes]
    except subprocess.TimeoutExpired:
        raise Loss(f"still running after {_MOST_SECONDS:.0f} s") from None
    finally:
        kill(processes)


def kill(processes: list[subprocess.Popen[bytes]]) -> None:
    """kill -9 to all that are left."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()


def calm(experiment: Experiment, workdir: pathlib.Path) -> float:
    """Runs the experiment undisturbed, unless that was done; -> its seconds."""
    done = workdir.with_name(f"{workdir.name}.seconds")
    if not done.exists():
        timed = workdir.with_name(f"{workdir.name}.timed")
        for place in (workdir, timed):  # the first fills the compilation cache
            shutil.rmtree(place, ignore_errors=True)
            started = time.monotonic()
            statuses = wait(experiment.start(place, place.with_suffix(".log")))
            if any(statuses):
                raise SystemExit(f"the undisturbed run ended with {statuses}: {place}")
        done.write_text(str(time.monotonic() - started))
    return float(done.read_text())


def compare(before: pathlib.Path, after: pathlib.Path) -> None:
    """Raises Loss where the results of two workdirs differ in a bit."""
    found = compare_results.differences(before, after)
    if found:
        raise Loss(f"{after}: other results: {'; '.join(found[:3])}")


def check_told(log: pathlib.Path, status: int) -> None:
    """Raises Loss unless a run that ended badly said so in one line of its own."""
    text = pathlib.Path(f"{log}.0").read_text(errors="replace")
    lines = [x for x in text.splitlines() if x.startswith("gen_tickets: ")]
    if status != 2 or "Traceback" in text or len(lines) != 1:
        raise Loss(f"exit status {status}, not told in one line: {text[-1500:]}")


def half_written(workdir: pathlib.Path) -> set[str]:
    """Names of checkpoints that are being written, or were left so."""
    folder = paths.checkpoints_dir(workdir)
    return {x.name for x in folder.glob("*tmp*")} if folder.exists() else set()


def wait_for_a_moment(
    processes: list[subprocess.Popen[bytes]],
    workdir: pathlib.Path,
    seconds: float,
    in_save: bool,
    draw: random.Random,
) -> bool:
    """Waits some seconds, and for a save to begin; False: all ended before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if all(x.poll() is not None for x in processes):
            return False
        time.sleep(0.01)
    before = half_written(workdir)
    while in_save and not half_written(workdir) - before:
        if all(x.poll() is not None for x in processes):
            return False
        time.sleep(_POLL_SECONDS)
    if in_save:
        time.sleep(draw.uniform(0, _SAVE_SECONDS))
    return any(x.poll() is None for x in processes)


@contextlib.contextmanager
def ended(processes: list[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Leaves no process behind, whatever happens."""
    try:
        yield
    finally:
        kill(processes)


def send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """A signal, to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
