"""An experiment behind a figure: a file of experiments/ with some options changed.

It has one folder, which all figures share. How far it is, its results table says; to
run it, or to go on, is what `procedures.run` does with the same options.
"""

import importlib
import pathlib
from typing import Any, NamedTuple

from gen_tickets import procedures
from gen_tickets.config import defaults
from gen_tickets.data import dataset
from gen_tickets.evaluation import metrics
from gen_tickets.paper import table2
from gen_tickets.report import outcomes
from gen_tickets.workdir import lock, paths, tables


class Training(NamedTuple):
    """One workdir of an experiment; Table 2 has several, all others one."""

    folder: pathlib.Path
    config: Any


class State(NamedTuple):
    """How far a training is, in rounds (the dense one is round 0) or in runs."""

    done: int
    total: int
    unit: str  # "round" or "run"

    @property
    def finished(self) -> bool:
        return self.done >= self.total

    def __str__(self) -> str:
        if self.finished:
            return "finished"
        if self.done == 0:
            return "to do"
        # Rounds are counted from 0, the dense one.
        first = 1 if self.unit == "run" else 0
        return f"{self.unit} {self.done + first} of {self.total - 1 + first}"


class Experiment(NamedTuple):
    """Name of the folder, file of experiments/, its size, and the options changed."""

    name: str
    file: str
    size: str = "full"
    changes: tuple[tuple[str, Any], ...] = ()
    source: "Experiment | None" = None  # whose tickets it takes over

    def folder(self, root) -> pathlib.Path:
        return pathlib.Path(root) / "experiments" / self.name

    def config(self, root, how_to_run=()) -> Any:
        """The validated options.

        Args:
          root: folder of the experiments of this scale.
          how_to_run: more changes, as ("data.dir", DIR), that do not alter results.
        """
        module = importlib.import_module(f"gen_tickets.experiments.{self.file}")
        config = module.get_config(self.size)
        config.update_from_flattened_dict(dict(self.changes) | dict(how_to_run))
        if self.source is not None:
            config.ticket.path = str(self.source.folder(root))
        defaults.validate(config)
        return config

    def trainings(self, root, how_to_run=()) -> list[Training]:
        """Every workdir that the experiment has, with its options."""
        config, folder = self.config(root, how_to_run), self.folder(root)
        if config.suite == "table2":
            parts = table2.experiments(config)
            return [Training(folder / name, part) for name, part in parts.items()]
        return [Training(folder, config)]

    def is_finished(self, root, how_to_run=()) -> bool:
        found = self.trainings(root, how_to_run)
        return all(state(training).finished for training in found)


def members(config, round_number: int) -> list[tuple[str, int]]:
    """(arm, run) of all that a round trains."""
    if config.prune.schedule == "early_bird":
        arms = ("early_bird",)
    elif round_number == 0:
        arms = ("dense",)
    else:
        arms = (*config.arms, *(("transferred",) if config.ticket.path else ()))
    return [(arm, run) for arm in arms for run in range(config.runs)]


def state(training: Training) -> State:
    """What the results table of a training says; one with more rounds is finished."""
    config, path = training.config, paths.results_path(training.folder)
    rows = tables.read_rows(path) if path.exists() else []
    there = {(row["round"], row["arm"], row["run"]) for row in rows}
    if config.prune.schedule == "early_bird":
        done = sum((1, *member) in there for member in members(config, 1))
        return State(done, config.runs, "run")
    done, total = 0, config.prune.rounds + 1
    while done < total and {(done, *of) for of in members(config, done)} <= there:
        done += 1
    return State(done, total, "round")


def _as_begun(training: Training) -> Any:
    """The options with as many rounds as the folder has, where it has more."""
    if not paths.results_path(training.folder).exists():
        return training.config
    config = training.config.copy_and_resolve_references()
    begun = outcomes.load(training.folder).config
    config.prune.rounds = max(config.prune.rounds, int(begun["prune.rounds"]))
    return config


def check(experiment: Experiment, root, how_to_run) -> None:
    """Raises UserError where a run would be refused, before anything slow."""
    for training in experiment.trainings(root, how_to_run):
        lock.check(training.folder, _as_begun(training))
        if not state(training).finished:
            dataset.check(training.config)
            metrics.check(training.config)


def run(experiment: Experiment, root, how_to_run) -> None:
    """Runs an experiment, or goes on with it; see `lottery.run`."""
    config, folder = experiment.config(root, how_to_run), experiment.folder(root)
    if not config.suite:
        config = _as_begun(Training(folder, config))
    procedures.run(config, folder)
