"""Channels of a compacted network, for a training step of fewer FLOPs."""

from collections.abc import Callable, Mapping

from gen_tickets.models.groups import ChannelGroups

#: {component: channels of its groups} as a tuple, which can be a key of a cache
Sizes = tuple[tuple[str, tuple[int, ...]], ...]


def cut(groups: Mapping[str, ChannelGroups], share: float, multiple: int) -> Sizes:
    """The channels left where every layer has lost this share, rounded up."""

    def left(size: int) -> int:
        count = max(round(size * (1 - share)), 1)
        return min(-(-count // multiple) * multiple, size)

    return tuple(
        (name, tuple(left(group.size) for group in of.groups))
        for name, of in groups.items()
    )


def sizes_of(
    groups: Mapping[str, ChannelGroups],
    share_left: Callable[[Sizes], float],
    reduction: float,
    multiple: int,
) -> Sizes:
    """The channels whose step has (about) this share of the dense FLOPs less.

    Args:
      groups: {component: ChannelGroups} of the whole networks.
      share_left: FLOPs of a step of these channels, as a share of the dense ones.
      reduction: share of FLOPs to be saved, in (0, 1).
      multiple: channels are rounded up to one.
    """
    guess = 1 - (1 - reduction) ** 0.5  # inputs and outputs of a layer both lose
    low, high = max(guess - 0.1, 0.0), min(guess + 0.1, 1.0)
    for _ in range(5):
        middle = (low + high) / 2
        lower = 1 - share_left(cut(groups, middle, multiple))
        low, high = (middle, high) if lower < reduction else (low, middle)
    return cut(groups, high, multiple)
