"""The sliced Wasserstein distance of pixels, a metric without a network."""

import numpy as np
import pytest
from scipy import stats

from gen_tickets.errors import UserError
from gen_tickets.evaluation import distances
from gen_tickets.evaluation.features import pixels


def normal(count, width=3, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, (count, width))


@pytest.mark.parametrize("counts", [(40, 40), (40, 25), (2, 61)], ids=str)
def test_sliced_wasserstein_equals_scipy_along_each_direction(counts):
    first, second = normal(counts[0]), normal(counts[1], seed=1, shift=0.5)
    directions = np.random.default_rng(7).normal(size=(3, 5))
    directions /= np.linalg.norm(directions, axis=0)
    expected = np.mean(
        [stats.wasserstein_distance(first @ one, second @ one) for one in directions.T]
    )
    found = distances.sliced_wasserstein(first, second, directions=5, seed=7)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    mirrored = distances.sliced_wasserstein(second, first, directions=5, seed=7)
    np.testing.assert_allclose(found, mirrored, rtol=1e-12)


def test_sliced_wasserstein_of_a_shift_is_its_mean_projection():
    first, shift = normal(30, width=2), np.array([3.0, 0.0])
    found = distances.sliced_wasserstein(first, first + shift, directions=4000)
    # The mean of |cos| over the circle is 2 / pi.
    assert found == pytest.approx(3 * 2 / np.pi, rel=0.02)
    again = np.concatenate([first[::-1], first])  # the same distribution
    assert distances.sliced_wasserstein(first, again) < 1e-12


def test_sliced_wasserstein_of_unequal_widths_raises_user_error():
    with pytest.raises(UserError, match="3 and 2 wide"):
        distances.sliced_wasserstein(normal(4), normal(4, width=2))


@pytest.mark.parametrize("shape", [(8, 8, 1), (16, 16, 3)], ids=str)
def test_pixels_of_small_images_are_their_values(shape):
    images = np.random.default_rng(0).integers(0, 256, (5, *shape), np.uint8)
    found = pixels.extract(images)
    np.testing.assert_allclose(
        found.features, images.reshape(5, -1) / 255, rtol=1e-5, atol=1e-6
    )
    assert found.logits.shape == (5, 0)


def test_pixels_of_large_images_keep_the_mean_and_see_no_detail():
    flat = np.full((2, 64, 64, 3), 51, np.uint8)
    np.testing.assert_allclose(pixels.extract(flat).features, 0.2, rtol=1e-5)
    checks = 255 * (np.indices((64, 64)).sum(0) % 2)[None, :, :, None]
    found = pixels.extract(checks.astype(np.uint8)).features
    assert found.shape == (1, 256)
    np.testing.assert_allclose(found, 0.5, atol=0.02)
