"""Compares a streamed data set with a resident one: images/s, memory, losses.

    python -m benchmarks.streaming --data-dir=DIR

Trains the dense round of an experiment in two processes, with and without
`data.resident`. They take turns of a few seconds: one is stopped, with all its threads,
while the other trains, so that a slower machine affects both. Prints speeds, their
ratio within a turn, the memory of both over time and the largest difference of the
held-out losses. Saves them with the hardware as benchmarks/results/streaming.json.
"""

import argparse
import importlib.util
import json
import math
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile

from benchmarks.train_step import RESULTS, command, hardware
from gen_tickets import procedures
from gen_tickets.config import defaults
from gen_tickets.data import dataset
from gen_tickets.procedures import lottery, rounds
from gen_tickets.training import driver
from gen_tickets.training.meter import Meter
from gen_tickets.training.round_state import Position

_TURN = 5  # stretches, of a second each


def _config(options, resident: bool):
    spec = importlib.util.spec_from_file_location("experiment", options.experiment)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = module.get_config()
    config.runs = options.runs
    config.data.dir, config.data.resident = options.data_dir, resident
    config.train.epochs, config.train.steps = 0, options.steps
    config.rewind.step, config.eval.every_steps = 1, options.steps // 4
    config.eval.metrics = ()
    return config


def _memory() -> int:
    """Bytes of this process that are in memory now."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class _Notes:
    """What the driver tells of a round."""

    def __init__(self, images_a_step: int):
        self._images_a_step, self._evaluated = images_a_step, False
        self.speeds, self.losses, self.memory = [], [], []

    def evaluated(self, training, position, evaluation) -> None:
        self.losses.append(evaluation.heldout["loss"].tolist())
        self._evaluated = True

    def note(self, num_steps: int, seconds: float) -> None:
        """A stretch; one that ends with an evaluation says nothing of its speed."""
        if not self._evaluated:
            self.speeds.append(num_steps * self._images_a_step / seconds)
        self._evaluated = False
        self.memory.append(_memory())
        if len(self.memory) % _TURN == 0:
            os.kill(os.getpid(), signal.SIGSTOP)  # until it is this one's turn again


_NOTE = Meter.note


def _train(options, resident: bool) -> dict:
    """Trains round 0 as `lottery` does; what was noted of it."""
    config = _config(options, resident)
    defaults.validate(config)
    prepared, data = procedures.prepare(config, dataset.load(config))
    notes = _Notes(config.runs * prepared.schedule.images_per_step)

    def note(meter, num_steps, seconds):
        notes.note(num_steps, seconds)
        _NOTE(meter, num_steps, seconds)

    Meter.note = note
    hooks = driver.Hooks(
        save=lambda round_state, position: None,
        save_seconds=math.inf,
        evaluated=notes.evaluated,
        stop=[],
    )
    training = rounds.trainings(prepared, data.streamed)(0)
    driver.train(training, lottery.dense(prepared), Position(), data, hooks)
    return {
        "resident": resident,
        # The first turn compiles and fills the caches.
        "images_a_second": notes.speeds[_TURN:],
        "memory_bytes": notes.memory[_TURN:],
        "heldout_loss": notes.losses,
    }


def _spawn(resident: bool, output):
    command = (sys.executable, "-m", "benchmarks.streaming", *sys.argv[1:])
    return subprocess.Popen([*command, f"--worker={resident}"], stdout=output)


def _has_ended(process) -> bool:
    """Waits for the end of a process or of its turn."""
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return False
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"a worker ended with {process.returncode}")
    return True


def _in_turns() -> list[dict]:
    """What was noted of the resident and of the streamed training."""
    outputs = [tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")]
    running = [_spawn(True, outputs[0]), _spawn(False, outputs[1])]
    try:
        running = [process for process in running if not _has_ended(process)]
        while running:
            for process in list(running):
                process.send_signal(signal.SIGCONT)
                if _has_ended(process):
                    running.remove(process)
    finally:
        for process in running:
            process.kill()
    found = []
    for output in outputs:
        output.seek(0)
        found.append(json.loads(output.read().splitlines()[-1]))
    return found


def _ratios(both: list[dict]) -> list[float]:
    """Speed of the streamed one over that of the resident one, turn by turn."""
    resident, streamed = (
        [
            statistics.median(x["images_a_second"][i : i + _TURN])
            for i in range(0, len(x["images_a_second"]), _TURN)
        ]
        for x in both
    )
    return [b / a for a, b in zip(resident, streamed)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--experiment", default="experiments/ae_cifar10.py")
    parser.add_argument("--data-dir", default="")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--steps", type=int, default=320)
    parser.add_argument("--output", default=str(RESULTS / "streaming.json"))
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(_train(options, options.worker == "True")))
        return
    both = _in_turns()
    for found in both:
        speed, memory = found["images_a_second"], found["memory_bytes"]
        print(
            f"{'resident' if found['resident'] else 'streamed':9}"
            f"{statistics.median(speed):8.0f} images/s   memory, first to last: "
            f"{memory[0] / 2**20:.0f} to {memory[-1] / 2**20:.0f} MiB, at most "
            f"{max(memory) / 2**20:.0f}"
        )
    ratios = _ratios(both)
    ratio = statistics.median(ratios)
    print(
        f"streamed / resident, within a turn: {ratio:.3f} (median of {len(ratios)}, "
        f"{min(ratios):.3f} to {max(ratios):.3f})"
    )
    pairs = zip(*(sum(x["heldout_loss"], []) for x in both), strict=True)
    difference = max(abs(a - b) for a, b in pairs)
    print(f"largest difference of the held-out losses: {difference:.3g}")
    output = pathlib.Path(options.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    about = {"command": command(), "hardware": hardware()}
    output.write_text(
        json.dumps({**about, "ratio": ratio, "ratios": ratios, "found": both})
    )
    print(f"saved: {output}")


if __name__ == "__main__":
    main()
