"""The experiments of a scale: their options, progress, results and judged claims.

An experiment is a file of experiments/ in the size with the name of the scale, such as
`get_config("laptop")`, possibly with changed options; `smoke` is the laptop size
shortened to seconds. It has one workdir, which all figures share.
"""

import collections
import importlib
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from gen_tickets.config import defaults, effects
from gen_tickets.paper.claims import Evidence, NotTried
from gen_tickets.paper.figures import FIGURES, Claim, Curve, Variant, alone
from gen_tickets.report import gates, outcomes
from gen_tickets.report.statistics import percent
from gen_tickets.workdir import paths, tables

SCALES = {
    "smoke": "seconds, on digits: only checks that everything runs",
    "laptop": "two CPU cores: MNIST at 32x32 instead of CIFAR-10, no CelebA",
    "gpu": "CIFAR-10 and MNIST, fewer epochs, runs and rounds",
    "full": "the paper's experiments, 5 runs and 20 rounds",
}
FINISHED, NOT_TRIED, NOT_JUDGED = "finished", "not tried", "not judged"

# The experiment whose tickets are transferred (Fig. 8).
_SOURCES = {
    "transfer_vae_to_dcgan": Curve("", "vae_cifar10", variant=alone("decoder")),
    "transfer_dcgan_to_vae": Curve("", "transfer_vae_to_dcgan"),
}
# The metrics of the paper; classifier metrics need classes, which CelebA lacks.
_METRICS = {
    "ae": ("accuracy",),
    "vae": ("fid", "accuracy"),
    "gan": ("fid", "inception_score", "fd_classifier"),
    "diffusion": ("fid", "fd_classifier"),
}
_NEED_CLASSES = ("accuracy", "fd_classifier")


class Experiment(NamedTuple):
    """A workdir, finished or not, and its options."""

    folder: pathlib.Path
    config: ConfigDict
    source: "Experiment | None" = None  #: provides transferred tickets

    def state(self) -> str:
        """Its progress: "missing", "6 of 10 trainings", or FINISHED."""
        path = paths.results_path(self.folder)
        rows = tables.read_rows(path) if path.exists() else []
        there = {(row["round"], row["arm"], row["run"]) for row in rows}
        wanted = _trainings(self.config)
        if wanted <= there:
            return FINISHED
        if not self.folder.exists():
            return "missing"
        return f"{len(wanted & there)} of {len(wanted)} trainings"

    def description(self) -> str:
        """Such as "digits, widths 24, 48, 700 steps, 3 runs, 5 rounds of 50.0 %"."""
        train, prune = self.config.train, self.config.prune
        widths = ", ".join(map(str, self.config.model.widths))
        length = f"{train.steps} steps" if train.steps else f"{train.epochs} epochs"
        text = f"{self.config.data.name}, widths {widths}, {length}, "
        text += f"{self.config.runs} runs"
        if prune.sparsities:
            sparsities = map(percent, prune.sparsities[: prune.rounds])
            text += f", to {', '.join(sparsities)}"
        elif prune.schedule != "early_bird":
            text += f", {prune.rounds} rounds of {percent(prune.fraction)}"
        return text


def _trainings(config: ConfigDict) -> set[tuple[int, str, int]]:
    """(round, arm, run) of every row of a finished results.csv."""
    is_dynamic = config.procedure == "dynamic"
    runs = range(config.runs)
    arms = tuple(config.dynamic.methods if is_dynamic else config.arms)
    if config.prune.schedule == "early_bird":
        return {(1, "early_bird", run) for run in runs}
    arms += ("transferred",) if config.ticket.path else ()
    rounds = range(1, config.prune.rounds + 1)
    pruned = {(number, arm, run) for number in rounds for arm in arms for run in runs}
    return pruned | {(0, "dense", run) for run in runs}


def options_of(file: str, scale: str, variant: Variant = Variant()) -> ConfigDict:
    """The options of an experiment file at a scale.

    Raises:
      defaults.UnknownSize: the file does not have this scale.
    """
    module = importlib.import_module(f"gen_tickets.experiments.{file}")
    config = module.get_config("laptop" if scale == "smoke" else scale)
    config.update_from_flattened_dict(dict(variant.changes))
    if variant.width != 1:
        widths = (round(variant.width * width) for width in config.model.widths)
        config.model.widths = tuple(widths)
    if scale == "full":  # FID and Inception Score of 50,000 samples, as in the paper
        has_classes = config.data.name != "celeb_a"
        config.eval.metrics = tuple(
            name
            for name in _METRICS[config.task.name]
            if has_classes or name not in _NEED_CLASSES
        )
        if "fid" in config.eval.metrics:
            config.eval.verdict = "fid"
            config.eval.num_samples = 50_000
    if scale == "smoke":
        defaults.resize(config, "smoke")
        defaults.narrow(config)
        config.data.name = "digits"
    return config


class Results(NamedTuple):
    """The experiments of a scale, in a folder."""

    scale: str
    root: pathlib.Path
    how_to_run: tuple[tuple[str, Any], ...] = ()  #: options that change no result

    def experiment(self, curve: Curve) -> Experiment | None:
        """The experiment of a curve; None: this scale has none."""
        if curve.only_full and self.scale != "full":
            return None
        try:
            config = options_of(curve.file, self.scale, curve.variant)
        except defaults.UnknownSize:
            return None
        given = dict(self.how_to_run)
        # Of these, an experiment refuses what it does not use.
        for name in effects.without_effect(defaults.flatten(config), given.keys()):
            del given[name]
        config.update_from_flattened_dict(given)
        source = None
        if curve.file in _SOURCES:
            source = self.experiment(_SOURCES[curve.file])
            if source is None:
                return None
            config.ticket.path = str(source.folder)
        defaults.validate(config)
        name = "-".join(filter(None, (curve.file, curve.variant.name)))
        return Experiment(self.root / "experiments" / name, config, source)

    def experiments(self, names: Sequence[str]) -> list[Experiment]:
        """The experiments of several figures, without repetition, sources first."""
        found: dict[pathlib.Path, Experiment] = {}

        def add(one: Experiment | None) -> None:
            if one is not None and one.folder not in found:
                add(one.source)
                found[one.folder] = one

        for name in names:
            for curve in FIGURES[name].curves() if FIGURES[name].trains else ():
                add(self.experiment(curve))
        return list(found.values())

    def evidence(self, curve: Curve) -> Evidence | None:
        """The results of a curve so far; None: its experiment has not started."""
        experiment = self.experiment(curve)
        if experiment is None or not paths.results_path(experiment.folder).exists():
            return None
        run = outcomes.load(experiment.folder)
        # Seconds of one training: results.csv has those of all members of a round
        # together, except for early-bird tickets, which train one at a time.
        together = collections.Counter(
            row["round"] for row in run.rows if row["arm"] != "early_bird"
        )
        rows = [
            {**row, "seconds": row["seconds"] / (together[row["round"]] or 1)}
            for row in run.rows
        ]
        return Evidence(
            label=curve.label,
            arm=curve.arm,
            rows=rows,
            layers=run.layers,
            workdir=run.workdir,
            curves=run.curves,
            baselines=run.baselines,
        )

    def unfinished(self, curve: Curve) -> str:
        """Why there is nothing to judge yet, as text; "" if there is."""
        experiment = self.experiment(curve)
        if experiment is None:
            return f"{curve.file} is not at the {self.scale} scale"
        state = experiment.state()
        return "" if state == FINISHED else f"{experiment.folder.name}: {state}"

    def stand_in(self, curve: Curve) -> str:
        """What is trained instead of the paper's experiment; "": the paper's own."""
        experiment = None if self.scale == "full" else self.experiment(curve)
        return experiment.description() if experiment else ""


def first_column(names: Sequence[str], evidence: Sequence[Evidence]) -> str | None:
    """The first column that all evidence has; None: there is none."""
    there = [{name for row in one.rows for name in row} for one in evidence]
    found = (name for name in names if all(name in columns for columns in there))
    return next(found, None) if there else None


class Judged(NamedTuple):
    """The outcome of a claim."""

    outcome: str  #: "reproduced", "not reproduced", NOT_JUDGED or NOT_TRIED
    found: str  #: the numbers, or why there are none
    gates: str = ""  #: failed gates of the training


def judge(claim: Claim, results: Results) -> Judged:
    """Judges a claim by its experiments, unless one of their gates fails."""
    reasons = filter(None, map(results.unfinished, claim.curves))
    if reason := "; ".join(dict.fromkeys(reasons)):
        return Judged(NOT_TRIED, reason)
    evidence = list(filter(None, map(results.evidence, claim.curves)))
    name = first_column(claim.columns, evidence)
    if name is None:
        return Judged(NOT_TRIED, f"{' or '.join(claim.columns)} is not measured")
    try:
        holds, found = claim.test(name, *evidence)
    except NotTried as missing:
        return Judged(NOT_TRIED, str(missing))
    outcome = "reproduced" if holds else "not reproduced"
    failed = {x.workdir.name: gates.failures(x.judge(name).gates) for x in evidence}
    told = " ".join(f"{folder}: {text}" for folder, text in failed.items() if text)
    if told and claim.is_of_quality:
        return Judged(NOT_JUDGED, f"{outcome} by the numbers: {found}", told)
    return Judged(outcome, found)


def judge_all(results: Results) -> list[dict[str, str]]:
    """The rows of claims.csv: every claim of every figure."""
    lines = []
    for name, figure in FIGURES.items():
        for claim in figure.claims:
            line = {"figure": name, "claim": claim.text}
            line |= judge(claim, results)._asdict()
            line |= {"scale": results.scale}
            lines.append(line | {"instead": results.stand_in(claim.curves[0])})
    return lines
