"""The lowering of convolutions that the measured times recommend for a device."""

import collections
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.accelerator import plan
from benchmarks.accelerator.results import Measured


class Choice(NamedTuple):
    """The form of convolutions, alone or under a vmap over members."""

    vmapped: bool
    form: str
    ratio: float  #: seconds of the other one over its own
    basis: str  #: what was measured


def layers(
    measured: Measured,
) -> Iterator[tuple[tuple[str, int, str], tuple[float, ...]]]:
    """((layer, members, precision), seconds of the candidates) where all are known."""
    found: dict[tuple[str, int, str], dict[str, float]]
    found = collections.defaultdict(dict)
    for name in measured.all:
        kind, *rest = name.split("/")
        seconds = measured.seconds(name) if kind == "layer" else None
        if seconds is not None:
            layer, precision, members, form = rest
            found[layer, int(members), precision][form] = seconds
    names = plan.candidates(measured.device)
    for key, of in sorted(found.items()):
        if of.keys() >= set(names):
            yield key, tuple(of[name] for name in names)


def _steps(
    measured: Measured,
) -> Iterator[tuple[tuple[str, int, str], tuple[float, ...]]]:
    """((model, members, precision), seconds of the candidates) of masked steps."""
    names = plan.candidates(measured.device)
    for name in measured.all:
        kind, *rest = name.split("/")
        if kind == "step" and rest[3:] == ["masked", names[0]]:
            model, precision, members, *_ = rest
            of = [
                measured.step(model, precision, int(members), "masked", x)
                for x in names
            ]
            if all(of):
                times = tuple(x["step_seconds"]["median"] for x in of if x)
                yield (model, int(members), precision), times


def choices(measured: Measured) -> list[Choice]:
    """What the times speak for: by whole steps where they were measured, else layers.

    Sums over what was measured in both forms decide.
    """
    names, found = plan.candidates(measured.device), []
    for vmapped in (False, True):
        for basis, times in (("steps", _steps), ("layers", layers)):
            rows = [
                x for (_, members, _), x in times(measured) if (members > 1) == vmapped
            ]
            if rows:
                totals = dict(zip(names, map(sum, zip(*rows))))
                best, other = sorted(names, key=totals.__getitem__)
                ratio = totals[other] / totals[best]
                found.append(Choice(vmapped, best, ratio, f"{len(rows)} {basis}"))
                break
    return found
