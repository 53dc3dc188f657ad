"""What the experiments of a scale have found, curve by curve and claim by claim."""

import collections
import pathlib
from typing import Any, NamedTuple, Sequence

from gen_tickets.paper import experiment as experiments
from gen_tickets.paper.claims import Evidence, NotTried
from gen_tickets.paper.experiment import Experiment
from gen_tickets.paper.figures import Claim, Curve, Figure, Measure
from gen_tickets.report import outcomes
from gen_tickets.workdir import paths

REPRODUCED, NOT_REPRODUCED = "reproduced", "not reproduced"
NOT_TRIED = "not tried"


class Results(NamedTuple):
    """The experiments of a scale, below a folder."""

    scale: str
    root: pathlib.Path
    how_to_run: tuple[tuple[str, Any], ...] = ()

    def experiment(self, curve: Curve) -> Experiment | None:
        """What is run for a curve; None: this scale has nothing for it."""
        if curve.only_full and self.scale != "full":
            return None
        return experiments.build(
            self.scale, self.root, curve.file, curve.variant, self.how_to_run
        )

    def experiments(self, figures: Sequence[Figure]) -> list[Experiment]:
        """Those of several figures, each once, sources of tickets before their users."""
        found: dict[str, Experiment] = {}

        def add(one: Experiment | None) -> None:
            if one is not None and one.name not in found:
                add(one.source)
                found[one.name] = one

        for figure in figures:
            for curve in figure.curves() if figure.trains else ():
                add(self.experiment(curve))
        return list(found.values())

    def instead(self, curve: Curve) -> str:
        """In words, what stands in for the paper's data and sizes; "": nothing."""
        experiment = self.experiment(curve)
        if experiment is None or self.scale == "full":
            return ""
        return experiment.description()

    def unfinished(self, curve: Curve) -> str:
        """Why there is nothing to judge yet, in words; "" where there is."""
        experiment = self.experiment(curve)
        if experiment is None:
            return f"{curve.file} is not at the {self.scale} scale"
        state = experiment.state()
        return "" if state == experiments.FINISHED else f"{experiment.name}: {state}"

    def outcome(self, curve: Curve) -> outcomes.Outcome | None:
        """The tables of a curve's experiment, finished or not; None: there are none."""
        experiment = self.experiment(curve)
        if experiment is None or not paths.results_path(experiment.folder).exists():
            return None
        return outcomes.load(experiment.folder)

    def evidence(self, curve: Curve) -> Evidence | None:
        """What a curve says; None: its experiment is not there, or not begun."""
        found = self.outcome(curve)
        return found and Evidence(curve.label, curve.arm, _of_members(found.rows))


def _of_members(rows) -> list[dict[str, Any]]:
    """Rows with the seconds of one member: those of a round train together, but for
    early-bird runs, and each row has the seconds of all."""
    together = collections.Counter(
        row["round"] for row in rows if row["arm"] != "early_bird"
    )
    return [{**x, "seconds": x["seconds"] / (together[x["round"]] or 1)} for x in rows]


def column(measure: Measure, evidence: Sequence[Evidence]) -> str | None:
    """The first column of a measure that all have; None: there is none."""
    tables = [{name for row in one.rows for name in row} for one in evidence]
    for name in measure.columns:
        if tables and all(name in table for table in tables):
            return name
    return None


def judge(claim: Claim, results: Results) -> tuple[str, str]:
    """(outcome, the numbers or the reason) of a claim."""
    reasons = dict.fromkeys(results.unfinished(curve) for curve in claim.curves)
    told = [reason for reason in reasons if reason]
    if told:
        more = f"; and {len(told) - 2} more" if len(told) > 2 else ""
        return NOT_TRIED, "; ".join(told[:2]) + more
    evidence = [results.evidence(curve) for curve in claim.curves]
    name = column(claim.measure, evidence)
    if name is None:
        return NOT_TRIED, f"{claim.measure.label} is not measured"
    try:
        holds, found = claim.test(evidence, name)
    except NotTried as reason:
        return NOT_TRIED, str(reason)
    return (REPRODUCED if holds else NOT_REPRODUCED), found


def judged(figure: Figure, results: Results) -> list[dict[str, str]]:
    """The lines of claims.csv of a figure."""
    lines = []
    for claim in figure.claims:
        outcome, found = judge(claim, results)
        lines.append(
            {
                "figure": figure.name,
                "claim": claim.text,
                "outcome": outcome,
                "found": found,
                "scale": results.scale,
                "instead": results.instead(claim.curves[0]),
            }
        )
    return lines
