"""kill -9 at random moments: the results must be those of an undisturbed run.

    python -m benchmarks.kill_and_resume --kills=10

Runs a smoke experiment once undisturbed, and again killed at random moments until it
has been killed so often, then to its end. Compares results.csv (all but `seconds`),
layers.csv and every array of every ticket; exit status 1 where they differ.
"""

import argparse
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import numpy as np

from gen_tickets import paths, records


def _command(experiment: str, workdir) -> list[str]:
    return [
        *(sys.executable, "-m", "gen_tickets.main"),
        f"--config={experiment}",
        f"--workdir={workdir}",
        "--config.checkpoint.every_seconds=0.1",
    ]


def _run_to_the_end(experiment: str, workdir) -> float:
    started = time.monotonic()
    subprocess.run(_command(experiment, workdir), check=True, capture_output=True)
    return time.monotonic() - started


def _killed(experiment: str, workdir, seconds: float) -> bool:
    """Runs for some seconds; True if the run was still going then, and was killed."""
    process = subprocess.Popen(
        _command(experiment, workdir),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, complaint = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    if process.returncode != 0:
        raise SystemExit(f"the run ended by itself, badly: {complaint[-2000:]}")
    return False


def _without_seconds(path):
    rows = records.read_rows(path)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--experiment", default="experiments/quickstart.py:smoke")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        calm, rough = pathlib.Path(folder, "calm"), pathlib.Path(folder, "rough")
        _run_to_the_end(arguments.experiment, calm)  # fills the compilation cache
        length = _run_to_the_end(arguments.experiment, calm.with_name("timed"))
        kills = finished = 0
        while kills < arguments.kills:
            # Most of a short run is its start, so moments are drawn over all of it.
            was_killed = _killed(
                arguments.experiment, rough, draw.uniform(0.2 * length, 1.1 * length)
            )
            kills += was_killed
            if not was_killed:
                # Finished before the blow: compared, then begun anew.
                _compare(calm, rough, kills)
                finished += 1
                rough = rough.with_name(f"rough_{finished}")
        _run_to_the_end(arguments.experiment, rough)
        _compare(calm, rough, kills)
    print(f"{kills} kills, {finished + 1} runs finished, 0 differences")


def _compare(calm, rough, kills: int) -> None:
    differences = _differences(calm, rough)
    if differences:
        raise SystemExit(f"after {kills} kills these differ: {differences}")


if __name__ == "__main__":
    main()
