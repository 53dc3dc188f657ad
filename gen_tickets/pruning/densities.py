"""Densities of layers: how many weights each layer keeps, exact in their sum."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

Distribution = Literal["erk", "uniform"]

_BISECTIONS = 100  # more than the bits of a float


def densities(
    shapes: Mapping[str, Sequence[int]], distribution: Distribution, density: float
) -> dict[str, float]:
    """{layer: fraction of its weights that is kept}, at most 1.

    Args:
      shapes: of the kernels, inputs and outputs last.
      distribution: "uniform": the same density everywhere; "erk" (Erdos-Renyi kernel,
        Evci et al. 2020, section 3): proportional to sum(shape) / prod(shape), capped
        at 1.
      density: of all layers together, in (0, 1].
    """
    if distribution == "uniform":
        return dict.fromkeys(shapes, density)
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    raw = {name: sum(shape) / sizes[name] for name, shape in shapes.items()}
    full: set[str] = set()
    while len(full) < len(shapes):  # at a density of 1 none may be left, by rounding
        left = density * sum(sizes.values()) - sum(sizes[name] for name in full)
        others = [name for name in shapes if name not in full]
        factor = left / sum(raw[name] * sizes[name] for name in others)
        above = {name for name in others if factor * raw[name] > 1}
        if not above:
            return {x: 1.0 if x in full else factor * raw[x] for x in shapes}
        full |= above
    return dict.fromkeys(shapes, 1.0)


def layer_counts(
    shapes: Mapping[str, Sequence[int]], distribution: Distribution, num_keep: int
) -> dict[str, int]:
    """{layer: number of kept weights} by `densities`, summing to `num_keep`."""
    sizes = {name: math.prod(shape) for name, shape in shapes.items()}
    density = num_keep / sum(sizes.values())
    shares = densities(shapes, distribution, density)
    due = {name: size * shares[name] for name, size in sizes.items()}
    return apportion(due, num_keep, sizes)


def rates_by_depth(order: Sequence[str], rates: Sequence[float]) -> dict[str, float]:
    """{layer: relative pruning rate}, interpolated by depth.

    Args:
      order: kernels in the order of the forward pass, named component/.../kernel.
      rates: at equal distances from the first to the last layer of each component.
    """
    found: dict[str, float] = {}
    places = np.linspace(0, 1, len(rates))
    for component in dict.fromkeys(name.split("/")[0] for name in order):
        layers = [name for name in order if name.split("/")[0] == component]
        depths = np.linspace(0, 1, len(layers))
        found |= zip(layers, np.interp(depths, places, rates).tolist())
    return found


def counts_at_rates(
    counts: Mapping[str, int],
    sizes: Mapping[str, int],
    rates: Mapping[str, float],
    num_keep: int,
) -> dict[str, int]:
    """{layer: number of kept weights} with different pruning rates.

    A layer with rate w keeps the fraction q^w of its weights, with the same q for all:
    it is pruned w times as often as a layer with rate 1. (Frankle & Carbin 2019 prune
    output layers at half the rate of the others.)

    Args:
      counts: current number of kept weights; no layer gets more.
      sizes: number of all weights of each layer.
      rates: above 0, from `rates_by_depth`.
      num_keep: sum of the returned numbers; see `apportion`.
    """
    names = list(counts)
    size = np.array([sizes[name] for name in names], float)
    rate = np.array([rates[name] for name in names])
    low, high = 0.0, float(np.max(np.log(size) / rate))  # of -log q
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        kept = np.maximum(size * np.exp(-middle * rate), 1)
        low, high = (middle, high) if kept.sum() > num_keep else (low, middle)
    return apportion(dict(zip(names, kept.tolist())), num_keep, counts)


def apportion(
    due: Mapping[str, float], num_keep: int, most: Mapping[str, int]
) -> dict[str, int]:
    """Rounds `due` to whole numbers from 1 to `most` that sum to `num_keep`.

    `due` is rounded down; the rest goes to the layers with the largest remainders. The
    sum is exact unless `num_keep` is below the number of layers, each of which keeps
    one weight, or above the sum of `most`.
    """
    counts = {x: min(max(math.floor(due[x]), 1), most[x]) for x in due}
    while missing := num_keep - sum(counts.values()):
        step = 1 if missing > 0 else -1
        movable = [x for x in due if 1 <= counts[x] + step <= most[x]]
        if not movable:
            break
        counts[max(movable, key=lambda x: step * (due[x] - counts[x]))] += step
    return counts
