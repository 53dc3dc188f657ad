"""Instability of a network at a step, from losses on lines between trained copies.

Frankle, Dziugaite, Roy, Carbin 2020 (arXiv 1912.05671), Section 2: the largest error on
the linear path between two copies minus the mean error of its ends.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np


class Instability(NamedTuple):
    """Instability at one step k, relative to the size of the mean loss of the ends.

    The losses of a critic and unbiased distances such as KID may be negative.
    """

    step: int
    mean: float  #: over runs and pairs of copies
    std: float  #: likewise (ddof = 1); 0 for one line
    ends: float  #: mean loss of all ends
    num_lines: int


def barrier(losses: Sequence[float]) -> tuple[float, float]:
    """(largest loss on the line minus the mean loss of its ends, that mean).

    Args:
      losses: at points from one end to the other, 2 or more.
    """
    values = np.asarray(losses, np.float64)
    ends = (values[0] + values[-1]) / 2
    return float(values.max() - ends), float(ends)


def relative(height: float, ends: float) -> float:
    """height / |ends|; infinite if only the ends are 0."""
    if ends == 0:
        return 0.0 if height == 0 else math.copysign(math.inf, height)
    return height / abs(ends)


def by_step(rows: Iterable[Mapping[str, Any]], column: str) -> list[Instability]:
    """The instability at every step, in the order of the steps.

    Args:
      rows: of stability.csv; rows of one line share run, step, copy_a and copy_b.
      column: the loss, or a metric for which lower is better.
    """
    lines: dict[tuple[Any, ...], list[tuple[float, float]]] = {}
    for row in rows:
        line = (row["step"], row["run"], row["copy_a"], row["copy_b"])
        lines.setdefault(line, []).append((row["point"], row[column]))
    found = []
    for step in sorted({line[0] for line in lines}):
        barriers = [
            barrier([loss for _, loss in sorted(points)])
            for line, points in lines.items()
            if line[0] == step
        ]
        sizes = np.array([relative(height, ends) for height, ends in barriers])
        std = sizes.std(ddof=1) if len(sizes) > 1 else 0.0
        ends = float(np.mean([ends for _, ends in barriers]))
        found.append(
            Instability(step, float(sizes.mean()), float(std), ends, len(sizes))
        )
    return found


def first_stable_step(found: Sequence[Instability], margin: float) -> int | None:
    """The smallest k such that the network is stable from there on, or None.

    Args:
      found: from `by_step`.
      margin: largest relative instability that counts as stable; Frankle et al. use
        2 % of error.
    """
    stable = None
    for one in reversed(found):
        if not one.mean <= margin:  # also if it is nan
            break
        stable = one.step
    return stable
