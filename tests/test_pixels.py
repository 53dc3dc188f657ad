"""Pixels into models and out of them."""

import jax
import jax.numpy as jnp
import numpy as np

from gen_tickets.data import pixels


def test_range_and_dtype():
    images = pixels.to_float(np.array([0, 51, 255], np.uint8))
    assert images.dtype == jnp.float32
    np.testing.assert_allclose(images, [-1.0, -0.6, 1.0], atol=1e-7)


def test_round_trip_is_exact_for_every_level():
    levels = np.arange(256, dtype=np.uint8)

    def trip(images):
        return pixels.to_uint8(pixels.to_float(images))

    np.testing.assert_array_equal(trip(levels), levels)
    np.testing.assert_array_equal(jax.jit(trip)(levels), levels)


def test_rounds_half_up_and_to_the_nearest():
    assert int(pixels.to_uint8(jnp.float32(0.0))) == 128  # 127.5, the one exact half
    levels = np.arange(255)
    below = (levels + 0.49) / 127.5 - 1.0
    above = (levels + 0.51) / 127.5 - 1.0
    np.testing.assert_array_equal(pixels.to_uint8(below), levels)
    np.testing.assert_array_equal(pixels.to_uint8(above), levels + 1)


def test_clips_instead_of_wrapping_and_nan_is_black():
    values = jnp.array([-1.01, -7.0, 1.01, 7.0, -jnp.inf, jnp.inf, jnp.nan])
    levels = pixels.to_uint8(values)
    assert levels.dtype == jnp.uint8
    np.testing.assert_array_equal(levels, [0, 0, 255, 255, 0, 255, 0])
