"""Static parameters of a convolution: sizes, strides, padding, dtype and form."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Float32

from gen_tickets.kernels.lowering import Lowering

Pair: TypeAlias = tuple[int, int]  # rows and columns


class Side(NamedTuple):
    """One of the two spatial axes."""

    size: int  #: pixels of the input
    kernel: int
    stride: int
    padding: Pair  #: (low, high); negative: crop

    @property
    def out(self) -> int:
        """Pixels of the output."""
        return (self.size + sum(self.padding) - self.kernel) // self.stride + 1


class Geometry(NamedTuple):
    """A convolution from `size` pixels to `out` pixels."""

    kernel: Pair
    strides: Pair
    padding: tuple[Pair, Pair]
    size: Pair
    dtype: np.dtype  #: of operands
    lowering: Lowering
    #: the kernel is given as [kh, kw, O, C], rotated by 180 degrees, as in transposed
    #: convolutions
    flipped: bool

    @property
    def sides(self) -> Sequence[Side]:
        rows, columns = zip(self.size, self.kernel, self.strides, self.padding)
        return Side(*rows), Side(*columns)

    @property
    def out(self) -> Pair:
        rows, columns = self.sides
        return rows.out, columns.out

    @property
    def turned(self) -> "Geometry":
        """The transpose of a convolution of stride 1: one from `out` to `size` pixels.

        It takes the same kernel, read as rotated by 180 degrees and with its channels
        and features exchanged. Padding above kernel - 1 becomes a crop.
        """
        rows, columns = (
            (side.kernel - 1 - side.padding[0], side.kernel - 1 - side.padding[1])
            for side in self.sides
        )
        return self._replace(
            padding=(rows, columns), size=self.out, flipped=not self.flipped
        )

    @property
    def paired(self) -> "Geometry":
        """The same convolution, of stride 1, with two columns of the output as one.

        Its kernel has one more column, and twice the features.
        """
        (kh, kw), (sh, _) = self.kernel, self.strides
        return self._replace(kernel=(kh, kw + 1), strides=(sh, 2))

    def dot(
        self,
        a: Float[Array, "..."],
        b: Float[Array, "..."],
        contract: tuple[tuple[int, ...], tuple[int, ...]],
    ) -> Float32[Array, "..."]:
        """Product over the axes `contract`; operands in `dtype`, sums in float32."""
        return lax.dot_general(
            a.astype(self.dtype),
            b.astype(self.dtype),
            (contract, ((), ())),
            preferred_element_type=jnp.float32,
        )
