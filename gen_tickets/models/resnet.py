"""The residual pair of ResNet-VAE and ResNet-DCGAN: one basic block per width.

The blocks are those of ResNet-18 (He et al. 2016), with one block per stage. The
expanding network mirrors the contracting one; in the place of stride 2 it has
nearest-neighbour upsampling and a convolution (k3), which avoids checkerboard
artifacts.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gen_tickets.config import registries
from gen_tickets.kernels.lowering import Lowering
from gen_tickets.models import conventions, groups, layers, pair


class Block(nn.Module):
    """[N, S, S, C] -> [N, S', S', features]: two convolutions k3 with a shortcut.

    S' is S / strides, or S * resize; there are `inner` channels between the
    convolutions. The shortcut is the input, or a convolution if the side changes.
    """

    inner: int
    features: int
    strides: int = 1
    resize: int = 1
    dtype: DTypeLike = jnp.float32
    lowering: Lowering = dataclasses.field(kw_only=True)
    kernel_init: Callable[..., jax.Array] = conventions.TORCH.kernel
    activation: Callable[[jax.Array], jax.Array] = nn.relu

    @nn.compact
    def __call__(
        self, x: Float[Array, "n s s c"], train: bool
    ) -> Float[Array, "n t t {self.features}"]:
        def conv(
            x: Float[Array, "n s s c"],
            features: int,
            size: int,
            strides: int,
            name: str,
        ) -> Float[Array, "n t t {features}"]:
            x = layers.Conv(
                features,
                size,
                strides,
                size // 2,
                use_bias=False,
                name=f"conv_{name}",
                dtype=self.dtype,
                lowering=self.lowering,
                kernel_init=self.kernel_init,
            )(x)
            return layers.BatchNorm(name=f"norm_{name}")(x, train)

        resize = functools.partial(layers.upsample_nearest, factor=self.resize)
        if self.resize > 1:
            y = resize(self.activation(conv(x, self.inner, 3, 1, "0")))
        else:
            y = self.activation(conv(x, self.inner, 3, self.strides, "0"))
        y = conv(y, self.features, 3, 1, "1")
        if self.resize > 1 or self.strides > 1:
            size = 3 if self.resize > 1 else 1
            x = conv(resize(x), self.features, size, self.strides, "shortcut")
        return self.activation(y + x)


def _groups(
    first: str,
    norms: tuple[str, ...],
    blocks: Mapping[str, bool],
    last: str,
    sizes: Sequence[int],
) -> groups.ChannelGroups:
    """The groups of a first layer (with its batch norms), blocks and a last layer.

    Args:
      blocks: {name: whether its shortcut is a convolution}, in order.
      sizes: channels of the first layer, then of each block: those between its
        convolutions and, if its shortcut is a convolution, those of its output.
    """
    widths = iter(sizes)
    found, trunk = [groups.Group(first, next(widths), (first,), norms, ())], 0
    for name, has_shortcut in blocks.items():
        inner, norms = f"{name}/conv_0", (f"{name}/norm_1",)
        makers: tuple[str, ...] = (f"{name}/conv_1",)
        shortcut: tuple[str, ...] = ()
        if has_shortcut:
            shortcut = (f"{name}/conv_shortcut",)
            norms += (f"{name}/norm_shortcut",)
        users = found[trunk].users + (inner,) + shortcut
        found[trunk] = found[trunk]._replace(users=users)
        found.append(
            groups.Group(inner, next(widths), (inner,), (f"{name}/norm_0",), makers)
        )
        if has_shortcut:
            trunk = len(found)
            found.append(groups.Group(name, next(widths), makers + shortcut, norms, ()))
        else:  # The block adds to the channels that it reads; they form one group.
            makers, norms = found[trunk].makers + makers, found[trunk].norms + norms
            found[trunk] = found[trunk]._replace(makers=makers, norms=norms)
    found[trunk] = found[trunk]._replace(users=found[trunk].users + (last,))
    return groups.ChannelGroups(tuple(found), (first,), (last,))


class Contract(pair.Contracting):
    """Images [N, S, S, C] -> vectors [N, num_outputs]; S a multiple of 2^len(widths).

    A stem (convolution k3 s2), one block per width, of which all but the first halve
    the side, the mean over the map, and a dense layer; see also
    `conventions.discriminator`.
    """

    discriminator: str = "authors"

    def _sizes(self) -> tuple[int, ...]:
        # The stem and the first block share a width; later blocks use their own twice.
        return self.channels or tuple(w for w in self.widths for _ in range(2))

    def channel_groups(self) -> groups.ChannelGroups:
        blocks = {f"block_{i}": i > 0 for i in range(len(self.widths))}
        is_normalized = conventions.discriminator(self.discriminator).normalizes_first
        norms = ("norm_stem",) if is_normalized else ()
        return _groups("stem", norms, blocks, "outputs", self._sizes())

    @nn.compact
    def __call__(
        self, x: Float[Array, "n s s c"], train: bool
    ) -> Float[Array, "n {self.num_outputs}"]:
        stem, inner, *later = self._sizes()
        activation, is_normalized = conventions.discriminator(self.discriminator)
        options = {**self.of_conv, "activation": activation}
        block: Callable[..., Block] = functools.partial(Block, **options)
        bias = not is_normalized
        x = self.conv(stem, 3, 2, 1, use_bias=bias, name="stem")(x)
        if is_normalized:
            x = layers.BatchNorm(name="norm_stem")(x, train)
        x = activation(x)  # [N, S/2, S/2, .]
        x = block(inner, stem, name="block_0")(x, train)
        for i, (inner, width) in enumerate(zip(later[::2], later[1::2]), start=1):
            x = block(inner, width, 2, name=f"block_{i}")(x, train)
        x = x.mean((1, 2))  # [N, widths[-1]]
        return self.dense(self.num_outputs, name="outputs")(x)


class Expand(pair.Expanding):
    """Vectors [N, latent] -> images [N, S, S, C] in [-1, 1], the mirror of Contract.

    The first map, S / 2^len(widths) pixels wide, repeats a vector, as the mirror of
    Contract's mean; with `generator="radford"` the latent is projected to it (Radford
    et al. 2016, figure 1). Generators of small GANs collapse without (RESULTS.md).
    """

    generator: str = "authors"

    def _sizes(self) -> tuple[int, ...]:
        # The base, then inner and output channels per block; the last has inner only.
        inwards = self.widths[::-1]
        pairs = zip(inwards, inwards[1:])
        full = (inwards[0], *(w for pair in pairs for w in pair), inwards[-1])
        return self.channels or full

    def channel_groups(self) -> groups.ChannelGroups:
        blocks = {f"block_{i}": i > 0 for i in reversed(range(len(self.widths)))}
        return _groups("base", (), blocks, "pixels", self._sizes())

    @nn.compact
    def __call__(
        self, x: Float[Array, "n latent"], train: bool
    ) -> Float[Array, "n s s c"]:
        side, _, channels = self.image_shape
        first, *pairs, inner = self._sizes()
        block: Callable[..., Block] = functools.partial(Block, **self.of_conv)
        last = len(self.widths) - 1
        base = side >> len(self.widths)
        if self.generator == "radford":
            x = self.dense(base * base * first, name="base")(x)
            x = x.reshape(len(x), base, base, first)
        else:
            x = self.dense(first, name="base")(x)
            x = layers.upsample_nearest(x[:, None, None, :], base)
        # [N, base, base, widths[-1]]
        for i, (between, width) in enumerate(zip(pairs[::2], pairs[1::2])):
            name = f"block_{last - i}"
            x = block(between, width, resize=2, name=name)(x, train)
        x = block(inner, x.shape[-1], name="block_0")(x, train)
        x = layers.upsample_nearest(x, 2)  # [N, S, S, widths[0]]
        return jnp.tanh(self.conv(channels, 3, 1, 1, name="pixels")(x))


@registries.model(
    "resnet",
    options=("model.initializer", "model.discriminator", "model.generator"),
    multiple=lambda widths: 1 << len(widths),
    any_depth=True,
)
def resnet(
    contract: dict[str, Any], expand: dict[str, Any]
) -> tuple[nn.Module, nn.Module]:
    """Residual blocks with batch norm: ResNet-VAE and ResNet-DCGAN."""
    return Contract(**contract), Expand(**expand)
