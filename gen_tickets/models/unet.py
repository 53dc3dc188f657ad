"""DDPM's U-Net: a denoiser of images at a time (Ho et al. 2020, appendix B).

There is one width per side S, S / 2, ..., each with `blocks` residual blocks on the way
down and one more on the way up, where maps are concatenated with the stored ones of the
same side. A `patch` of pixels is one position of S (Hoogeboom et al. 2023). With widths
(128, 256, 256, 256), 2 blocks and attention at 16 x 16 it has DDPM's 35.7 M weights for
CIFAR-10. Kernels are initialized as in DDPM's code: the last one of each residual
branch is almost 0, so gradient-based saliencies see nothing behind it at step 0.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gen_tickets.config import registries
from gen_tickets.errors import UserError
from gen_tickets.kernels.lowering import Lowering
from gen_tickets.models import groups, layers, unet_blocks


class _Part(NamedTuple):
    """A part on the path through the network."""

    kind: Literal["block", "attention", "down", "up"]
    name: str
    width: int
    joins: bool = False  #: its input is concatenated with the last stored map
    keeps: bool = False  #: its output is stored


def _way(
    widths: tuple[int, ...], blocks: int, attention: tuple[int, ...], side: int
) -> Iterator[_Part]:
    """All parts between the stem and the last layers, in order."""
    last = len(widths) - 1
    for level, width in enumerate(widths):
        attends = side >> level in attention
        for i in range(blocks):
            yield _Part("block", f"down_{level}_block_{i}", width, keeps=not attends)
            if attends:
                name = f"down_{level}_attention_{i}"
                yield _Part("attention", name, width, keeps=True)
        if level < last:
            yield _Part("down", f"down_{level}_resize", width, keeps=True)
    yield _Part("block", "middle_block_0", widths[-1])
    if attention:
        yield _Part("attention", "middle_attention", widths[-1])
    yield _Part("block", "middle_block_1", widths[-1])
    for level in reversed(range(len(widths))):
        width, attends = widths[level], side >> level in attention
        for i in range(blocks + 1):
            yield _Part("block", f"up_{level}_block_{i}", width, joins=True)
            if attends:
                yield _Part("attention", f"up_{level}_attention_{i}", width)
        if level > 0:
            yield _Part("up", f"up_{level}_resize", width)


class _Tally:
    """Collects the makers, norms and users of channel groups."""

    def __init__(self, channels: tuple[int, ...]):
        self._sizes = iter(channels)
        self._found: dict[str, groups.Group] = {}

    def open(self, name: str, size: int, makers: tuple[str, ...]) -> str:
        """A new group of `size` channels, or of those kept in a compacted network."""
        size = next(self._sizes, size)
        self._found[name] = groups.Group(name, size, makers, (), ())
        return name

    def add(
        self,
        name: str,
        makers: tuple[str, ...] = (),
        norms: tuple[str, ...] = (),
        users: tuple[str, ...] = (),
    ) -> None:
        """Adds layers to a group."""
        group = self._found[name]
        self._found[name] = group._replace(
            makers=group.makers + makers,
            norms=group.norms + norms,
            users=group.users + users,
        )

    @property
    def groups(self) -> tuple[groups.Group, ...]:
        return tuple(self._found.values())


class UNet(nn.Module):
    """Images [N, S, S, C] and times [N] -> [N, S, S, C]."""

    widths: tuple[int, ...]
    image_shape: tuple[int, int, int]
    patch: int
    blocks: int
    attention: tuple[int, ...]
    norm_groups: int
    dropout: float = 0.0
    dtype: jnp.dtype = jnp.float32
    channels: tuple[int, ...] = ()  # one per group of `channel_groups`; () = widths
    lowering: Lowering = dataclasses.field(kw_only=True)

    def _parts(self) -> list[_Part]:
        side = self.image_shape[0] // self.patch
        return list(_way(self.widths, self.blocks, self.attention, side))

    def channel_groups(self) -> groups.ChannelGroups:
        """Channel groups; each group of group norm counts as one channel to remove."""
        tally, outputs = _Tally(self.channels), ["pixels"]
        tally.open("time_0", 4 * self.widths[0], ("time_0",))
        tally.add("time_0", users=("time_1",))
        tally.open("time_1", 4 * self.widths[0], ("time_1",))
        trunk, width = tally.open("stem", self.norm_groups, ("stem",)), self.widths[0]
        kept = [trunk]
        for part in self._parts():
            if part.kind == "block":
                joined = kept.pop() if part.joins else None
                resizes = part.width != width
                trunk = self._tally_block(tally, part.name, trunk, joined, resizes)
            elif part.kind == "attention":
                self._tally_attention(tally, part, trunk)
                outputs += [f"{part.name}/query", f"{part.name}/key"]
            else:
                tally.add(trunk, users=(part.name,))
                trunk = tally.open(part.name, self.norm_groups, (part.name,))
            width = part.width
            if part.keeps:
                kept.append(trunk)
        tally.add(trunk, norms=("norm",), users=("pixels",))
        return groups.ChannelGroups(tally.groups, ("stem", "time_0"), tuple(outputs))

    def _tally_block(
        self, tally: _Tally, name: str, trunk: str, joined: str | None, resizes: bool
    ) -> str:
        """Adds a block's layers to the groups; returns the group of its output."""
        makers: tuple[str, ...] = (f"{name}/conv_0", f"{name}/time")
        shortcuts: tuple[str, ...] = ()
        has_shortcut = resizes or joined is not None
        for group, suffix in ((trunk, ""), (joined, "_skip")):
            if group is None:
                continue
            shortcut = (f"{name}/shortcut{suffix}",) if has_shortcut else ()
            users = (f"{name}/conv_0{suffix}", *shortcut)
            tally.add(group, norms=(f"{name}/norm_0{suffix}",), users=users)
            shortcuts += shortcut
        if joined is not None:
            makers += (f"{name}/conv_0_skip",)
        tally.add("time_1", users=(f"{name}/time",))
        inner = tally.open(f"{name}/inner", self.norm_groups, makers)
        tally.add(inner, norms=(f"{name}/norm_1",), users=(f"{name}/conv_1",))
        if not has_shortcut:  # it adds to its input channels
            tally.add(trunk, makers=(f"{name}/conv_1",))
            return trunk
        return tally.open(name, self.norm_groups, (f"{name}/conv_1", *shortcuts))

    def _tally_attention(self, tally: _Tally, part: _Part, trunk: str) -> None:
        """Adds an attention layer to the groups; queries and keys are never removed."""
        name = part.name
        readers = tuple(f"{name}/{layer}" for layer in ("query", "key", "value"))
        tally.add(trunk, (f"{name}/output",), (f"{name}/norm",), readers)
        tally.open(f"{name}/value", part.width, readers[-1:])
        tally.add(f"{name}/value", users=(f"{name}/output",))

    @nn.compact
    def __call__(
        self, x: jax.Array, train: bool, times: jax.Array | None = None
    ) -> jax.Array:
        sizes = {group.name: group.size for group in self.channel_groups().groups}
        time = self._embed(jnp.zeros(len(x)) if times is None else times, sizes)
        unit = self.widths[0] // self.norm_groups  # channels of a group of group norm
        x = unet_blocks.to_depth(x, self.patch)
        x = self._conv(sizes["stem"] * unit, "stem")(x)
        trunk, kept = sizes["stem"], [(x, sizes["stem"])]
        for part in self._parts():
            unit = part.width // self.norm_groups
            # A block without its own group, see `_tally_block`, adds to its input.
            trunk_after = sizes.get(part.name, trunk)
            if part.kind == "block":
                inputs = [(x, trunk), kept.pop()] if part.joins else [(x, trunk)]
                inner = sizes[f"{part.name}/inner"]
                x = unet_blocks.Block(
                    inner * unit,
                    trunk_after * unit,
                    (*(count for _, count in inputs), inner),
                    self.dropout,
                    self.dtype,
                    projects=part.name in sizes,
                    lowering=self.lowering,
                    name=part.name,
                )(tuple(x for x, _ in inputs), time, train)
            elif part.kind == "attention":
                value_size = sizes[f"{part.name}/value"]
                x = unet_blocks.Attention(
                    trunk, part.width, value_size, self.dtype, name=part.name
                )(x)
            elif part.kind == "down":
                x = self._conv(trunk_after * unit, part.name, 2)(x)
            else:
                x = layers.upsample_nearest(x)
                x = self._conv(trunk_after * unit, part.name)(x)
            trunk = trunk_after
            if part.keeps:
                kept.append((x, trunk))
        x = nn.silu(unet_blocks.GroupNorm(trunk, name="norm")(x))
        depth = self.image_shape[-1] * self.patch**2
        x = self._conv(depth, "pixels", init=unet_blocks.NEARLY_ZERO)(x)
        return unet_blocks.to_pixels(x, self.patch)

    def _embed(self, times: jax.Array, sizes: Mapping[str, int]) -> jax.Array:
        """Features of times [N] for all blocks, [N, channels]."""
        time = unet_blocks.time_features(times, self.widths[0])
        for name in ("time_0", "time_1"):
            time = nn.silu(
                layers.Dense(
                    sizes[name],
                    dtype=self.dtype,
                    kernel_init=unet_blocks.kernel_init(),
                    name=name,
                )(time)
            )
        return time

    def _conv(
        self, features: int, name: str, strides: int = 1, init: Any = None
    ) -> layers.Conv:
        return layers.Conv(
            features,
            3,
            strides,
            1,
            dtype=self.dtype,
            kernel_init=init or unet_blocks.kernel_init(),
            lowering=self.lowering,
            name=name,
        )


def _check_sizes(options: Mapping[str, Any]) -> None:
    """Raises UserError if a width is not a multiple of the groups, or is odd."""
    widths, count = options["model.widths"], options["model.norm_groups"]
    if any(width % count for width in widths) or widths[0] % 2:
        raise UserError(
            f"model.widths={tuple(widths)}, model.norm_groups={count}",
            "each width must be a multiple of the groups, the first one even",
            "give fewer groups, or other widths",
        )


@registries.model(
    "unet",
    kind="denoiser",
    options=(
        "model.patch",
        "model.blocks",
        "model.attention",
        "model.norm_groups",
        "model.dropout",
    ),
    normalizes_examples=True,
    normalizes_batches=False,
    any_depth=True,
    check=_check_sizes,
)
def unet(arguments: dict[str, Any]) -> UNet:
    """Residual blocks with group norm, attention and skip connections: DDPM."""
    patch, side = arguments["patch"], arguments["image_shape"][0]
    multiple = patch << (len(arguments["widths"]) - 1)
    if side % multiple:
        raise UserError(
            f"data.image_size={side}",
            f"model.patch={patch} and {len(arguments['widths'])} model.widths need a "
            f"multiple of {multiple}",
        )
    return UNet(**arguments | {"attention": tuple(arguments["attention"])})
