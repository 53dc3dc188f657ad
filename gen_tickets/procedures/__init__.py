"""Procedures: what an experiment does, from its options to its report."""

import contextlib
import dataclasses
import pathlib
import sys
import types

from ml_collections import ConfigDict

from gen_tickets.data import about
from gen_tickets.data import dataset as dataset_lib
from gen_tickets.data import pipeline
from gen_tickets.distributed import memory, processes
from gen_tickets.evaluation import metrics
from gen_tickets.procedures import (
    baselines,
    early_bird,
    lottery,
    rewind_point,
    setup,
    stability,
)
from gen_tickets.report import stability as stability_report
from gen_tickets.training import driver
from gen_tickets.workdir import events, lock, paths, provenance
from gen_tickets.workdir.checkpoints import Checkpoints
from gen_tickets.workdir.curves import CurveWriter
from gen_tickets.workdir.recorder import Recorder, check_tables


def of(config: ConfigDict) -> types.ModuleType:
    """The module with `check` and `run` of the procedure of an experiment."""
    if config.procedure == "stability":
        return stability
    return early_bird if config.prune.schedule == "early_bird" else lottery


def run(config: ConfigDict, workdir: str | pathlib.Path) -> None:
    """Runs or resumes an experiment in `workdir`.

    Args:
      config: validated options.
      workdir: folder for all results; see `workdir.paths`.

    Raises:
      UserError: the data, the options or the folder are not valid.
      errors.Interrupted: a signal arrived; everything is saved.
    """
    with memory.memory_errors_told():
        _run(config, workdir)
    if not processes.is_first():
        return
    if config.procedure == "stability":
        print(stability_report.draw(workdir, config))
        return
    # Imported late: plotting libraries take two seconds to import.
    from gen_tickets.report import outcomes, render

    page = render.draw(workdir)
    print(outcomes.load(workdir).judge().sentence)
    print(f"report: {page}")


def _run(config: ConfigDict, workdir: str | pathlib.Path) -> None:
    """Everything except the report; writes nothing before all checks have passed."""
    lock.check(workdir, config)
    check_tables(workdir)
    events.check(config.log.writer)
    metrics.check(config)
    dataset = load_dataset(config)
    remarks = about.remarks(dataset.provenance)
    if remarks and processes.is_first():
        print(remarks, file=sys.stderr)
    origin = {**provenance.collect(), "data": dataset.provenance}
    chosen, procedure = config, of(config)
    if config.rewind.step == "auto":
        chosen, origin["rewind"] = rewind_point.choose(config, workdir, run)
    prepared, data = prepare(chosen, dataset)
    prepared = procedure.check(prepared, data)
    if prepared.evaluator is not None:
        origin["evaluation"] = prepared.evaluator.provenance
    with contextlib.ExitStack() as stack:
        held = processes.together(
            lambda: processes.is_first() and lock.claim(workdir, config, origin)
        )
        if held:
            stack.callback(held.release)
        store = stack.enter_context(contextlib.closing(Checkpoints(workdir)))
        folder = paths.tensorboard_dir(workdir) if processes.is_first() else None
        writer = events.make(config.log.writer, folder)
        stack.enter_context(contextlib.closing(writer))
        curves = CurveWriter(workdir if processes.is_first() else None, writer)
        recorder = Recorder(workdir, config, origin, writer, curves)
        recorder.parameters(prepared.shapes.params, prepared.pruner.names)
        if config.procedure == "tickets":
            baselines.record(prepared, data, recorder)
        stop = stack.enter_context(driver.stop_signals())
        procedure.run(prepared, data, store, recorder, stop)


def load_dataset(config: ConfigDict) -> dataset_lib.Dataset:
    """The images of an experiment; with several processes each reads a share."""
    processes.together(lambda: processes.is_first() and dataset_lib.fetch(config))
    return dataset_lib.load(config, processes.read_shares)


def prepare(
    config: ConfigDict, dataset: dataset_lib.Dataset
) -> tuple[setup.Prepared, pipeline.Data]:
    """An experiment, its images on the devices, and the networks of its metrics.

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
