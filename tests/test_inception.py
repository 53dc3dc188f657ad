"""The Inception network against torch-fidelity's, on seeded weights and images.

data/inception_reference.npz holds what torch-fidelity 0.4.0 (torch 2.13.0) makes of
`inception_reference.seeded_images`. Its FeatureExtractorInceptionV3 was given the
arrays of `inception_reference.seeded_state` by `load_state_dict(strict=False)` and ran
in float64, by `.double()` and `feature_extractor_internal_dtype`: "2048" is `features`,
"logits_unbiased" is `logits`, and `mean/<block>` is the mean over space of the output
of each top-level block (forward hooks) for the first image; stored as float32.
"features_32" and "logits_32" are the same of `seeded_small_images`.

The gate is 16 times above the rounding of float32 and 90 times below the smallest
effect of a known mistake. One compiled network carries the mistakes behind switches,
and each must break the gate.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from inception_reference import (
    PATH,
    seeded_images,
    seeded_small_images,
    seeded_state,
)

from gen_tickets.errors import UserError
from gen_tickets.evaluation.features import inception, inception_blocks, weights
from gen_tickets.kernels import pools
from gen_tickets.kernels.lowering import LIBRARY, PRODUCT

MISTAKES = ("counted_padding", "half_pixel_resize", "average_pool_in_7c")


def _passes(found, expected):
    found = np.asarray(found)
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    return bool(error <= 1e-5 and abs(found - expected).max() <= 1e-4)


@pytest.fixture(scope="module")
def reference():
    with np.load(PATH, allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def state():
    return seeded_state(weights.state_shapes())


@pytest.fixture(scope="module")
def variables(state):
    return weights.fold(state)


def _counted_average_pool(x):
    """An average over 9 cells everywhere."""
    ones = jnp.ones((1, *x.shape[1:3], 1))
    ones = jnp.pad(ones, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return pools.average_pool(x) * pools.average_pool(ones)[:, 1:-1, 1:-1]


def _half_pixel_matrix(size):
    positions = (np.arange(299) + 0.5) * size / 299 - 0.5
    positions = np.clip(positions, 0, size - 1)
    return np.maximum(1 - abs(positions[:, None] - np.arange(size)), 0).astype(
        np.float32
    )


@pytest.fixture(scope="module")
def switched():
    """(variables, images, {mistake: bool}) -> the result of `inception.network`."""
    right_resize_matrix = inception.resize_matrix

    def run(variables, images, switches):
        def average_pool(x):
            return jnp.where(
                switches["counted_padding"],
                _counted_average_pool(x),
                pools.average_pool(x),
            )

        def max_pool(x, stride, padding=0):
            pooled = pools.max_pool(x, stride, padding)
            if padding == 0:
                return pooled
            return jnp.where(
                switches["average_pool_in_7c"], pools.average_pool(x), pooled
            )

        def resize_matrix(size):
            return jnp.where(
                switches["half_pixel_resize"],
                _half_pixel_matrix(size),
                right_resize_matrix(size),
            )

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(inception_blocks, "average_pool", average_pool)
            patch.setattr(inception_blocks, "max_pool", max_pool)
            patch.setattr(inception, "resize_matrix", resize_matrix)
            return inception.network(variables, images, LIBRARY)

    compiled = jax.jit(run)

    def call(variables, images=None, **mistakes):
        switches = {name: mistakes.pop(name, False) for name in MISTAKES}
        assert not mistakes
        images = seeded_images() if images is None else images
        return compiled(variables, images, switches)

    return call


def test_seeded_state_has_recorded_sizes(state):
    assert len(state) == 472
    assert sum(array.size for array in state.values()) == 23_885_392
    assert state["Mixed_7c.branch_pool.conv.weight"].shape == (192, 2048, 1, 1)


def test_network_library_lowering_equals_reference_in_every_block(
    switched, variables, reference
):
    found, means = switched(variables)
    wrong = [
        name
        for name, mean in means.items()
        if not _passes(mean[0], reference[f"mean/{name}"])
    ]
    assert not wrong and len(means) == 18
    assert _passes(found.features, reference["features"])
    assert _passes(found.logits, reference["logits"])


@pytest.mark.parametrize("mistake", MISTAKES)
def test_network_with_planted_mistake_differs_from_reference(
    switched, variables, reference, mistake
):
    found, _ = switched(variables, **{mistake: True})
    assert not _passes(found.features, reference["features"])
    assert not _passes(found.logits, reference["logits"])


def test_network_with_other_batch_norm_epsilon_differs(switched, state, reference):
    found, _ = switched(weights.fold(state, epsilon=1e-5))
    assert not _passes(found.features, reference["features"])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda images: images[..., ::-1],
        lambda images: images[:, :, ::-1],
        lambda images: images - (images > 128).astype(np.uint8),
    ],
    ids=["bgr", "mirrored", "one_level_darker"],
)
def test_network_on_altered_pixels_differs_from_reference(
    switched, variables, reference, spoil
):
    found, _ = switched(variables, np.ascontiguousarray(spoil(seeded_images())))
    assert not _passes(found.features, reference["features"])


def test_extract_partial_batch_equals_reference(variables, reference):
    found = inception.extract(
        variables, seeded_images(), batch_size=2, lowering=PRODUCT
    )
    assert found.features.shape == (3, 2048) and found.logits.shape == (3, 1008)
    assert found.features.dtype == found.logits.dtype == np.float32
    assert _passes(found.features, reference["features"])
    assert _passes(found.logits, reference["logits"])


def test_stem_one_channel_equals_three_equal_channels(variables):
    stem = jax.jit(inception.Stem(LIBRARY).apply)
    gray = seeded_images()[:1, :, :, :1]
    alone, _ = stem(variables, gray)
    tiled, _ = stem(variables, np.repeat(gray, 3, -1))
    np.testing.assert_allclose(alone, tiled, rtol=0, atol=1e-5)


def _resize_by_gathers(images):
    """TensorFlow 1's order of operations in float32."""
    x = images.astype(np.float32)
    for axis in (2, 1):
        size = x.shape[axis]
        positions = np.arange(299, dtype=np.float32) * np.float32(size / 299)
        low = positions.astype(int)
        high = np.minimum(low + 1, size - 1)
        shape = [1, 1, 1, 1]
        shape[axis] = 299
        fraction = (positions - low.astype(np.float32)).reshape(shape)
        first, second = x.take(low, axis), x.take(high, axis)
        x = first + (second - first) * fraction
    return x


@pytest.mark.parametrize("size", [(32, 32), (28, 45), (1, 1), (299, 310)], ids=str)
def test_resize_equals_tensorflow_1_bilinear(size):
    images = np.random.default_rng(0).integers(0, 256, (2, *size, 3)).astype(np.uint8)
    found = inception.resize(images)
    np.testing.assert_allclose(found, _resize_by_gathers(images), rtol=0, atol=1e-4)
    # The last cell repeats; a shifted rule leaves zeros there.
    np.testing.assert_allclose(found[:, 0, 0], images[:, 0, 0], atol=1e-4)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((1, 8, 8, 4), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
    ],
    ids=["float", "no_batch", "four_channels", "none"],
)
def test_extract_wrong_shape_or_type_raises_user_error(images):
    with pytest.raises(UserError, match="images="):
        inception.extract({}, images)


@pytest.mark.slow
@pytest.mark.parametrize("lowering", [PRODUCT, LIBRARY], ids=["product", "library"])
def test_extract_small_images_equals_reference_in_both_lowerings(
    variables, reference, lowering
):
    found = inception.extract(variables, seeded_small_images(), 8, lowering)
    assert _passes(found.features, reference["features_32"])
    assert _passes(found.logits, reference["logits_32"])
