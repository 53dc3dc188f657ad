"""Pruning at initialization: SNIP, GraSP and SynFlow in the loop of rounds."""

import functools

import jax
import numpy as np
import pytest
from test_lottery import RUNS, configure, kept, make, run, total

from gen_tickets.config import defaults, registries
from gen_tickets.data import dataset
from gen_tickets.errors import UserError
from gen_tickets.procedures import lottery
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.training.population import Purpose

pytestmark = pytest.mark.usefixtures("library_convolutions")

AT_START = {"prune__schedule": "at_initialization", "rewind__step": 0}


def best(experiment, saliency, num_keep):
    """Masks of the `num_keep` largest of a pool, ranked by NumPy."""
    leaves = masks_lib.trees.named_leaves(saliency)
    names = experiment.pruner.names
    values = np.concatenate([np.asarray(leaves[n]).ravel() for n in names])
    found = np.zeros(values.size, bool)
    found[np.argsort(-values, kind="stable")[:num_keep]] = True
    return found


def masks_of(prepared, begun, member):
    leaves = masks_lib.trees.named_leaves(begun.masks)
    kernels = [np.asarray(leaves[n][member]).ravel() for n in prepared.pruner.names]
    return np.concatenate(kernels)


def later(begun):
    """A round after some training, whose weights must not be scored."""
    params = jax.tree.map(lambda x: 3 * x + 1, begun.state.params)
    return begun._replace(state=begun.state._replace(params=params))


@pytest.mark.parametrize("method", ["snip", "grasp"])
def test_next_round_at_initialization_keeps_best_initial_weights(method):
    config = configure(**AT_START, prune__method=method, prune__batches=3)
    prepared, data = make(config)
    start = lottery.dense(prepared)
    begun = lottery.next_round(prepared, data, later(start), 1)
    begun = lottery.next_round(prepared, data, later(begun), 2)
    images = np.asarray(data.train)
    saliency = registries.saliency.get(method)
    score = jax.jit(functools.partial(saliency.score, task=prepared.task))
    for i in range(RUNS):
        params, stats = jax.tree.map(
            lambda x: np.asarray(x)[i], (start.state.params, start.state.stats)
        )
        rows = dataset.order(config.seed, i, len(images), config.data.batch_size, 0, 3)
        key = prepared.dense.run_keys(Purpose.SCORE)[i]
        saliency = score(params, stats=stats, batches=images[rows], key=key)
        size = sum(np.asarray(leaf).size for leaf in leaves(prepared, params))
        expected = best(prepared, saliency, round(size / 4))
        found = masks_of(prepared, begun, i)
        # Sums in another order may exchange two weights at the border.
        assert np.count_nonzero(found != expected) <= 2
        np.testing.assert_array_equal(found, masks_of(prepared, begun, i + RUNS))


def leaves(prepared, params):
    named = masks_lib.trees.named_leaves(params)
    return [named[name] for name in prepared.pruner.names]


@pytest.mark.parametrize("method", ["snip", "random"])
def test_two_rounds_at_initialization_equal_one_round(method):
    changes = {**AT_START, "prune__method": method}
    in_rounds = make(configure(**changes))
    begun = lottery.next_round(*in_rounds, lottery.dense(in_rounds[0]), 1)
    begun = lottery.next_round(*in_rounds, begun, 2)
    at_once = make(configure(**changes, prune__fraction=0.75))
    other = lottery.next_round(*at_once, lottery.dense(at_once[0]), 1)
    for a, b in zip(jax.tree.leaves(begun.masks), jax.tree.leaves(other.masks)):
        np.testing.assert_array_equal(a, b)


def test_run_at_initialization_ticket_has_masked_initial_weights(tmp_path):
    changes = {**AT_START, "prune__method": "magnitude", "prune__rounds": 1}
    found, rows = run(tmp_path, **changes)
    prepared, _ = make(configure(**changes))
    initial = lottery.dense(prepared).state.params
    for i in range(RUNS):
        masks, params = found[1, i].masks, found[1, i].params
        assert kept(masks) == round(total(masks) * 0.5)
        for mask, start, weight in zip(
            jax.tree.leaves(masks), jax.tree.leaves(initial), jax.tree.leaves(params)
        ):
            expected = np.where(mask, np.asarray(start[i]), np.float32(0))
            np.testing.assert_array_equal(weight, expected)
    arms = ["dense"] * RUNS + ["winning"] * RUNS + ["random"] * RUNS
    assert [row["arm"] for row in rows] == arms
    losses = [row["heldout_loss"] for row in rows]
    assert len(set(losses)) == len(losses)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"prune.schedule": "at_initialization"}, "rewind.step=10: .* give 0"),
        ({"prune.method": "snip"}, "prune.method='snip': .*at_initialization"),
        (
            {"prune.method": "grasp", "prune.schedule": "one_shot"},
            "prune.method='grasp': .*not those of .*'one_shot'",
        ),
        (
            {"prune.method": "synflow", "model.name": "sngan"},
            "prune.method='synflow': model.name='sngan'",
        ),
    ],
)
def test_validate_method_unfit_for_schedule_raises_user_error(changes, message):
    config = defaults.get_config()
    config.train.steps = 20
    config.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=message):
        defaults.validate(config)
