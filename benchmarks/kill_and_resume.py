"""kill -9 at random moments, also during saves: the results must not know of it.

    python -m benchmarks.kill_and_resume --kills=200

Runs a small experiment once undisturbed. Runs it again, killed at random moments and
started again with the same command until it ends; then anew, until it has been killed
so often. Every second blow waits for a save to begin. Each time it ends, results.csv
(all but `seconds`), layers.csv and every array of every ticket are compared with those
of the undisturbed run: exit status 1 where anything differs.
"""

import argparse
import pathlib
import random
import subprocess
import sys
import tempfile
import time
from concurrent import futures
from typing import NamedTuple

import numpy as np

from gen_tickets.workdir import paths, tables

_POLL_SECONDS = 0.001
_SAVE_SECONDS = 0.03  # a save of a small experiment; blows fall within it


class Tally(NamedTuple):
    """What was done so far."""

    kills: int = 0
    in_saves: int = 0  # kills that left a checkpoint half written
    finished: int = 0  # runs that ended, and were compared


def _command(experiment: str, workdir) -> list[str]:
    return [
        *(sys.executable, "-m", "gen_tickets.main"),
        f"--config={experiment}",
        f"--workdir={workdir}",
        # Saved after every stretch, of five steps at most.
        "--config.checkpoint.every_seconds=0",
        "--config.eval.every_steps=5",
    ]


def _run_to_the_end(experiment: str, workdir) -> float:
    started = time.monotonic()
    subprocess.run(_command(experiment, workdir), check=True, capture_output=True)
    return time.monotonic() - started


def _half_written(workdir) -> set[str]:
    folder = paths.checkpoints_dir(workdir)
    return {x.name for x in folder.glob("*tmp*")} if folder.exists() else set()


def _wait_for_a_save(process, workdir) -> None:
    """Returns when a save has begun, or the process has ended."""
    before = _half_written(workdir)
    while process.poll() is None and not _half_written(workdir) - before:
        time.sleep(_POLL_SECONDS)


def _killed(experiment: str, workdir, seconds: float, in_save: bool, draw) -> bool:
    """Runs for some seconds; True if the run was still going then, and was killed."""
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            _command(experiment, workdir), stdout=subprocess.DEVNULL, stderr=complaints
        )
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            if in_save:
                _wait_for_a_save(process, workdir)
                time.sleep(draw.uniform(0, _SAVE_SECONDS))
            process.kill()
        if process.wait() not in (0, -9):
            complaints.seek(0)
            text = complaints.read()[-2000:]
            raise SystemExit(f"the run ended by itself, badly: {text}")
    return process.returncode == -9


def _without_seconds(path):
    rows = tables.read_rows(path)
    return [{k: repr(v) for k, v in row.items() if k != "seconds"} for row in rows]


def _differences(one: pathlib.Path, other: pathlib.Path) -> list[str]:
    found = [
        path(one).name
        for path in (paths.results_path, paths.layers_path)
        if _without_seconds(path(one)) != _without_seconds(path(other))
    ]
    tickets = sorted(one.glob("tickets/*/*.npz"))
    if [x.relative_to(one) for x in tickets] != [
        x.relative_to(other) for x in sorted(other.glob("tickets/*/*.npz"))
    ]:
        found.append("the list of tickets")
    for ticket in tickets:
        name = ticket.relative_to(one)
        with np.load(ticket) as a, np.load(other / name) as b:
            found += [
                f"{name}:{key}"
                for key in a.files
                if key not in b.files or not np.array_equal(a[key], b[key])
            ]
    return found


def _compare(calm, rough, tally: Tally) -> None:
    differences = _differences(calm, rough)
    if differences:
        raise SystemExit(f"{tally}: these differ: {differences}")


def _kill_and_resume(experiment: str, folder, calm, num_kills: int, draw) -> Tally:
    tally, rough = Tally(), folder / "rough_0"
    length = _run_to_the_end(experiment, folder / "timed")
    while tally.kills < num_kills:
        # Most of a short run is its start, so moments are drawn over all of it.
        seconds, in_save = draw.uniform(0.2, 1.0) * length, tally.kills % 2 == 1
        before = _half_written(rough)
        if _killed(experiment, rough, seconds, in_save, draw):
            left = bool(_half_written(rough) - before)
            tally = tally._replace(
                kills=tally.kills + 1, in_saves=tally.in_saves + left
            )
        else:  # Ended before the blow: compared, then begun anew.
            _compare(calm, rough, tally)
            tally = tally._replace(finished=tally.finished + 1)
            rough = folder / f"rough_{tally.finished}"
        print(f"{folder.name}: {tally}", file=sys.stderr, flush=True)
    _run_to_the_end(experiment, rough)
    _compare(calm, rough, tally)
    return tally._replace(finished=tally.finished + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--experiment", default="experiments/quickstart.py:smoke")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=2, help="runs side by side")
    arguments = parser.parse_args()
    experiment, at_once = arguments.experiment, arguments.at_once
    shares = [len(range(i, arguments.kills, at_once)) for i in range(at_once)]
    with tempfile.TemporaryDirectory() as place:
        calm = pathlib.Path(place) / "calm"
        _run_to_the_end(experiment, calm)  # fills the compilation cache

        def work(i: int) -> Tally:
            folder = pathlib.Path(place) / f"worker_{i}"
            folder.mkdir()
            draw = random.Random(f"{arguments.seed}, {i}")
            return _kill_and_resume(experiment, folder, calm, shares[i], draw)

        with futures.ThreadPoolExecutor(at_once) as pool:
            tallies = list(pool.map(work, range(at_once)))
    tally = Tally(*map(sum, zip(*tallies)))
    print(
        f"{tally.kills} kills, {tally.in_saves} of them left a half-written "
        f"checkpoint; {tally.finished} runs finished, 0 differences"
    )


if __name__ == "__main__":
    main()
