"""Other schedules, scopes and arms of the lottery, and a training that diverges."""

import jax
import numpy as np
import pytest
from test_lottery import RUNS, configure, kept, make, run, total

from gen_tickets.procedures import arms, lottery
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.training import loop as loop_lib


def test_run_rewind_to_zero_without_control_has_initial_weights(tmp_path):
    found, rows = run(tmp_path, rewind__step=0, arms=("winning",), prune__rounds=1)
    assert [row["arm"] for row in rows] == ["dense"] * RUNS + ["winning"] * RUNS
    initial = lottery.dense(make(configure())[0]).state.params
    for i in range(RUNS):
        for mask, start, weight in zip(
            jax.tree.leaves(found[1, i].masks),
            jax.tree.leaves(initial),
            jax.tree.leaves(found[1, i].params),
        ):
            expected = np.where(mask, np.asarray(start[i]), np.float32(0))
            np.testing.assert_array_equal(weight, expected)


def with_params(begun, params):
    return begun._replace(state=begun.state._replace(params=params))


def trained(prepared, seed=0):
    """A dense round whose weights are nothing like those of step k."""
    begun = lottery.dense(prepared)
    rng = np.random.default_rng(seed)
    params = jax.tree.map(
        lambda x: np.float32(rng.normal(size=x.shape)), begun.state.params
    )
    return with_params(begun, params)


def pooled(prepared, params, run_number):
    leaves = {
        name: x[run_number] for name, x in masks_lib.trees.named_leaves(params).items()
    }
    names = prepared.pruner.names
    return np.concatenate([np.abs(leaves[name]).ravel() for name in names])


def test_one_shot_keeps_largest_dense_magnitudes():
    prepared, data = make(configure(prune__schedule="one_shot"))
    dense = trained(prepared)
    magnitudes = [pooled(prepared, dense.state.params, i) for i in range(RUNS)]
    begun = lottery.next_round(prepared, data, dense, 1)
    later = trained(prepared, seed=1)  # what round 1 learned does not matter
    both = jax.tree.map(lambda x: np.concatenate([x, x]), later.state.params)
    begun = lottery.next_round(prepared, data, with_params(begun, both), 2)
    for i, magnitude in enumerate(magnitudes):
        num_keep = round(len(magnitude) * 0.25)
        threshold = np.sort(magnitude)[-num_keep]
        found = pooled(prepared, begun.masks, i)
        np.testing.assert_array_equal(found, magnitude >= threshold)


def test_iterative_scores_winning_ticket_of_previous_round():
    prepared, data = make(configure())
    begun = lottery.next_round(prepared, data, trained(prepared), 1)
    winning, other = trained(prepared, 1).state.params, trained(prepared, 2)
    both = jax.tree.map(
        lambda a, b: np.concatenate([a, b]), winning, other.state.params
    )
    after = lottery.next_round(prepared, data, with_params(begun, both), 2)
    for i in range(RUNS):
        alive = pooled(prepared, begun.masks, i) > 0
        magnitude = np.where(alive, pooled(prepared, winning, i), -1)
        threshold = np.sort(magnitude)[-round(len(magnitude) * 0.25)]
        found = pooled(prepared, after.masks, i) > 0
        np.testing.assert_array_equal(found, magnitude >= threshold)


def test_layer_scope_prunes_same_fraction_of_each_layer():
    prepared, data = make(configure(prune__scope="layer"))
    for r in (1, 2):
        begun = lottery.next_round(prepared, data, trained(prepared), r)
        for i in range(RUNS):
            masks = jax.tree.map(lambda m: m[i], begun.masks)
            for size, count in masks_lib.layer_counts(masks).values():
                assert count == max(round(size * 0.5**r), 1)


def test_next_round_all_rounds_share_one_compilation():
    prepared, data = make(configure())
    begun = lottery.next_round(prepared, data, trained(prepared), 1)
    prune = prepared.pruner.prune
    compiled = prune._cache_size(), arms.rewind._cache_size()
    for r in (2, 3, 4):
        begun = lottery.next_round(prepared, data, begun, r)
    assert prune._cache_size() <= compiled[0] + 1  # from device arrays once
    assert arms.rewind._cache_size() <= compiled[1] + 1


def test_run_extreme_sparsity_keeps_one_weight_per_layer(tmp_path):
    found, rows = run(tmp_path, prune__fraction=0.995, prune__rounds=1)
    for row in rows[RUNS:]:
        masks = found[1, row["run"]].masks
        counts = [count for _, count in masks_lib.layer_counts(masks).values()]
        assert min(counts) == 1 and row["floored_layers"] > 0
        assert sum(counts) == max(round(total(masks) * 0.005), len(counts))
    assert [row["floored_layers"] for row in rows[:RUNS]] == [0] * RUNS


def test_run_one_component_leaves_the_other_dense(tmp_path):
    found, rows = run(
        tmp_path, prune__components=("decoder",), prune__rounds=1, arms=("winning",)
    )
    for row in rows[RUNS:]:
        masks = found[1, row["run"]].masks
        assert row["sparsity_encoder"] == 0
        assert row["sparsity_decoder"] == pytest.approx(0.5, abs=0.01)
        assert row["sparsity"] == pytest.approx(1 - kept(masks) / total(masks))
        assert row["sparsity"] < 0.3


def test_run_diverged_training_is_recorded_and_completes(tmp_path):
    found, rows = run(tmp_path, optimizer__learning_rate=1e30, prune__rounds=1)
    assert len(rows) == 3 * RUNS and all(row["diverged"] for row in rows)
    # A random ticket may have a finite loss; it counts as diverged all the same,
    # because the dense run it comes from diverged.
    trained = [row for row in rows if row["arm"] != "random"]
    assert all(np.isnan(row["train_loss"]) for row in trained)
    assert kept(found[1, 0].masks) == round(total(found[1, 0].masks) * 0.5)


def test_run_one_diverged_member_marks_only_its_rows(monkeypatch, tmp_path):
    """Other runs and their arms stay finite; the diverged run's are marked."""
    make_loop = loop_lib.make_loop

    def poisoned(*args):
        loop = make_loop(*args)

        def stretch(state, totals, masks, images, order, keys, num_steps):
            if int(state.step[0]) == 0:  # the dense round, its second run
                state = state._replace(
                    params=jax.tree.map(lambda x: x.at[1].set(np.nan), state.params)
                )
            return loop.stretch(state, totals, masks, images, order, keys, num_steps)

        return loop._replace(stretch=stretch)

    monkeypatch.setattr(loop_lib, "make_loop", poisoned)
    _, rows = run(tmp_path, prune__rounds=1)
    assert [row["diverged"] for row in rows] == [False, True] * 3
