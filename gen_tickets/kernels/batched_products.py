"""Form "batched_product" of `convolutions`: one product on the patches of a batch.

Under a `vmap` over members each function becomes a batched matrix product, which an
accelerator may run faster than a grouped convolution. The patches of all images are in
memory at once. Geometries as in `convolutions`; results are float32.
"""

from jaxtyping import Array, Float

from gen_tickets.kernels.geometry import Geometry
from gen_tickets.kernels.products import add_windows, as_matrix, patches


def forward(
    x: Float[Array, "n H W c"], k: Float[Array, "kh kw _ _"], geometry: Geometry
) -> Float[Array, "n h w o"]:
    """y [N, h, w, O] from x [N, H, W, C] and kernel k."""
    matrix, depth, _ = as_matrix(k, geometry)
    y = geometry.dot(patches(x, geometry), matrix, ((1,), (depth,)))
    return y.reshape(len(x), *geometry.out, -1)


def backward(
    y: Float[Array, "n h w o"], k: Float[Array, "kh kw _ _"], geometry: Geometry
) -> Float[Array, "n H W c"]:
    """x [N, H, W, C]: y [N, h, w, O] distributed over its windows."""
    matrix, _, feature = as_matrix(k, geometry)
    windows = geometry.dot(y, matrix, ((3,), (feature,)))
    return add_windows(windows, geometry)


def correlate(
    x: Float[Array, "n H W c"], y: Float[Array, "n h w o"], geometry: Geometry
) -> Float[Array, "kh kw _ _"]:
    """Kernel k from x [N, H, W, C] and y [N, h, w, O]."""
    channels, features = x.shape[-1], y.shape[-1]
    rows, columns = patches(x, geometry), y.reshape(-1, features)
    if not geometry.flipped:
        total = geometry.dot(rows, columns, ((0,), (0,)))
        return total.reshape(*geometry.kernel, channels, features)
    total = geometry.dot(columns, rows, ((0,), (0,)))
    total = total.reshape(features, *geometry.kernel, channels)
    return total.transpose(1, 2, 0, 3)[::-1, ::-1]
