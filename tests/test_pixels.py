"""Conversion between uint8 pixels and model values."""

import jax
import jax.numpy as jnp
import numpy as np

from gen_tickets.data import pixels


def test_to_float_maps_levels_to_minus_one_to_one():
    images = pixels.to_float(np.array([0, 51, 255], np.uint8))
    assert images.dtype == jnp.float32
    np.testing.assert_allclose(images, [-1.0, -0.6, 1.0], atol=1e-7)


def test_to_uint8_of_to_float_is_exact_for_every_level():
    levels = np.arange(256, dtype=np.uint8)

    def trip(images):
        return pixels.to_uint8(pixels.to_float(images))

    np.testing.assert_array_equal(trip(levels), levels)
    np.testing.assert_array_equal(jax.jit(trip)(levels), levels)


def test_to_uint8_rounds_to_nearest_and_half_up():
    assert int(pixels.to_uint8(jnp.float32(0.0))) == 128  # 127.5, the one exact half
    levels = np.arange(255)
    below = (levels + 0.49) / 127.5 - 1.0
    above = (levels + 0.51) / 127.5 - 1.0
    np.testing.assert_array_equal(pixels.to_uint8(below), levels)
    np.testing.assert_array_equal(pixels.to_uint8(above), levels + 1)


def test_to_uint8_clips_out_of_range_and_maps_nan_to_zero():
    values = jnp.array([-1.01, -7.0, 1.01, 7.0, -jnp.inf, jnp.inf, jnp.nan])
    levels = pixels.to_uint8(values)
    assert levels.dtype == jnp.uint8
    np.testing.assert_array_equal(levels, [0, 0, 255, 255, 0, 255, 0])
