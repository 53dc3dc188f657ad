"""When an early-bird ticket is found, on planted masks and against brute force."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_tickets.pruning import channels, detection
from gen_tickets.pruning import masks as masks_lib
from tests import networks

pytestmark = pytest.mark.usefixtures("library_convolutions")

DELTA, CHANNELS = 0.1, 40
KEY = jax.random.key(5)
note = jax.jit(detection.note)


def follow(masks, delta=DELTA):
    """The history after these masks, [epochs, channels]."""
    history = detection.begin(max(len(masks), 6), masks.shape[1])
    for mask in masks:
        history = note(history, mask, delta)
    return history


def draw(gammas, num_keep):
    """Masks of the largest gammas, one a row."""
    scores = {"decoder": {"norm": gammas}}
    return channels.flatten(channels.select(scores, [num_keep]))


def brute_force(masks, delta):
    """First epoch, from 1, whose distances to the five before are below delta."""
    for epoch in range(6, len(masks) + 1):
        others = masks[epoch - 6 : epoch - 1]
        far = [np.mean(masks[epoch - 1] != other) for other in others]
        if max(far) < delta:
            return epoch
    return 0


def test_note_constant_ranking_is_found_at_sixth_epoch():
    gammas = np.random.default_rng(0).random(CHANNELS, np.float32)
    scales = 1.0 + np.arange(9, dtype=np.float32)
    masks = np.array([draw(gammas * scale, 12) for scale in scales])
    for count in range(1, 10):
        assert int(follow(masks[:count]).found) == (6 if count >= 6 else 0)


def test_note_random_scales_are_never_found():
    rng = np.random.default_rng(1)
    masks = [draw(rng.random(CHANNELS, np.float32), 20) for _ in range(60)]
    history = follow(np.array(masks))
    assert int(history.found) == 0 and int(history.num_epochs) == 60
    np.testing.assert_array_equal(history.drawn, masks)


def test_note_distance_equal_to_delta_is_not_found():
    """The authors' code compares with 1, so that it stops at the first comparison."""
    masks = np.zeros((8, CHANNELS), bool)
    masks[:, :10] = True
    masks[5:, 8:12] ^= True  # 4 of 40 channels: a distance of 0.1
    assert int(follow(masks, 0.1).found) == 0
    assert int(follow(masks, 0.11).found) == 6
    assert int(follow(masks, 1.0).found) == 6


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    flips=st.lists(st.integers(0, 6), min_size=6, max_size=14),
    delta=st.sampled_from([0.06, 0.11, 0.31]),
)
def test_note_found_epoch_equals_brute_force(seed, flips, delta):
    rng = np.random.default_rng(seed)
    masks = [rng.random(CHANNELS) < 0.5]
    for count in flips:
        mask = masks[-1].copy()
        mask[rng.choice(CHANNELS, count, replace=False)] ^= True
        masks.append(mask)
    masks = np.array(masks)
    assert int(follow(masks, delta).found) == brute_force(masks, delta)


def test_watch_training_is_unchanged_and_masks_drawn_each_epoch():
    model = networks.make("vae")

    def draw(params):
        scores = channels.scores(model.groups, params)
        return channels.flatten(channels.select(scores, [10]))

    watched = detection.watch(model.task, draw, 3, 7, DELTA)
    state = jax.jit(watched.init)(KEY)
    plain = detection.without_history(state)
    masks = masks_lib.dense(plain.params)
    step, plain_step = jax.jit(watched.step), jax.jit(model.task.step)
    drawn = []
    for i in range(7):
        images = model.images(4, i)
        state, metrics = step(state, masks, images, KEY)
        plain, expected = plain_step(plain, masks, images, KEY)
        for name, value in expected.items():
            assert metrics[name] == pytest.approx(float(value), rel=1e-4)
        if i % 3 == 2:
            drawn.append(np.asarray(jax.jit(draw)(state.params)))
    history = detection.history(state)
    assert int(history.num_epochs) == 2 and int(history.found) == 0
    np.testing.assert_array_equal(history.drawn[:2], drawn)
    assert not np.asarray(history.drawn[2:]).any()
    bare = detection.without_history(state)
    assert jax.tree.structure(bare) == jax.tree.structure(plain)
    for a, b in zip(jax.tree.leaves(bare.params), jax.tree.leaves(plain.params)):
        np.testing.assert_allclose(a, b, atol=1e-4)
