"""The product forms against the library's convolution, pools against plain loops."""

import jax
import numpy as np
import pytest

from gen_tickets.kernels.inference import average_pool, convolve, max_pool


def _random(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    "window, stride, padding, shape",
    [
        ((1, 1), 1, (0, 0), (2, 9, 7, 5)),
        ((3, 3), 1, (1, 1), (2, 19, 16, 5)),
        ((3, 3), 1, (1, 1), (1, 18, 21, 4)),
        ((3, 3), 1, (0, 0), (2, 19, 20, 5)),
        ((3, 3), 1, (1, 1), (2, 8, 8, 5)),
        ((3, 3), 2, (0, 0), (2, 17, 14, 3)),
        ((3, 3), 2, (0, 0), (2, 17, 14, 12)),
        ((1, 7), 1, (0, 3), (2, 9, 9, 4)),
    ],
    ids=str,
)
def test_product_forms_equal_the_library(window, stride, padding, shape):
    x, kernel = _random(*shape), _random(*window, shape[-1], 6)
    with jax.default_matmul_precision("highest"):
        expected = convolve(x, kernel, stride, padding, "library")
        found = convolve(x, kernel, stride, padding, "product")
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * abs(expected).max())


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
        average_pool(x), _brute(x, 1, 1, np.mean), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("stride, padding", [(1, 1), (2, 0)])
def test_max_pool(stride, padding):
    x = _random(2, 9, 8, 3) - 5
    np.testing.assert_array_equal(
        max_pool(x, stride, padding), _brute(x, stride, padding, np.max)
    )
