"""The measured ratios and their targets."""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.accelerator.results import Measured
from benchmarks.accelerator.scales import TORCH_VARIANTS, Scale


class Target(NamedTuple):
    """A ratio, with what it has to be at least (or at most)."""

    what: str
    ratio: float
    reach: float
    aim: float
    at_most: bool = False

    @property
    def verdict(self) -> str:
        """How far it came."""
        for goal, word in ((self.aim, "aim"), (self.reach, "reached")):
            if self.ratio <= goal if self.at_most else self.ratio >= goal:
                return word
        return "missed"


def all_of(scale: Scale, measured: Measured) -> list[Target]:
    """Every target of which both sides are measured."""
    found = [
        *_against_torch(scale, measured),
        *_members(scale, measured),
        *_bfloat16(scale, measured),
        *_share_of_rate(scale, measured),
        *_masked(scale, measured),
        *_compact(scale, measured),
    ]
    return found


def best_peer(
    measured: Measured, model: str, precision: str
) -> tuple[str, float] | None:
    """(variant, seconds) of PyTorch's fastest step in a precision."""
    in_bfloat16 = precision == "bfloat16"
    times = {
        variant: measured.seconds(f"torch/{model}/{variant}")
        for variant, setup in TORCH_VARIANTS.items()
        if setup.get("bfloat16", False) == in_bfloat16
    }
    known = {variant: x for variant, x in times.items() if x is not None}
    return min(known.items(), key=lambda item: item[1]) if known else None


def _against_torch(scale: Scale, measured: Measured) -> Iterator[Target]:
    for model in scale.peers:
        for precision in ("tf32", "bfloat16"):
            ours = measured.member_seconds(model, precision, 1, "masked")
            peer = best_peer(measured, model, precision)
            if ours is not None and peer is not None:
                what = f"{model}, {precision}, masked: PyTorch's {peer[0]} / ours"
                yield Target(what, peer[1] / ours, 1.0, 1.5)


def _ratios(scale: Scale, measured: Measured, above: tuple, below: tuple):
    """(model, seconds above / seconds below), of (precision, members, variant)."""
    for model in scale.models:
        seconds = [measured.member_seconds(model, *x) for x in (above, below)]
        if None not in seconds:
            yield model, seconds[0] / seconds[1]


def _members(scale: Scale, measured: Measured) -> Iterator[Target]:
    for precision, model in itertools.product(("tf32", "bfloat16"), scale.models):
        count = scale.populations(model)[-1]
        one, many = (
            measured.member_seconds(model, precision, members, "masked")
            for members in (1, count)
        )
        if one is not None and many is not None:
            what = f"{model}, {precision}: {count} trainings / {count} members at once"
            yield Target(what, one / many, 1.0, 3.0)


def _bfloat16(scale: Scale, measured: Measured) -> Iterator[Target]:
    for members in scale.first_members:
        above, below = ((x, members, "masked") for x in ("tf32", "bfloat16"))
        for model, ratio in _ratios(scale, measured, above, below):
            what = f"{model}, {members} at once: TF32 / bfloat16"
            yield Target(what, ratio, 1.3, 2.0)


def _share_of_rate(scale: Scale, measured: Measured) -> Iterator[Target]:
    for precision in scale.precisions:
        for members in scale.members:
            share = measured.share_of_rate("dcgan_cifar10", precision, members)
            if share is not None:
                what = (
                    f"dcgan_cifar10, {precision}, {members} at once: FLOP/s / product's"
                )
                yield Target(what, share, 0.25, 0.5)


def _masked(scale: Scale, measured: Measured) -> Iterator[Target]:
    above, below = (("tf32", 1, variant) for variant in ("masked", "dense"))
    for model, ratio in _ratios(scale, measured, above, below):
        what = f"{model}, tf32: masked step / step without masks"
        yield Target(what, ratio, 1.03, 1.01, at_most=True)


def _compact(scale: Scale, measured: Measured) -> Iterator[Target]:
    for precision in ("tf32", "bfloat16"):
        dense, compact = ((precision, 1, variant) for variant in ("masked", "compact"))
        for model, ratio in _ratios(scale, measured, dense, compact):
            what = f"{model}, {precision}: dense training / compacted at -88 % FLOPs"
            yield Target(what, ratio, 4.0, 6.0)
