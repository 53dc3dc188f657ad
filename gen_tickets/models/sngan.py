"""SNGAN's CNN pair with spectral normalization (Miyato et al. 2018, table 3).

A spectrally normalized kernel is divided by the largest singular value of the matrix
[kh * kw * in, out]. One power iteration updates its singular vectors in every pass that
may change the collection "spectral"; all other passes leave them unchanged. The kernel
is already masked, so it is the pruned kernel that is normalized.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from gen_tickets.config import registries
from gen_tickets.models import groups, layers, pair

_FIRST_ITERATIONS = 15
_SLOPE = 0.1  # of the leaky ReLU
_LEAK = 1e-4  # see _iterate


def _unit(x: Float[Array, " n"]) -> Float[Array, " n"]:
    return x / jnp.maximum(jnp.linalg.norm(x), 1e-12)


def _iterate(
    matrix: Float[Array, "k o"], u: Float[Array, " o"]
) -> tuple[Float[Array, " o"], Float[Array, " k"]]:
    """One power iteration: right vector u [O] of matrix [K, O] -> (u, v)."""
    # The leak restores directions that have vanished from u, which matters in a sparse
    # block-diagonal matrix when another block becomes the largest. It changes the
    # singular value by its square, 1e-8.
    alive = (matrix != 0).any(0)  # removed channels must not affect the others
    u = u + _LEAK * alive / jnp.sqrt(jnp.maximum(alive.sum(), 1))
    v = _unit(jnp.matmul(matrix, u, precision="highest"))
    return _unit(jnp.matmul(v, matrix, precision="highest")), v


class SpectralNorm(nn.Module):
    """Divides a kernel [..., O] by its largest singular value."""

    @nn.compact
    def __call__(self, kernel: Float[Array, "*k o"]) -> Float[Array, "*k o"]:
        matrix = kernel.reshape(-1, kernel.shape[-1])  # [K, O]
        num_rows, num_columns = matrix.shape
        u = self.variable(
            "spectral",
            "u",
            lambda: _unit(jax.random.normal(self.make_rng("params"), (num_columns,))),
        )
        v = self.variable("spectral", "v", jnp.zeros, (num_rows,))
        if self.is_mutable_collection("spectral"):
            fixed = lax.stop_gradient(matrix)
            count = _FIRST_ITERATIONS if self.is_initializing() else 1
            u.value, v.value = lax.fori_loop(
                0, count, lambda _, uv: _iterate(fixed, uv[0]), (u.value, v.value)
            )
        mapped = jnp.matmul(matrix, u.value, precision="highest")
        sigma = jnp.sum(v.value * mapped)
        return kernel / jnp.maximum(sigma, 1e-12)


class Contract(pair.Contracting):
    """Images [N, S, S, C] -> vectors [N, num_outputs]; no batch norm.

    Convolutions k3 s1 and k4 s2 for every width except the last, one k3 s1 for the
    last, then a dense layer; leaky ReLU in between.
    """

    def _sizes(self) -> tuple[int, ...]:
        # Every width except the last is used by two layers.
        return self.channels or tuple(w for w in self.widths for _ in range(2))[:-1]

    def channel_groups(self) -> groups.ChannelGroups:
        sizes = self._sizes()
        names = (*(f"conv_{i}" for i in range(len(sizes))), "outputs")
        return groups.chain(names, sizes, norms={})

    @nn.compact
    def __call__(
        self, x: Float[Array, "n s s c"], train: bool
    ) -> Float[Array, "n {self.num_outputs}"]:
        activate = functools.partial(nn.leaky_relu, negative_slope=_SLOPE)
        conv = functools.partial(self.conv, kernel_norm=SpectralNorm)
        for i, width in enumerate(self._sizes()):
            size, strides = (4, 2) if i % 2 else (3, 1)  # side / 2 at odd layers
            x = activate(conv(width, size, strides, 1, name=f"conv_{i}")(x))
        x = x.reshape(len(x), -1)
        dense = self.dense(self.num_outputs, kernel_norm=SpectralNorm, name="outputs")
        return dense(x)


class Expand(pair.Expanding):
    """Vectors [N, latent] -> images [N, S, S, C] in [-1, 1]; no spectral norm.

    A dense layer to a map of the last width, a transposed convolution k4 s2 + batch
    norm + ReLU for every other width, then a convolution k3.
    """

    def channel_groups(self) -> groups.ChannelGroups:
        convs = tuple(f"conv_{i}" for i in range(len(self.widths) - 1))
        norms = {f"conv_{i}": (f"norm_{i}",) for i in range(len(convs))}
        sizes = self.channels or self.widths[::-1]
        return groups.chain(("base", *convs, "pixels"), sizes, norms)

    @nn.compact
    def __call__(
        self, x: Float[Array, "n latent"], train: bool
    ) -> Float[Array, "n s s c"]:
        side, _, channels = self.image_shape
        first, *doubling = self.channels or self.widths[::-1]
        base = side >> len(doubling)
        x = self.dense(base * base * first, name="base")(x)
        x = x.reshape(len(x), base, base, first)
        for i, width in enumerate(doubling):
            x = self.conv_transpose(width, use_bias=False, name=f"conv_{i}")(x)
            x = nn.relu(layers.BatchNorm(name=f"norm_{i}")(x, train))
        return jnp.tanh(self.conv(channels, 3, 1, 1, name="pixels")(x))


@registries.model(
    "sngan",
    options=("model.initializer",),
    multiple=lambda widths: 1 << (len(widths) - 1),
    any_depth=True,
    normalizes_kernels=True,
)
def sngan(
    contract: dict[str, Any], expand: dict[str, Any]
) -> tuple[nn.Module, nn.Module]:
    """SNGAN's CNN: the contracting network is spectrally normalized."""
    return Contract(**contract), Expand(**expand)
