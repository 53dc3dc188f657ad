"""Learning curves of a workdir, as means over its runs."""

from typing import Any, Mapping, NamedTuple, Sequence

import numpy as np
import pandas as pd

from gen_tickets.report.figures import LearningCurve
from gen_tickets.workdir import columns


class Learning(NamedTuple):
    """One metric over the steps of every training."""

    metric: str
    arms: dict[str, list[LearningCurve]]  #: of all arms but dense, a curve a round
    dense: LearningCurve | None


def learning(
    rows: Sequence[Mapping[str, Any]], labels: Mapping[int, str]
) -> list[Learning]:
    """Returns the learning curves of every metric, in the order of the table.

    A metric that is the same as an earlier one, such as the reconstruction error of an
    autoencoder without any other loss, is left out.

    Args:
      rows: of curves.csv.
      labels: {round: in words}; others are "round 7".
    """
    frame = pd.DataFrame(rows)
    means = frame.groupby(["arm", "round", "step"], sort=False).mean(numeric_only=True)
    means = means.loc[:, ~means.T.duplicated()]
    names = [name for name in means if columns.find(name).role == "metric"]
    found = []
    for metric in dict.fromkeys(map(columns.metric_of, names)):
        values = means.reindex(columns=[f"interval_{metric}", f"heldout_{metric}"])
        arms: dict[str, list[LearningCurve]] = {}
        for (arm, number), of_round in values.groupby(["arm", "round"], sort=False):
            training, heldout = of_round.to_numpy().T
            if np.isfinite([training, heldout]).any():
                steps = of_round.index.get_level_values("step").to_numpy()
                label = labels.get(number, f"round {number}")
                curve = LearningCurve(number, label, steps, training, heldout)
                arms.setdefault(arm, []).append(curve)
        if arms:
            (dense,) = arms.pop("dense", [None])
            found.append(Learning(metric, arms, dense))
    return found
