"""3x3 pools against plain loops."""

import jax.numpy as jnp
import numpy as np
import pytest

from gen_tickets.kernels.pools import average_pool, max_pool


def _random(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _brute(x, stride, padding, reduce):
    """Reduces the cells of each 3x3 window that lie inside."""
    size = [(extent + 2 * padding - 3) // stride + 1 for extent in x.shape[1:3]]
    y = np.empty((x.shape[0], *size, x.shape[3]), x.dtype)
    for row, column in np.ndindex(*size):
        top, left = row * stride - padding, column * stride - padding
        window = x[:, max(top, 0) : top + 3, max(left, 0) : left + 3]
        y[:, row, column] = reduce(window, axis=(1, 2))
    return y


@pytest.mark.parametrize("size", [(7, 9), (8, 6), (1, 2)], ids=str)
def test_average_pool_does_not_count_padding(size):
    x = _random(2, *size, 3)
    np.testing.assert_allclose(
        average_pool(jnp.asarray(x)), _brute(x, 1, 1, np.mean), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("stride, padding", [(1, 1), (2, 0)])
def test_max_pool_strides_and_padding_equal_brute_force(stride, padding):
    x = _random(2, 9, 8, 3) - 5
    np.testing.assert_array_equal(
        max_pool(jnp.asarray(x), stride, padding), _brute(x, stride, padding, np.max)
    )
