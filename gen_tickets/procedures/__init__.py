"""Procedures: run an experiment, from its options to its report."""

import contextlib
import dataclasses
import pathlib
import types
from typing import Any

import jax
from ml_collections import ConfigDict

from gen_tickets.config import defaults
from gen_tickets.console import display, signals, verdict
from gen_tickets.data import about
from gen_tickets.data import dataset as dataset_lib
from gen_tickets.data import pipeline
from gen_tickets.distributed import devices, memory, processes
from gen_tickets.evaluation import metrics
from gen_tickets.procedures import (
    baselines,
    dynamic,
    early_bird,
    header,
    lottery,
    rewind_point,
    rewind_sweep,
    setup,
    stability,
)
from gen_tickets.report import stability as stability_report
from gen_tickets.workdir import events, lock, paths, provenance
from gen_tickets.workdir.checkpoints import Checkpoints
from gen_tickets.workdir.curves import CurveWriter
from gen_tickets.workdir.recorder import Recorder, check_tables


def of(config: ConfigDict) -> types.ModuleType:
    """The module whose `check` and `run` implement the procedure of an experiment."""
    if config.procedure == "stability":
        return stability
    if config.rewind.sweep:
        return rewind_sweep
    if config.procedure == "dynamic":
        return dynamic
    return early_bird if config.prune.schedule == "early_bird" else lottery


def run(config: ConfigDict, workdir: str | pathlib.Path) -> None:
    """Runs or resumes an experiment in `workdir`.

    Args:
      config: all options.
      workdir: folder for all results; see `workdir.paths`.

    Raises:
      UserError: the data, the options or the folder are not valid.
      errors.Interrupted: a signal arrived; everything is saved.
    """
    defaults.validate(config)
    devices.find()
    # Networks, checkpoints and results use 32 bits, even if JAX_ENABLE_X64 is set.
    with (
        processes.lost_process_told(),
        memory.memory_errors_told(),
        jax.enable_x64(False),
    ):
        _run(config, workdir)
    _report(config, workdir)


def _run(config: ConfigDict, workdir: str | pathlib.Path) -> None:
    """Everything except the report; writes nothing before all checks have passed."""
    parts = rewind_sweep.parts(config, workdir)
    for one, folder in ((config, workdir), *parts):
        lock.check(folder, one)
        check_tables(folder)
    events.check(config.log.writer)
    metrics.check(config)
    with display.bar("reading the images"):
        dataset = load_dataset(config)
    remarks = about.remarks(dataset.provenance)
    if remarks and processes.is_first():
        display.say(remarks)
    origin = {**provenance.collect(), "data": dataset.provenance}
    chosen = config
    if config.rewind.step == "auto":
        chosen, origin["rewind"] = rewind_point.choose(config, workdir, run)
    with display.bar("preparing the networks"):
        prepared, data = prepare(chosen, dataset)
        prepared = of(config).check(prepared, data)
    if prepared.evaluator is not None:
        origin["evaluation"] = prepared.evaluator.provenance
    _run_in(workdir, config, origin, prepared, data)
    for one, folder in parts:
        _run_in(folder, one, origin, rewind_sweep.prepare(prepared, one), data)
        _report(one, folder)


def _run_in(
    workdir: str | pathlib.Path,
    config: ConfigDict,
    origin: dict[str, Any],
    prepared: setup.Prepared,
    data: pipeline.Data,
) -> None:
    """Runs or resumes a prepared experiment.

    Args:
      workdir: folder for all results.
      config: options, as given.
      origin: provenance, stored with them.
      prepared, data: the experiment; rewind.step=auto is replaced by the step.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(lock.claimed(workdir, config, origin))
        store = stack.enter_context(contextlib.closing(Checkpoints(workdir)))
        folder = paths.tensorboard_dir(workdir) if processes.is_first() else None
        writer = events.make(config.log.writer, folder)
        stack.enter_context(contextlib.closing(writer))
        curves = CurveWriter(workdir if processes.is_first() else None, writer)
        recorder = Recorder(workdir, config, origin, writer, curves)
        if processes.is_first():
            header.show(prepared, origin, workdir)
        recorder.parameters(prepared.shapes.params, prepared.pruner.names)
        with display.bar("measuring the baselines"):
            baselines.record(prepared, data, recorder)
        recorder.show_rounds()
        stop = stack.enter_context(signals.stop_signals())
        of(config).run(prepared, data, store, recorder, stop)


def _report(config: ConfigDict, workdir: str | pathlib.Path) -> None:
    """Draws the page of a finished experiment and prints its result."""
    if not processes.is_first():
        return
    # Imported late: plotting libraries take two seconds to import.
    from gen_tickets.report import outcomes, render, rewinds

    with display.bar("drawing the report"):
        page = render.draw(workdir)
    if config.procedure == "stability":
        print(stability_report.told(stability_report.load(workdir)))
    elif config.rewind.sweep:
        print(rewinds.told(rewinds.load(workdir)))
    else:
        verdict.show(outcomes.load(workdir).judge())
    print(f"report: {page}")


def load_dataset(config: ConfigDict) -> dataset_lib.Dataset:
    """The images of an experiment; with several processes, each reads its part."""

    def fetch() -> None:
        if processes.is_first():
            dataset_lib.fetch(config)

    processes.together(fetch)
    return dataset_lib.load(config, processes.read_shares)


def prepare(
    config: ConfigDict, dataset: dataset_lib.Dataset
) -> tuple[setup.Prepared, pipeline.Data]:
    """Builds the experiment, puts its images on the devices and sets up its metrics.

    Raises:
      UserError: the options contradict each other, the images or the devices.
    """
    images = dataset.train.images
    prepared = setup.prepare(config, tuple(images.shape[1:]), len(images))
    data = pipeline.place(
        dataset,
        prepared.dense.layout,
        prepared.schedule,
        batch_size=config.data.batch_size,
        num_shown=config.eval.num_shown,
        num_members=prepared.tickets.num_members,
        streamed=not config.data.resident,
    )
    if config.eval.metrics:
        evaluator = metrics.Evaluator(config, dataset)
        prepared = dataclasses.replace(prepared, evaluator=evaluator)
    return prepared, data
