"""Loss terms against NumPy, closed forms and Monte Carlo."""

import numpy as np
import pytest

from gen_tickets import losses

RNG = np.random.default_rng(0)


def test_squared_error_is_summed_over_each_image():
    x, y = RNG.normal(size=(2, 3, 4, 5, 2)).astype(np.float32)
    expected = [
        sum((a - b) ** 2 for a, b in zip(x[i].flat, y[i].flat)) for i in range(3)
    ]
    np.testing.assert_allclose(losses.squared_error(x, y), expected, rtol=1e-5)


def test_gaussian_kl_is_zero_at_prior_and_positive_elsewhere():
    zeros = np.zeros((2, 5), np.float32)
    np.testing.assert_array_equal(losses.gaussian_kl(zeros, zeros), [0.0, 0.0])
    mean, log_variance = RNG.normal(size=(2, 100, 5)).astype(np.float32)
    assert np.all(losses.gaussian_kl(mean, log_variance) > 0)


def test_gaussian_kl_equals_closed_form():
    # KL(N(1, 4) || N(0, 1)) = log(1/2) + (4 + 1) / 2 - 1/2, and twice that for two.
    one = np.log(0.5) + 2.5 - 0.5
    mean, log_variance = np.ones((1, 2)), np.full((1, 2), np.log(4.0))
    found = losses.gaussian_kl(mean, log_variance)
    np.testing.assert_allclose(found, [2 * one], rtol=1e-6)


@pytest.mark.parametrize("mean, variance", [(0.7, 0.3), (-2.0, 1.0), (0.1, 2.5)])
def test_gaussian_kl_equals_monte_carlo_estimate(mean, variance):
    z = mean + np.sqrt(variance) * RNG.normal(size=400_000)
    log_q = -0.5 * ((z - mean) ** 2 / variance + np.log(variance))
    ratio = log_q + 0.5 * z**2
    found = float(losses.gaussian_kl(np.array([[mean]]), np.log([[variance]]))[0])
    assert abs(found - ratio.mean()) < 5 * ratio.std() / np.sqrt(len(z))
