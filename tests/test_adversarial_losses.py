"""Losses of the GANs against closed forms and finite differences in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gen_tickets import losses
from gen_tickets.config import registries
from gen_tickets.kernels.convolutions import conv, conv_transpose, dense
from gen_tickets.kernels.lowering import PRODUCT

LOGITS = np.array([-100.0, -3.0, -1.0, -0.5, 0.0, 0.25, 1.0, 2.0, 100.0])


def log1p_exp(x):
    """log(1 + e^x) in float64, without overflow."""
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


CLOSED_FORMS = {
    "bce": (lambda x: log1p_exp(-x), log1p_exp, lambda x: log1p_exp(-x)),
    "hinge": (
        lambda x: np.maximum(0, 1 - x),
        lambda x: np.maximum(0, 1 + x),
        lambda x: -x,
    ),
    "wasserstein": (lambda x: -x, lambda x: x, lambda x: -x),
}


def terms_of(name):
    return registries.loss.get(name).terms()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


SLOPES = {
    "bce": (lambda x: -sigmoid(-x), sigmoid, lambda x: -sigmoid(-x)),
    "hinge": (lambda x: -1.0 * (x < 1), lambda x: 1.0 * (x > -1), lambda x: -1 + 0 * x),
    "wasserstein": (lambda x: -1 + 0 * x, lambda x: 1 + 0 * x, lambda x: -1 + 0 * x),
}


@pytest.mark.parametrize("name", registries.loss.names())
@pytest.mark.parametrize("term", [0, 1, 2], ids=["real", "fake", "generator"])
def test_loss_term_moderate_and_extreme_logits_equals_closed_form(name, term):
    found = terms_of(name)[term](jnp.asarray(LOGITS, jnp.float32))
    # At 100 a probability of e^-100 is 0 in float32.
    expected = CLOSED_FORMS[name][term](LOGITS)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("name", registries.loss.names())
@pytest.mark.parametrize("term", [0, 1, 2], ids=["real", "fake", "generator"])
def test_loss_slope_extreme_logits_equals_closed_form(name, term):
    logits = LOGITS[np.abs(LOGITS) != 1.0]  # the hinge's corners have no slope
    slopes = jax.vmap(jax.grad(terms_of(name)[term]))(jnp.asarray(logits, jnp.float32))
    expected = SLOPES[name][term](logits)
    np.testing.assert_allclose(slopes, expected, rtol=1e-6, atol=1e-30)


def test_bce_generator_confident_discriminator_has_slope_minus_one():
    # The saturating loss log(1 - sigmoid(x)) would have slope -e^-100 here.
    assert jax.grad(terms_of("bce").generator)(jnp.float32(-100.0)) == -1.0


def test_penalty_linear_critic_equals_closed_form():
    weights = np.zeros((4, 4, 1), np.float32)
    weights[1, 2], weights[3, 0] = 3.0, 4.0
    rng = np.random.default_rng(0)
    images, fakes = jnp.asarray(rng.normal(size=(2, 5, 4, 4, 1)), jnp.float32)
    found = losses.gradient_penalty(
        lambda x: (x * weights).sum((1, 2, 3)), images, fakes, jax.random.key(0)
    )
    np.testing.assert_allclose(found, np.full(5, (5.0 - 1.0) ** 2), rtol=1e-6)


def test_penalty_constant_critic_has_finite_gradient():
    def penalty(scale):
        return losses.gradient_penalty(
            lambda x: scale * x.sum((1, 2, 3)), ones, ones, jax.random.key(0)
        ).mean()

    ones = jnp.ones((2, 2, 2, 1))
    value, slope = jax.value_and_grad(penalty)(0.0)
    np.testing.assert_allclose(value, 1.0, rtol=1e-5)
    assert np.isfinite(slope)


def test_penalty_points_lie_between_real_and_fake_images():
    images, fakes = jnp.ones((50, 2, 2, 1)), -jnp.ones((50, 2, 2, 1))
    found = losses.gradient_penalty(
        lambda x: 0.5 * (x**2).sum((1, 2, 3)), images, fakes, jax.random.key(1)
    )
    # This critic's gradient is the point itself: its norm is 2 at an image, 0 halfway.
    norms = 1 + np.sqrt(np.asarray(found))  # those above 1
    assert norms.max() <= 2 + 1e-5
    assert 0.1 < np.std(found) and len(np.unique(found)) == 50


# A critic with a convolution, a transposed one and a dense layer, and the same in
# NumPy; tanh between, so that all derivatives exist.


def shapes():
    return {"down": (4, 4, 1, 2), "up": (4, 4, 2, 1), "dense": (16, 1)}


def critic(weights, x):
    options = {"lowering": PRODUCT, "strides": (2, 2)}
    x = jnp.tanh(conv(x, weights["down"], padding=((1, 1), (1, 1)), **options))
    padding = ((2, 2), (2, 2))
    x = jnp.tanh(conv_transpose(x, weights["up"], padding=padding, **options))
    return dense(x.reshape(len(x), -1), weights["dense"])[:, 0]


def convolve(x, kernel):
    """Valid convolution of [N, H, W, C] in NumPy, kernel HWIO."""
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], (1, 2))
    return np.einsum("nhwcij,ijco->nhwo", windows, kernel)


def reference_critic(weights, x):
    x = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    x = np.tanh(convolve(x, weights["down"])[:, ::2, ::2])  # [N, 2, 2, 2]
    spread = np.zeros((len(x), 3, 3, 2))
    spread[:, ::2, ::2] = x
    spread = np.pad(spread, ((0, 0), (2, 2), (2, 2), (0, 0)))
    x = np.tanh(convolve(spread, weights["up"]))  # [N, 4, 4, 1]
    return (x.reshape(len(x), -1) @ weights["dense"])[:, 0]


def reference_penalty(weights, points, eps=1e-5):
    """Mean penalty of float64 finite differences, a pixel at a time."""
    offsets = eps * np.eye(16).reshape(16, 4, 4, 1)
    slopes = [
        (
            reference_critic(weights, point + offsets)
            - reference_critic(weights, point - offsets)
        )
        / (2 * eps)
        for point in points
    ]
    return np.mean((np.linalg.norm(slopes, axis=1) - 1.0) ** 2)


def test_penalty_and_weight_gradients_equal_finite_differences():
    rng = np.random.default_rng(3)
    weights = {k: rng.normal(size=s) for k, s in shapes().items()}
    images, fakes = rng.normal(size=(2, 3, 4, 4, 1))
    key = jax.random.key(5)
    share = np.asarray(jax.random.uniform(key, (3, 1, 1, 1)), np.float64)
    points = share * images + (1 - share) * fakes

    @jax.jit
    @jax.value_and_grad
    def penalty(weights):
        return losses.gradient_penalty(
            lambda x: critic(weights, x),
            jnp.asarray(images, jnp.float32),
            jnp.asarray(fakes, jnp.float32),
            key,
        ).mean()

    value, gradients = penalty(jax.tree.map(lambda x: jnp.float32(x), weights))
    np.testing.assert_allclose(value, reference_penalty(weights, points), rtol=1e-4)
    for name, gradient in gradients.items():
        expected = np.zeros(shapes()[name])
        for index in np.ndindex(expected.shape):
            sides = []
            for sign in (1, -1):
                moved = {**weights, name: weights[name].copy()}
                moved[name][index] += sign * 1e-4
                sides.append(reference_penalty(moved, points))
            expected[index] = (sides[0] - sides[1]) / 2e-4
        np.testing.assert_allclose(gradient, expected, rtol=2e-3, atol=2e-4)
