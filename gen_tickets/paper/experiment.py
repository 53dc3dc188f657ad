"""An experiment behind a figure: a file of experiments/ at one of four scales.

The scale is the size of the file, `get_config("laptop")`; at `smoke` the laptop's recipe
is shortened to seconds. Each experiment has one workdir, which all figures share.
"""

import importlib
import pathlib
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from gen_tickets import procedures
from gen_tickets.config import defaults
from gen_tickets.data import dataset
from gen_tickets.evaluation import metrics
from gen_tickets.report import outcomes, statistics
from gen_tickets.workdir import lock, paths, records

SCALES = {
    "smoke": "seconds, on digits: whether it all works, no result",
    "laptop": "two CPU cores: MNIST, digits in the place of CIFAR-10, no CelebA",
    "gpu": "CIFAR-10 and MNIST, fewer epochs, runs and rounds",
    "full": "the paper's experiments, 5 runs and 20 rounds",
}
MISSING, FINISHED = "missing", "finished"

# What the paper measures. The classifier's need classes, which CelebA has not.
_METRICS = {
    "ae": ("accuracy",),
    "vae": ("fid", "accuracy"),
    "gan": ("fid", "inception_score", "fd_classifier"),
}
_OF_CLASSIFIER = ("accuracy", "fd_classifier")


class Variant(NamedTuple):
    """Options changed in an experiment file, and what its workdir is called then."""

    name: str = ""
    changes: tuple[tuple[str, Any], ...] = ()


def alone(component: str) -> Variant:
    """One component is pruned; the winning arm alone is trained."""
    changes = (("prune.components", (component,)), ("arms", ("winning",)))
    return Variant(component, changes)


# Whose tickets an experiment takes (Fig. 8).
_SOURCES = {
    "transfer_vae_to_dcgan": ("vae_cifar10", alone("decoder")),
    "transfer_dcgan_to_vae": ("transfer_vae_to_dcgan", Variant()),
}


class Experiment(NamedTuple):
    """A workdir, finished or not, and the options it has."""

    name: str
    folder: pathlib.Path
    config: ConfigDict
    source: "Experiment | None" = None  #: whose tickets it takes

    def state(self) -> str:
        """MISSING, FINISHED, or how far it is, as "round 2 of 20" or "run 1 of 3".

        One with more rounds than asked for is finished.
        """
        if not self.folder.exists():
            return MISSING
        path, config = paths.results_path(self.folder), self.config
        rows = records.read_rows(path) if path.exists() else []
        there = {(row["round"], row["arm"], row["run"]) for row in rows}
        parts = _parts(config)
        done = next((i for i, part in enumerate(parts) if not part <= there), None)
        if done is None:
            return FINISHED
        if config.prune.schedule == "early_bird":
            return f"run {done + 1} of {config.runs}"
        return f"round {done} of {config.prune.rounds}"

    def check(self) -> None:
        """Raises UserError where a run would be refused, before anything slow."""
        lock.check(self.folder, self._as_begun())
        if self.state() != FINISHED:
            dataset.check(self.config)
            metrics.check(self.config)

    def run(self) -> None:
        """Runs the experiment, or goes on with it; see `procedures.run`."""
        procedures.run(self._as_begun(), self.folder)

    def _as_begun(self) -> ConfigDict:
        """The options with as many rounds as the workdir has, where it has more."""
        config = self.config.copy_and_resolve_references()
        if paths.results_path(self.folder).exists():
            begun = outcomes.load(self.folder).config["prune.rounds"]
            config.prune.rounds = max(config.prune.rounds, int(begun))
        return config

    def description(self) -> str:
        """As "digits, widths 24, 48, 700 steps, 3 runs, 5 rounds of 50 %"."""
        config = self.config
        widths = ", ".join(map(str, config.model.widths))
        length = f"{config.train.epochs} epochs"
        if config.train.steps:
            length = f"{config.train.steps} steps"
        text = f"{config.data.name}, widths {widths}, {length}, {config.runs} runs"
        if config.prune.schedule == "early_bird":
            return text
        share = statistics.percent(config.prune.fraction)
        return f"{text}, {config.prune.rounds} rounds of {share}"


def _parts(config) -> list[set[tuple[int, str, int]]]:
    """(round, arm, run) of the rows of every round, or of every early-bird run."""
    runs = range(config.runs)
    if config.prune.schedule == "early_bird":
        return [{(1, "early_bird", run)} for run in runs]
    arms = (*config.arms, *(("transferred",) if config.ticket.path else ()))
    rounds = range(1, config.prune.rounds + 1)
    return [
        {(0, "dense", run) for run in runs},
        *({(number, arm, run) for arm in arms for run in runs} for number in rounds),
    ]


def build(
    scale: str, root: pathlib.Path, file: str, variant: Variant, how_to_run=()
) -> Experiment | None:
    """The experiment of a file at a scale; None where the file has no such size.

    Args:
      scale: one of SCALES.
      root: folder of this scale's results.
      file: name of a file in experiments/, without .py.
      variant: options changed.
      how_to_run: (option, value) that change no result, as ("data.dir", DIR).

    Raises:
      UserError: the options are not valid.
    """
    module = importlib.import_module(f"gen_tickets.experiments.{file}")
    try:
        config = module.get_config("laptop" if scale == "smoke" else scale)
    except defaults.UnknownSize:
        return None
    config.update_from_flattened_dict(dict(variant.changes))
    if scale == "full":
        _measure_as_the_paper(config)
    if scale == "smoke":
        _shorten(config)
    config.update_from_flattened_dict(dict(how_to_run))
    source = None
    if file in _SOURCES:
        source_file, source_variant = _SOURCES[file]
        source = build(scale, root, source_file, source_variant, how_to_run)
        config.ticket.path = str(source.folder)
    defaults.validate(config)
    name = f"{file}-{variant.name}" if variant.name else file
    return Experiment(name, root / "experiments" / name, config, source)


def _measure_as_the_paper(config) -> None:
    """FID, Inception Score and the classifier's accuracy, of 50,000 samples."""
    names = _METRICS[config.task.name]
    if config.data.name == "celeb_a":
        names = tuple(name for name in names if name not in _OF_CLASSIFIER)
    config.eval.metrics = names
    if "fid" in names:
        config.eval.verdict = "fid"
        config.eval.num_samples = 50_000


def _shorten(config) -> None:
    """Seconds on the digits, at the size of the images that they stand for."""
    defaults.resize(config, "smoke")
    if config.data.name == "cifar10":
        config.data.image_size = 32
    config.data.name = "digits"
