"""Experiments in processes of their own: started, waited for, ended."""

import contextlib
import multiprocessing
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from benchmarks.fault_campaign import checks
from benchmarks.fault_campaign.checks import Loss

# Imported so that the forks of this process have them.
from gen_tickets import procedures  # noqa: F401
from gen_tickets import main
from gen_tickets.cli import command_line
from gen_tickets.report import render  # noqa: F401
from gen_tickets.workdir import paths

_POLL_SECONDS = 0.001
_SAVE_SECONDS = 0.03  # a save of a small experiment; blows fall within it
_MOST_SECONDS = 900.0  # after which a run hangs
_LAUNCHER_SECONDS = 10.0  # until a launcher ends the rest of several
_FORKS = multiprocessing.get_context("fork")


class Fork:
    """A command in a fork of this process, which has done its imports: half the time.

    Methods are those of `subprocess.Popen`.
    """

    def __init__(self, words: list[str], log: str):
        self._process = _FORKS.Process(target=_run, args=(words, log))
        self._process.start()

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("gen_tickets.main", timeout or 0.0)
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, number: int) -> None:
        if self._process.pid is not None and self.poll() is None:
            os.kill(self._process.pid, number)


def _run(words: list[str], log: str) -> None:
    """gen_tickets.main in this process, with its streams in a file."""
    with open(log, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    command_line.run(main.main, ["gen_tickets.main", *words])


Process: TypeAlias = subprocess.Popen[bytes] | Fork


class Experiment(NamedTuple):
    """What a trial runs."""

    config: str  #: of --config
    options: tuple[str, ...] = ()  #: further words of the command
    processes: int = 1

    def start(
        self, workdir: pathlib.Path, log: pathlib.Path, **environment: str
    ) -> list[Process]:
        """Starts, or goes on with, the experiment: all its processes.

        Several, or one with an environment of its own, are started from the beginning.
        """
        words = [
            f"--config={self.config}",
            f"--workdir={workdir}",
            # Saved after every stretch, of five steps at most.
            "--config.checkpoint.every_seconds=0",
            "--config.eval.every_steps=5",
            *self.options,
        ]
        if self.processes == 1 and not environment:
            return [Fork(words, f"{log}.0")]
        return [
            _popen([*words, *extra], f"{log}.{i}", environment)
            for i, extra in enumerate(self._places())
        ]

    def _places(self) -> list[list[str]]:
        """The options that tell the processes of each other."""
        if self.processes == 1:
            return [[]]
        prefix, port = "--config.parallel.", _free_port()
        return [
            [
                f"{prefix}coordinator=localhost:{port}",
                f"{prefix}processes={self.processes}",
                f"{prefix}process={i}",
            ]
            for i in range(self.processes)
        ]


def _popen(
    words: list[str], log: str, environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    with open(log, "wb") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "gen_tickets.main", *words],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment},
        )


def _free_port() -> int:
    with socket.socket() as place:
        place.bind(("localhost", 0))
        return int(place.getsockname()[1])


def wait(processes: Sequence[Process]) -> list[int]:
    """Exit statuses, once all have ended; one that hangs is a Loss."""
    deadline = time.monotonic() + _MOST_SECONDS
    try:
        return [x.wait(max(0.1, deadline - time.monotonic())) for x in processes]
    except subprocess.TimeoutExpired:
        raise Loss(f"still running after {_MOST_SECONDS:.0f} s") from None
    finally:
        kill(processes)


def kill_one(processes: Sequence[Process], draw: random.Random) -> bool:
    """kill -9 to one of them; False: it had come to its end before."""
    victim = draw.choice(processes)
    with contextlib.suppress(ProcessLookupError):
        victim.kill()
    status = victim.wait(_MOST_SECONDS)
    if status not in (0, -signal.SIGKILL):
        raise Loss(f"ended by itself with {status}")
    return status == -signal.SIGKILL


def end_rest(processes: Sequence[Process]) -> None:
    """Ends the rest of several, one of which was killed, as a launcher does.

    They are given some seconds, in which they may save or write what they should not.
    """
    deadline = time.monotonic() + _LAUNCHER_SECONDS
    with contextlib.suppress(subprocess.TimeoutExpired):
        for process in processes:
            process.wait(max(0.1, deadline - time.monotonic()))
    kill(processes)


def kill(processes: Sequence[Process]) -> None:
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
        seconds = time.monotonic() - started
        if not checks.is_complete(workdir, timed):
            raise SystemExit(f"two undisturbed runs differ: {workdir}, {timed}")
        done.write_text(str(seconds))
    return float(done.read_text())


def half_written(workdir: pathlib.Path) -> set[str]:
    """Names of checkpoints that are being written, or were left so."""
    folder = paths.checkpoints_dir(workdir)
    return {x.name for x in folder.glob("*tmp*")} if folder.exists() else set()


def newest_checkpoint(workdir: pathlib.Path) -> int:
    """Its number, which increases with every save; -1 if there is none."""
    folder = paths.checkpoints_dir(workdir)
    names = (x.name for x in folder.iterdir()) if folder.exists() else ()
    return max((int(name) for name in names if name.isdigit()), default=-1)


def wait_for_a_moment(
    processes: Sequence[Process],
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
def ended(processes: Sequence[Process]) -> Iterator[None]:
    """Leaves no process behind, whatever happens."""
    try:
        yield
    finally:
        kill(processes)


def send(process: Process, number: signal.Signals) -> None:
    """A signal, to a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
