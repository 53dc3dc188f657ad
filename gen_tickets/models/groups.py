"""Channel groups: which layers produce and consume a channel, for its removal.

Channels are the last axis of the kernel, bias and batch norm that produce them, and the
second-to-last axis of every kernel that consumes them. Channels that are added, as in
the stages of a residual network, form one group. In a flattened map channels vary
fastest, so an axis of a dense layer may hold a group several times. See
`pruning.channels`.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Group(NamedTuple):
    """Channels that are kept or removed together; layers are given by name."""

    name: str
    size: int  #: channels
    makers: tuple[str, ...]  #: layers that produce them
    norms: tuple[str, ...]  #: batch norms over them; () if there are none
    users: tuple[str, ...]  #: layers that consume them


class ChannelGroups(NamedTuple):
    """All channels of a network; images, latents and codes are never removed."""

    groups: tuple[Group, ...]
    inputs: tuple[str, ...]  #: layers that read the image or the latent
    outputs: tuple[str, ...]  #: layers that produce the image or the vector


def of(network: object) -> ChannelGroups:
    """The groups of a network; without `channel_groups`, all channels are kept."""
    if not hasattr(network, "channel_groups"):
        return ChannelGroups((), (), ())
    groups: ChannelGroups = network.channel_groups()
    return groups


def chain(
    layers: Sequence[str], sizes: Sequence[int], norms: Mapping[str, tuple[str, ...]]
) -> ChannelGroups:
    """The groups of a chain of layers.

    Args:
      layers: names, first to last; the last one produces the output.
      sizes: channels of all but the last.
      norms: {layer: (its batch norm,)}, only for layers that have one.
    """
    layers = tuple(layers)
    makers, users = layers[:-1], layers[1:]
    return ChannelGroups(
        groups=tuple(
            Group(maker, size, (maker,), norms.get(maker, ()), (user,))
            for maker, user, size in zip(makers, users, sizes, strict=True)
        ),
        inputs=layers[:1],
        outputs=layers[-1:],
    )
