"""Convolutions of inference: the forms for XLA:CPU against the library's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gen_tickets.kernels.inference import convolve
from gen_tickets.kernels.lowering import LIBRARY, PRODUCT


def _random(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


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
def test_convolve_product_forms_equal_the_library(window, stride, padding, shape):
    x, kernel = _random(*shape), _random(*window, shape[-1], 6)
    with jax.default_matmul_precision("highest"):
        expected = convolve(x, kernel, LIBRARY, stride, padding)
        found = convolve(x, kernel, PRODUCT, stride, padding)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * abs(expected).max())
