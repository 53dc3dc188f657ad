"""The choice of images, and the batch order."""

import ml_collections
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_tickets.data import dataset as dataset_lib
from gen_tickets.errors import UserError


def configure(**fields):
    defaults = dict(
        name="digits",
        dir="",
        download=False,
        crop=0,
        image_size=0,
        batch_size=4,
        limit=0,
        resident=True,
    )
    return ml_collections.ConfigDict({"data": {**defaults, **fields}})


# --- which images --------------------------------------------------------------


def test_check_batch_larger_than_training_set_names_both_numbers():
    with pytest.raises(UserError, match="batch_size=1498.*1497"):
        dataset_lib.check(configure(batch_size=1498))
    with pytest.raises(UserError, match="batch_size=65.*64"):
        dataset_lib.load(configure(batch_size=65, limit=64))
    dataset_lib.check(configure(batch_size=1497))


def test_load_limited_sets_are_nested_shuffled_and_of_exact_size():
    whole = dataset_lib.load(configure())
    small = dataset_lib.load(configure(limit=100, batch_size=8))
    large = dataset_lib.load(configure(limit=400, batch_size=8))
    assert [len(images) for images, _ in small[:2]] == [100, 20]
    assert [len(images) for images, _ in large[:2]] == [400, 80]
    keys = [
        [image.tobytes() for image in dataset.train.images]
        for dataset in (small, large, whole)
    ]
    assert set(keys[0]) < set(keys[1]) < set(keys[2])
    assert keys[0] != keys[2][:100]
    assert len(np.unique(small.train.labels)) == 10


def test_load_limited_heldout_set_has_at_least_one_batch():
    dataset = dataset_lib.load(configure(limit=50, batch_size=32))
    assert len(dataset.heldout.images) == 32
    assert len(dataset_lib.load(configure(limit=1497)).heldout.images) == 299
    assert len(dataset_lib.load(configure(limit=5000)).heldout.images) == 300


# --- order ---------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(
    num_images=st.integers(1, 50),
    batch_size=st.integers(1, 50),
    first=st.integers(0, 40),
    steps=st.integers(0, 40),
    seed=st.integers(0, 2**40),
)
def test_order_of_any_window_is_a_slice_of_the_whole(
    num_images, batch_size, first, steps, seed
):
    batch_size = min(batch_size, num_images)
    whole = dataset_lib.order(seed, 3, num_images, batch_size, 0, first + steps)
    window = dataset_lib.order(seed, 3, num_images, batch_size, first, steps)
    assert window.shape == (steps, batch_size) and window.dtype == np.int32
    np.testing.assert_array_equal(window, whole[first:])


def test_order_epoch_has_no_repeats_and_differs_from_the_next():
    per_epoch = dataset_lib.steps_per_epoch(103, 10)
    assert per_epoch == 10
    epochs = dataset_lib.order(0, 0, 103, 10, 0, 3 * per_epoch).reshape(3, -1)
    left_out = set()
    for epoch in epochs:
        assert len(set(epoch.tolist())) == 100
        assert 0 <= epoch.min() and epoch.max() < 103
        left_out.add(frozenset(range(103)) - frozenset(epoch.tolist()))
    assert len(left_out) > 1  # another remainder is dropped every time
    assert not np.array_equal(epochs[0], epochs[1])


def test_order_equals_numpy_philox_permutation():
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([7, 2, 5])))
    expected = generator.permutation(21)[:20].reshape(5, 4)
    np.testing.assert_array_equal(dataset_lib.order(7, 2, 21, 4, 25, 5), expected)


def test_order_of_other_run_or_seed_differs():
    orders = [
        dataset_lib.order(s, r, 64, 64, 0, 1) for s, r in ((0, 0), (0, 1), (1, 0))
    ]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert not np.array_equal(orders[i], orders[j])


def test_order_batch_larger_than_set_raises_value_error():
    with pytest.raises(ValueError, match="larger"):
        dataset_lib.order(0, 0, 3, 4, 0, 1)
