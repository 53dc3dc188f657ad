"""Learning curves of a workdir, as means over its runs."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pandas as pd

from gen_tickets.report.charts import GREY, Chart, Line
from gen_tickets.report.sparsity import axis_label
from gen_tickets.workdir import columns

Item = TypeVar("Item")

_MOST_ROUNDS = 6  # per arm
# Viridis without its darkest and brightest shades, from the first round on.
_SHADES = ("#46327e", "#365c8d", "#277f8e", "#1fa187", "#4ac16d", "#a0da39")


class LearningCurve(NamedTuple):
    """A metric during one training, averaged over runs; E = evaluations."""

    round: int
    label: str
    steps: np.ndarray  #: int [E]
    training: np.ndarray  #: float [E], mean over the steps before each evaluation
    heldout: np.ndarray  #: float [E]
    std: np.ndarray  #: float [E], of `heldout` over runs (ddof = 1); nan for one run


class Learning(NamedTuple):
    """One metric over the steps of every training."""

    metric: str
    arms: dict[str, list[LearningCurve]]  #: all but dense; a curve per round
    dense: LearningCurve | None


def learning(
    rows: Sequence[Mapping[str, Any]], labels: Mapping[int, str]
) -> list[Learning]:
    """Returns the learning curves of every metric, in the order of the table.

    Omits metrics that equal an earlier one, such as the reconstruction error of an
    autoencoder without another loss term. Equal constants are a coincidence.

    Args:
      rows: of curves.csv.
      labels: {round: label}; the default is "round 7".
    """
    groups = pd.DataFrame(rows).groupby(["arm", "round", "step"], sort=False)
    means = groups.mean(numeric_only=True)
    deviations = groups.std(numeric_only=True)
    names = [name for name in means if columns.find(name).role == "metric"]
    found: list[Learning] = []
    drawn: list[np.ndarray] = []
    for metric in dict.fromkeys(map(columns.metric_of, names)):
        values = means.reindex(columns=[f"interval_{metric}", f"heldout_{metric}"])
        table = values.to_numpy()
        if any(_is_same(table, earlier) for earlier in drawn):
            continue
        drawn.append(table)
        values["std"] = deviations.get(f"heldout_{metric}", np.nan)
        arms: dict[str, list[LearningCurve]] = {}
        for (arm, number), of_round in values.groupby(["arm", "round"], sort=False):
            training, heldout, std = of_round.to_numpy().T
            if np.isfinite([training, heldout]).any():
                steps = of_round.index.get_level_values("step").to_numpy()
                label = labels.get(number, f"round {number}")
                curve = LearningCurve(number, label, steps, training, heldout, std)
                arms.setdefault(arm, []).append(curve)
        if arms:
            (dense,) = arms.pop("dense", [None])
            found.append(Learning(metric, arms, dense))
    return found


def _is_same(values: np.ndarray, earlier: np.ndarray) -> bool:
    """Whether [:, (interval, held-out)] of two metrics are equal and not constant."""
    varies = any(len(set(column[np.isfinite(column)])) > 1 for column in values.T)
    return varies and np.array_equal(values, earlier, equal_nan=True)


def charts(found: Learning) -> list[Chart]:
    """One chart per arm, with a line per round and the dense network."""
    chosen = {arm: spread(curves) for arm, curves in found.arms.items()} or {
        "dense": []
    }
    rounds = sorted({curve.round for curves in chosen.values() for curve in curves})
    shades = colors(rounds)
    dense = [] if found.dense is None else _lines(found.dense, GREY)
    drawn = [
        Chart(
            name=f"learning_{found.metric}_{arm}",
            title=f"{arm.replace('_', ' ')}: {columns.find(found.metric).title}",
            xlabel="training step",
            ylabel=axis_label(found.metric),
            lines=[
                *dense,
                *(x for curve in curves for x in _lines(curve, shades[curve.round])),
            ],
        )
        for arm, curves in chosen.items()
    ]
    # All arms have the same axis, which starts above 0 if it may be logarithmic.
    low = min(chart.ends[0] for chart in drawn)
    high = max(chart.ends[1] for chart in drawn)
    margin = 0.04 * (high - low) or 1.0
    low = max(low - margin, low / 2) if low > 0 else low - margin
    return [chart._replace(ylim=(low, high + margin)) for chart in drawn]


def spread(rounds: Sequence[Item]) -> list[Item]:
    """At most six rounds, evenly spaced, including the first and the last."""
    places = np.linspace(0, len(rounds) - 1, min(len(rounds), _MOST_ROUNDS))
    return [rounds[round(place)] for place in places]


def colors(rounds: Sequence[int]) -> dict[int, str]:
    """{round: colour} from dark to bright."""
    places = np.linspace(0, len(_SHADES) - 1, len(rounds)).round().astype(int)
    return {number: _SHADES[place] for number, place in zip(rounds, places)}


def _lines(curve: LearningCurve, color: str) -> list[Line]:
    """Solid for held-out images, dotted for training images."""
    steps = curve.steps.tolist()
    both = (
        ("held-out images", "", curve.heldout, curve.std),
        ("training images", "dotted", curve.training, np.full(len(steps), np.nan)),
    )
    return [
        Line(
            label=curve.label,
            color=color,
            x=steps,
            y=y.tolist(),
            std=std.tolist(),
            dash=dash,
            kind=kind,
        )
        for kind, dash, y, std in both
        if np.isfinite(y).any()
    ]
