"""The convolutional autoencoder of the paper (Table 1)."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from gen_tickets.config import registries
from gen_tickets.errors import UserError
from gen_tickets.models import groups, layers, pair


class Contract(pair.Contracting):
    """Images [N, S, S, C] -> codes [N, (S/32)^2 * widths[4]]; S a multiple of 32."""

    def channel_groups(self) -> groups.ChannelGroups:
        names = tuple(f"conv_{i}" for i in range(5))
        return groups.chain(names, self.channels or self.widths[:-1], norms={})

    @nn.compact
    def __call__(
        self, x: Float[Array, "n s s c"], train: bool
    ) -> Float[Array, "n {self.num_outputs}"]:
        a, b, c, d = self.channels or self.widths[:-1]
        e = self.widths[-1]  # channels of the code, never removed
        conv = self.conv
        x = nn.relu(conv(a, 3, 1, 1, name="conv_0")(x))  # [N, S, S, a]
        x = nn.relu(conv(b, 4, 2, 1, name="conv_1")(x))  # [N, S/2, S/2, b]
        x = nn.relu(conv(c, 2, 2, 0, name="conv_2")(x))  # [N, S/4, S/4, c]
        x = nn.relu(conv(d, 3, 1, 1, name="conv_3")(x))  # [N, S/4, S/4, d]
        x = layers.max_pool(x)  # [N, S/8, S/8, d]
        x = conv(e, 3, 2, 1, name="conv_4")(x)  # [N, S/16, S/16, e]
        return layers.max_pool(x).reshape(len(x), self.num_outputs)


class Expand(pair.Expanding):
    """Codes -> images [N, S, S, C] in [-1, 1], the mirror of Contract.

    Nearest-neighbour upsampling replaces pooling; transposed convolutions replace
    convolutions.
    """

    def channel_groups(self) -> groups.ChannelGroups:
        names = tuple(f"conv_{i}" for i in reversed(range(5)))
        return groups.chain(names, self.channels or self.widths[-2::-1], norms={})

    @nn.compact
    def __call__(
        self, x: Float[Array, "n latent"], train: bool
    ) -> Float[Array, "n s s c"]:
        d, c, b, a = self.channels or self.widths[-2::-1]
        e = self.widths[-1]  # channels of the code, never removed
        side, _, channels = self.image_shape
        conv = self.conv_transpose
        x = x.reshape(len(x), side // 32, side // 32, e)
        x = layers.upsample_nearest(x, 2)  # [N, S/16, S/16, e]
        x = nn.relu(conv(d, 3, 2, 1, 1, name="conv_4")(x))  # [N, S/8, S/8, d]
        x = layers.upsample_nearest(x, 2)  # [N, S/4, S/4, d]
        x = nn.relu(conv(c, 3, 1, 1, name="conv_3")(x))
        x = nn.relu(conv(b, 2, 2, 0, name="conv_2")(x))  # [N, S/2, S/2, b]
        x = nn.relu(conv(a, 4, 2, 1, name="conv_1")(x))  # [N, S, S, a]
        return jnp.tanh(conv(channels, 3, 1, 1, name="conv_0")(x))


def _check(options: Mapping[str, Any]) -> None:
    widths, task = options["model.widths"], options["task.name"]
    if len(widths) != 5:
        raise UserError(
            f"model.widths={tuple(widths)}", "model.name='conv' needs 5 widths"
        )
    if task != "ae":
        raise UserError(
            f"task.name={task!r}",
            "model.name='conv' is a network of task.name='ae' only",
        )


@registries.model(
    "conv",
    options=("model.initializer",),
    multiple=lambda widths: 32,
    normalizes_batches=False,
    latent_is_map=True,
    check=_check,
)
def conv(
    contract: dict[str, Any], expand: dict[str, Any]
) -> tuple[nn.Module, nn.Module]:
    """The paper's convolutional autoencoder, five convolutions per network."""
    side, code = expand["image_shape"][0], contract["num_outputs"]
    found = (side // 32) ** 2 * contract["widths"][-1]
    if found != code:
        raise UserError(
            f"model.latent_size={code}",
            f"model.name='conv' on {side}x{side} images has a code of {found}",
            f"give {found}",
        )
    return Contract(**contract), Expand(**expand)
