"""Channels of compacted networks that reduce the FLOPs of a training step."""

from collections.abc import Callable, Mapping

from gen_tickets.models.groups import ChannelGroups

#: {component: channels of its groups} as a tuple, which can be a key of a cache
Sizes = tuple[tuple[str, tuple[int, ...]], ...]


def cut(groups: Mapping[str, ChannelGroups], share: float, multiple: int) -> Sizes:
    """The channels left if every layer loses this fraction, rounded up."""

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
    """The channels that save (about) this fraction of the FLOPs of a dense step.

    Args:
      groups: {component: ChannelGroups} of the full networks.
      share_left: channels -> FLOPs of a step, as a fraction of the dense ones.
      reduction: fraction of FLOPs to save, in (0, 1).
      multiple: channels are rounded up to a multiple of it.
    """
    guess = 1 - (1 - reduction) ** 0.5  # inputs and outputs of a layer both lose
    low, high = max(guess - 0.1, 0.0), min(guess + 0.1, 1.0)
    for _ in range(5):
        middle = (low + high) / 2
        lower = 1 - share_left(cut(groups, middle, multiple))
        low, high = (middle, high) if lower < reduction else (low, middle)
    return cut(groups, high, multiple)
