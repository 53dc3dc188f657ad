"""The kinds of faults. A trial disturbs one experiment until it has come to its end.

A trial takes (folder, draw) and returns what it counted, the faults first. What is in
the workdir after each fault, and all of it at the end, must be what an undisturbed run
has, bit for bit, or else it raises `Loss`.
"""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
from PIL import Image

from benchmarks.fault_campaign import checks, dcgans, runs
from benchmarks.fault_campaign.checks import Loss
from benchmarks.fault_campaign.dcgans import NOTICE_SECONDS
from benchmarks.fault_campaign.runs import Experiment

SMOKE = Experiment(
    "experiments/quickstart.py:smoke",
    (
        *("--config.prune.rounds=1", "--config.data.limit=64", "--config.runs=2"),
        "--config.model.widths=(16,8)",
    ),
)
_ROOT = pathlib.Path(__file__).parents[2]
_ONE_IN = (200, 400, 800, 1600, 3200)  # calls that fail, fewer from start to start
_IMAGES, _STEPS_AN_EPOCH = 64, 4  # that are streamed
_CASES = 250  # of each kind of the eight and a quarter that tests/test_fuzz.py has


def kills(
    folder: pathlib.Path, draw: random.Random, experiment: Experiment = SMOKE
) -> dict[str, float]:
    """kill -9 to a process at random moments, every second time within a save."""
    calm = folder.parent / f"calm_{experiment.processes}"
    length = runs.calm(experiment, calm)
    workdir, log, count, halves = folder / "run", folder / "log", 0, 0
    while True:
        processes = experiment.start(workdir, log)
        with runs.ended(processes):
            # Most of a short run is its start, so moments are drawn over all of it.
            seconds, in_save = draw.uniform(0.2, 1.0) * length, count % 2 == 1
            before = runs.half_written(workdir)
            going = runs.wait_for_a_moment(processes, workdir, seconds, in_save, draw)
            if not going:
                statuses = runs.wait(processes)
                if any(statuses):
                    raise Loss(f"ended by itself with {statuses}: {log}")
                break
            count += runs.kill_one(processes, draw)
            runs.end_rest(processes)
            halves += bool(runs.half_written(workdir) - before)
        checks.compare_so_far(calm, workdir)
    checks.compare(calm, workdir)
    return {"kills": count, "in a save": halves, "runs": 1}


def kills_of_one_of_two(folder: pathlib.Path, draw: random.Random) -> dict[str, float]:
    """The same to one of two processes; both are then started again."""
    return kills(folder, draw, SMOKE._replace(processes=2))


def network(folder: pathlib.Path, draw: random.Random) -> dict[str, float]:
    """Stale handles, I/O errors and lost answers, by LD_PRELOAD; see network.c."""
    library = _compiled(folder.parent)
    calm = folder.parent / "calm_1"
    runs.calm(SMOKE, calm)
    workdir, log = folder / "run", folder / "log"
    faults, starts, told = folder / "faults", 0, 0
    while True:
        environment = {
            "LD_PRELOAD": str(library),
            "FAULT_FOLDER": str(workdir),
            "FAULT_SEED": str(draw.randrange(2**31)),
            "FAULT_LOG": str(faults),
            "FAULT_ONE_IN": str(_ONE_IN[min(starts, len(_ONE_IN) - 1)]),
        }
        starts += 1
        [status] = runs.wait(SMOKE.start(workdir, log, **environment))
        if status == 0:
            break
        checks.check_told(log, status)
        told += 1
        checks.compare_so_far(calm, workdir)
    checks.compare(calm, workdir)
    lines = faults.read_text().splitlines() if faults.exists() else []
    return {"faults": len(lines), "told in one line": told, "runs": 1}


def _compiled(folder: pathlib.Path) -> pathlib.Path:
    source = pathlib.Path(__file__).with_name("network.c")
    library = folder / "network.so"
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise SystemExit("--only=network needs a C compiler")
    files = ["-o", str(library), str(source), "-ldl"]
    words = [compiler, "-shared", "-fPIC", "-O2", *files]
    subprocess.run(words, check=True)
    return library


def preemptions(
    folder: pathlib.Path, draw: random.Random, experiment: Experiment = SMOKE
) -> dict[str, float]:
    """SIGTERM at random moments; all must be saved before the notice is over."""
    calm = folder.parent / "calm_1"
    length = runs.calm(experiment, calm)
    workdir, log, longest = folder / "run", folder / "log", 0.0
    count = saved = 0
    while True:
        at_start = runs.newest_checkpoint(workdir)
        processes = experiment.start(workdir, log)
        with runs.ended(processes):
            seconds = draw.uniform(0.3, 1.0) * length
            if not runs.wait_for_a_moment(processes, workdir, seconds, False, draw):
                if any(runs.wait(processes)):
                    raise Loss(f"ended by itself: {log}")
                break
            before, started = runs.newest_checkpoint(workdir), time.monotonic()
            runs.send(processes[0], signal.SIGTERM)
            [status] = runs.wait(processes)
            longest = max(longest, time.monotonic() - started)
            count += 1
        if status not in (0, -signal.SIGTERM) or longest > NOTICE_SECONDS:
            raise Loss(f"exit status {status} after {longest:.1f} s: {log}")
        is_saved = "stopped by SIGTERM" in checks.read(log)
        saved += is_saved
        if is_saved and runs.newest_checkpoint(workdir) <= before:
            raise Loss(f"says that all is saved, but no checkpoint is new: {log}")
        # Before the training there is nothing to save, and after it all is: it ends at
        # once. In between it does not.
        if status and before > at_start and not checks.is_complete(calm, workdir):
            raise Loss(f"training, but ended with {status} and saved nothing: {log}")
        checks.compare_so_far(calm, workdir)
    checks.compare(calm, workdir)
    return {"signals": count, "saved": saved, "longest seconds": longest, "runs": 1}


def bit_rot(folder: pathlib.Path, draw: random.Random) -> dict[str, float]:
    """Bits of streamed images turn while they are trained on."""
    images = folder.parent / "streamed"
    if not images.exists():
        _write_images(images)
    experiment = SMOKE._replace(
        options=(
            *SMOKE.options,
            *("--config.data.name=folder", "--config.data.resident=False"),
            f"--config.data.batch_size={_IMAGES // _STEPS_AN_EPOCH}",
            f"--config.data.dir={images}",
        )
    )
    calm = folder.parent / "calm_streamed"
    runs.calm(experiment, calm)
    mine, workdir, log = folder / "images", folder / "run", folder / "log"
    shutil.copytree(images, mine)
    experiment = experiment._replace(
        options=(*experiment.options[:-1], f"--config.data.dir={mine}")
    )
    turned = found = 0
    while True:
        processes = experiment.start(workdir, log)
        with runs.ended(processes):
            if not found and _wait_for_an_epoch(processes, workdir):
                chosen = draw.choice(sorted((mine / "train").iterdir()))
                turned += _turn_a_bit(chosen, draw)
            [status] = runs.wait(processes)
        if status == 0:
            break
        checks.check_told(log, status)
        checks.compare_so_far(calm, workdir)
        found += 1
        shutil.copytree(images, mine, dirs_exist_ok=True)
    checks.compare(calm, workdir)
    return {"bits turned": turned, "found": found, "runs": 1}


def _write_images(folder: pathlib.Path) -> None:
    """Uncompressed ones, which have no checksum of their own."""
    generator = np.random.default_rng(0)
    for split, count in (("train", _IMAGES), ("heldout", 16)):
        (folder / split).mkdir(parents=True)
        for i in range(count):
            pixels = generator.integers(0, 256, (28, 28, 3), np.uint8)
            Image.fromarray(pixels).save(folder / split / f"{i:02}.bmp")


def _turn_a_bit(path: pathlib.Path, draw: random.Random) -> int:
    content = bytearray(path.read_bytes())
    content[draw.randrange(60, len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    return 1


def _wait_for_an_epoch(processes: list[runs.Process], workdir: pathlib.Path) -> bool:
    """Whether the run goes on after its first epoch: all images were read by then."""
    while all(x.poll() is None for x in processes):
        if runs.newest_checkpoint(workdir) > _STEPS_AN_EPOCH:
            return True
        time.sleep(0.01)
    return False


def fuzz(folder: pathlib.Path, draw: random.Random) -> dict[str, float]:
    """Images, EXIF data, arrays, tickets, checkpoints, tables, options, commands."""
    del folder
    seed = draw.randrange(2**31)
    words = [
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *(str(_ROOT / "tests" / "test_fuzz.py"), f"--hypothesis-seed={seed}"),
    ]
    cases = int(os.environ.get("GEN_TICKETS_FUZZ", _CASES))
    environment = {**os.environ, "GEN_TICKETS_FUZZ": str(cases)}
    done = subprocess.run(words, cwd=_ROOT, env=environment, capture_output=True)
    if done.returncode:
        text = done.stdout.decode(errors="replace")
        raise Loss(f"--hypothesis-seed={seed}: {text[-2000:]}")
    return {"inputs": 8 * cases + cases // 4, "seeds": 1}


KINDS = {
    "kills": kills,
    "kills of one of two": kills_of_one_of_two,
    "network": network,
    "preemptions": preemptions,
    "bit rot": bit_rot,
    "fuzz": fuzz,
}
#: Takes minutes and 6 GiB of memory: only if asked for.
LARGE_KINDS = {"preemption of 20 DCGANs": dcgans.preemption}
