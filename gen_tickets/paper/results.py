"""What the experiments of a scale have found, curve by curve and claim by claim."""

import pathlib
from typing import Any, NamedTuple, Sequence

from gen_tickets.paper import claims
from gen_tickets.paper import experiment as experiments
from gen_tickets.paper import table2
from gen_tickets.paper.claims import Evidence, Judgement
from gen_tickets.paper.declared import Claim, Curve, Figure, Measure
from gen_tickets.paper.experiment import Experiment
from gen_tickets.paper.scales import Scale
from gen_tickets.report import outcomes
from gen_tickets.workdir import paths


class Results(NamedTuple):
    """The experiments of a scale below a folder."""

    scale: Scale
    root: pathlib.Path
    how_to_run: tuple[tuple[str, Any], ...] = ()

    def experiment(self, curve: Curve) -> Experiment | None:
        """What is run for a curve; None: this scale has nothing for it."""
        return self.scale.experiment(curve.setting, curve.changes)

    def folder(self, curve: Curve) -> pathlib.Path:
        """The folder of a curve's experiment."""
        return self.experiment(curve).folder(self.root)

    def unfinished(self, curve: Curve) -> str:
        """Why there is nothing to judge yet, in words; "" where there is."""
        experiment = self.experiment(curve)
        if experiment is None:
            return f"not at the {self.scale.name} scale"
        trainings = experiment.trainings(self.root, self.how_to_run)
        states = {x.folder.name: experiments.state(x) for x in trainings}
        left = [f"{name}: {s}" for name, s in states.items() if not s.finished]
        return ", ".join(left)

    def outcome(self, curve: Curve) -> outcomes.Outcome | None:
        """The tables of a curve's experiment, finished or not; None: there are none."""
        experiment = self.experiment(curve)
        if experiment is None:
            return None
        folder = experiment.folder(self.root)
        return outcomes.load(folder) if paths.results_path(folder).exists() else None

    def evidence(self, curve: Curve) -> Evidence | None:
        """What a curve says; None where its experiment is not there or not begun."""
        if curve.setting == "table2":
            return self._of_table2(curve)
        found = self.outcome(curve)
        return found and Evidence(curve.label, curve.arm, found.rows)

    def _of_table2(self, curve: Curve) -> Evidence | None:
        if self.unfinished(curve):
            return None
        row = next(row for row in table2.ROWS if row.label == curve.label)
        rows = table2.rows_of(row, self.folder(curve))
        return Evidence(curve.label, row.arm, rows)


def column(measure: Measure, evidence: Sequence[Evidence]) -> str | None:
    """The first column of a measure that all have; None: there is none."""
    tables = [{name for row in one.rows for name in row} for one in evidence]
    for name in measure.columns:
        if tables and all(name in table for table in tables):
            return name
    return None


def judge(claim: Claim, results: Results) -> Judgement:
    """What the results say of a claim."""
    told = dict.fromkeys(results.unfinished(curve) for curve in claim.curves)
    reasons = [reason for reason in told if reason]
    if reasons:
        more = f"; and {len(reasons) - 2} more" if len(reasons) > 2 else ""
        return Judgement(claims.NOT_TRIED, "; ".join(reasons[:2]) + more)
    evidence = [results.evidence(curve) for curve in claim.curves]
    name = column(claim.measure, evidence)
    if name is None:
        return Judgement(claims.NOT_TRIED, f"{claim.measure.label} is not measured")
    return claim.test(evidence, name)


def needed(figure: Figure, scale: Scale) -> list[Experiment]:
    """The experiments of a figure, each once, those that others take up first."""
    found: dict[str, Experiment] = {}

    def add(experiment: Experiment | None) -> None:
        if experiment is not None and experiment.name not in found:
            add(experiment.source)
            found[experiment.name] = experiment

    if figure.trains:
        for curve in figure.curves():
            add(scale.experiment(curve.setting, curve.changes))
    return list(found.values())


def judged(figure: Figure, results: Results) -> list[dict[str, str]]:
    """The lines of claims.csv of a figure."""
    lines = []
    for claim in figure.claims:
        judgement = judge(claim, results)
        setting = claim.curves[0].setting
        lines.append(
            {
                "figure": figure.name,
                "claim": claim.text,
                "outcome": judgement.outcome,
                "found": judgement.found,
                "scale": results.scale.name,
                "instead": results.scale.instead(setting),
            }
        )
    return lines
