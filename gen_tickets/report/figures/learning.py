"""Learning curves: one metric over the steps of each round's training."""

from typing import Any, Mapping, NamedTuple, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gen_tickets.report.figures import style

_MOST_ROUNDS = 6  # of an arm, evenly spaced, the first and the last among them


class LearningCurve(NamedTuple):
    """A metric in the course of one training, mean over runs; E = evaluations."""

    round: int
    label: str
    steps: np.ndarray  #: int [E]
    training: np.ndarray  #: float [E], mean over the steps up to each evaluation
    heldout: np.ndarray  #: float [E]


def draw_learning(
    arms: Mapping[str, Sequence[LearningCurve]],
    dense: LearningCurve | None,
    ylabel: str,
) -> bytes:
    """Draws a metric over the training steps, one panel an arm, one colour a round.

    Held-out values are solid, those of the training steps dotted.

    Args:
      arms: {arm: its rounds}; of many rounds some are drawn.
      dense: the unpruned network, in grey in every panel; None: there is none.
      ylabel: the metric, and which side of it is better.

    Returns:
      PNG bytes.
    """
    chosen = {arm: _spread(curves) for arm, curves in arms.items()} or {"dense": []}
    rounds = sorted({curve.round for curves in chosen.values() for curve in curves})
    shades = matplotlib.colormaps["viridis"](np.linspace(0.1, 0.88, len(rounds)))
    colors = dict(zip(rounds, shades))
    with style.figure((9.0, 3.3)) as figure:
        panels = figure.subplots(1, len(chosen), squeeze=False, sharey=True)[0]
        for axes, (arm, curves) in zip(panels, chosen.items(), strict=True):
            if dense is not None:
                _draw_curve(axes, dense, style.GREY)
            for curve in curves:
                _draw_curve(axes, curve, colors[curve.round])
            axes.set_title(arm, fontsize=9)
            axes.set_xlabel("training step")
            axes.grid(True)
        drawn = [curve for curves in chosen.values() for curve in curves]
        drawn += [dense] if dense is not None else []
        _scale_values(panels[0], drawn)
        panels[0].set_ylabel(ylabel)
        panels[-1].legend(
            handles=_legend(drawn, colors),
            loc="upper left",
            bbox_to_anchor=(1.02, 1.0),
            fontsize=7.5,
        )
        figure.subplots_adjust(wspace=0.06)
        return style.to_png(figure)


def _spread(curves: Sequence[LearningCurve]) -> list[LearningCurve]:
    places = np.linspace(0, len(curves) - 1, min(len(curves), _MOST_ROUNDS))
    return [curves[round(place)] for place in places]


def _draw_curve(axes: Axes, curve: LearningCurve, color: Any) -> None:
    axes.plot(curve.steps, curve.training, ":", color=color, linewidth=1.1)
    axes.plot(curve.steps, curve.heldout, "-", color=color, linewidth=1.3)


def _scale_values(axes: Axes, curves: Sequence[LearningCurve]) -> None:
    values = np.concatenate([x for c in curves for x in (c.training, c.heldout)])
    style.use_log_scale(axes, values[np.isfinite(values)])


def _legend(curves: Sequence[LearningCurve], colors: Mapping[int, Any]) -> list[Line2D]:
    """A line for each round, then what solid and dotted lines are."""
    labels = {curve.round: curve.label for curve in curves}
    handles = [
        Line2D([], [], color=colors.get(number, style.GREY), label=labels[number])
        for number in sorted(labels)
    ]
    held_out = Line2D([], [], color=style.GREY, linestyle="-", label="held-out")
    training = Line2D([], [], color=style.GREY, linestyle=":", label="training")
    return [*handles, held_out, training]
