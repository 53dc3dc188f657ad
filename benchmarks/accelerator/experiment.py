"""Measures a real experiment through the real driver, for a limited time."""

import contextlib
import dataclasses
import pathlib
import signal
import tempfile
import threading
import time
from typing import Any

import jax
import numpy as np

from benchmarks.accelerator import models, timing
from benchmarks.accelerator.scales import Scale
from gen_tickets import procedures
from gen_tickets.cli import command_line
from gen_tickets.console import signals
from gen_tickets.errors import Interrupted
from gen_tickets.workdir import events, paths
from gen_tickets.workdir import recorder as recorder_lib
from gen_tickets.workdir.checkpoints import Checkpoints
from gen_tickets.workdir.curves import CurveWriter

_NUM_IMAGES, _SMOKE_IMAGES = 11_000, 88
_EVERY_STEPS, _SMOKE_STEPS = 100, 4  # between two evaluations
_COMPILED = "/jax/core/compile/backend_compile_duration"


@dataclasses.dataclass(frozen=True)
class _Recorder(recorder_lib.Recorder):
    """Writes what every recorder writes, and notes when."""

    #: (title of the training, step, seconds of the clock) of every evaluation
    times: list[tuple[str, int, float]] = dataclasses.field(default_factory=list)

    def evaluation(self, training, position, evaluation, measured):
        super().evaluation(training, position, evaluation, measured)
        self.times.append((training.title, evaluation.step, time.perf_counter()))


def _configure(scale: Scale, experiment: str, data: str, folder: pathlib.Path) -> Any:
    """The experiment on arrays, without metrics: they need networks of their own."""
    config = models.configure(experiment, scale.smoke)
    shape = models.image_shape(config)
    if not data:
        data = str(folder / "images.npz")
        count = _SMOKE_IMAGES if scale.smoke else _NUM_IMAGES
        draw = np.random.default_rng(0)
        np.savez(data, images=draw.integers(0, 256, (count, *shape), np.uint8))
    config.data.name, config.data.dir = "arrays", data
    config.eval.metrics, config.eval.verdict = (), "heldout_sample_spread"
    config.eval.every_steps = _SMOKE_STEPS if scale.smoke else _EVERY_STEPS
    if scale.smoke:
        config.runs, config.prune.rounds, config.rewind.step = 1, 1, "2"
        config.train.epochs, config.train.steps = 0, 4 * _SMOKE_STEPS
    return config


def measure(
    scale: Scale, experiment: str, data: str, seconds: float, workdir: str
) -> dict[str, Any]:
    """Steps a second of the real driver, evaluations and checkpoints included.

    Args:
      scale: a smoke trains a few steps of narrow networks.
      experiment: name of one of experiments/.
      data: an .npz with `images`; "" = random images.
      seconds: of training, after which it is stopped and saved.
      workdir: where it goes on; "" = a folder that is removed afterwards.
    """
    started, compiled = time.perf_counter(), []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, duration, **_: event == _COMPILED and compiled.append(duration)
    )
    command_line.use_compilation_cache()
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        config = _configure(scale, experiment, data, folder)
        times, finished = _train(config, workdir or folder / "workdir", seconds)
    return {
        "runs": config.runs,
        "finished": finished,
        "seconds": time.perf_counter() - started,
        "compile_seconds": sum(compiled),
        "programs": len(compiled),
        "last_steps": {title: step for title, step, _ in times},
        "first_evaluation_seconds": times[0][2] - started if times else None,
        "steps_per_second": _steps_per_second(times),
    }


def _train(
    config: Any, workdir: str | pathlib.Path, seconds: float
) -> tuple[list[tuple[str, int, float]], bool]:
    """(times of the evaluations, whether the experiment came to its end)."""
    prepared, images = procedures.prepare(config, procedures.load_dataset(config))
    procedure = procedures.of(config)
    prepared = procedure.check(prepared, images)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(contextlib.closing(Checkpoints(workdir)))
        folder = paths.tensorboard_dir(workdir)
        writer = events.make(config.log.writer, folder)
        stack.enter_context(contextlib.closing(writer))
        curves = CurveWriter(workdir, writer)
        recorder = _Recorder(workdir, config, {}, writer, curves)
        stop = stack.enter_context(signals.stop_signals())
        timer = threading.Timer(seconds, stop.append, [signal.SIGTERM])
        stack.callback(timer.cancel)
        timer.start()
        try:
            procedure.run(prepared, images, store, recorder, stop)
        except Interrupted:
            return recorder.times, False
    return recorder.times, True


def _steps_per_second(times: list[tuple[str, int, float]]) -> dict[str, float] | None:
    """Over the stretches between two evaluations of one training, if any."""
    rates = [
        (step - before_step) / (now - before)
        for (before_title, before_step, before), (title, step, now) in zip(
            times, times[1:]
        )
        if title == before_title
    ]
    return timing.summary(rates) if rates else None
