"""The whole procedure on digits, from config to files: the invariants of a ticket."""

import jax
import numpy as np
import pytest

from gen_tickets import procedures, trees
from gen_tickets.data import dataset
from gen_tickets.experiments import quickstart
from gen_tickets.procedures import lottery, rounds, setup
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.report import render
from gen_tickets.workdir import events as events_lib
from gen_tickets.workdir import paths, tables, tickets

RUNS, ROUNDS, STEPS = 2, 2, 8


class NoEvents:
    """Stands in for TensorBoard, which takes seconds to load."""

    def __init__(self, folder):
        pass

    def write(self, run, step, scalars):
        pass

    def image(self, run, step, name, image):
        pass

    def text(self, run, name, text):
        pass

    def hparams(self, run, step, values):
        pass

    def close(self):
        pass


def configure(**changes):
    config = quickstart.get_config("smoke")
    config.update_from_flattened_dict(
        {
            "runs": RUNS,
            "prune.rounds": ROUNDS,
            "prune.fraction": 0.5,
            "train.steps": STEPS,
            "rewind.step": 3,
            "eval.every_steps": 4,
            "eval.num_shown": 2,
            "data.limit": 48,
            "data.batch_size": 16,
            "data.image_size": 8,
            "model.widths": (6, 5),
            "model.latent_size": 2,
            **{name.replace("__", "."): value for name, value in changes.items()},
        }
    )
    return config


def run(folder, **changes):
    """Runs an experiment; returns {(round, run): ticket} and the rows."""
    config = configure(**changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events_lib, "EventWriter", NoEvents)
        patch.setattr(render, "draw", lambda workdir: workdir)
        procedures.run(config, folder)
    return read(folder, config.prune.rounds, config.runs)


def read(folder, rounds=ROUNDS, runs=RUNS):
    found = {
        (r, i): tickets.load(paths.ticket_path(folder, r, i))
        for r in range(rounds + 1)
        for i in range(runs)
    }
    return found, tables.read_rows(paths.results_path(folder))


@pytest.fixture(scope="module")
def standard(tmp_path_factory):
    """(folder, tickets, rows) of an undisturbed run; tests must not write in it."""
    folder = tmp_path_factory.mktemp("lottery") / "standard"
    return folder, *run(folder)


def kept(masks):
    return sum(count for _, count in masks_lib.layer_counts(masks).values())


def total(masks):
    return sum(size for size, _ in masks_lib.layer_counts(masks).values())


def assert_trees_equal(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        assert np.asarray(x).tobytes() == np.asarray(y).tobytes()


def test_run_masks_nest_with_exact_counts(standard):
    _, found, _ = standard
    for run_number in range(RUNS):
        before = found[0, run_number].masks
        assert kept(before) == total(before)
        for r in range(1, ROUNDS + 1):
            masks = found[r, run_number].masks
            assert kept(masks) == round(total(masks) * 0.5**r)
            for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(masks)):
                assert not np.any(b & ~a)
            for name, mask in trees.named_leaves(masks).items():
                assert mask.any() if masks_lib.is_kernel(name) else mask.all()
            before = masks


def test_run_tickets_have_weights_of_rewind_step(standard):
    _, found, _ = standard
    prepared, data = make(configure())
    start, population = lottery.dense(prepared), prepared.dense
    loop = setup.make_loop(prepared, population, data.streamed)
    examples, order = data.batches(population, prepared.schedule, 0, None).take(3)
    keys = population.train_keys()
    state, _ = loop.stretch(
        start.state, start.totals, start.masks, examples, order, keys, 3
    )
    for run_number in range(RUNS):
        params = jax.tree.map(lambda x: np.asarray(x[run_number]), state.params)
        for r in range(ROUNDS + 1):
            ticket = found[r, run_number]
            expected = jax.tree.map(
                lambda m, x: np.where(m, x, np.float32(0)), ticket.masks, params
            )
            assert_trees_equal(ticket.params, expected)


def make(config):
    """-> (prepared, data) of an experiment."""
    return procedures.prepare(config, dataset.load(config))


def test_next_round_arms_share_masks_and_differ_in_weights():
    prepared, data = make(configure())
    begun = lottery.next_round(prepared, data, lottery.dense(prepared), 1)
    params = begun.state.params
    assert begun.state.step.tolist() == [3] * 2 * RUNS
    masks = jax.tree.leaves(begun.masks)
    for mask, weight in zip(masks, jax.tree.leaves(params)):
        mask, weight = np.asarray(mask), np.asarray(weight)
        np.testing.assert_array_equal(mask[:RUNS], mask[RUNS:])
        assert np.all(weight[~mask] == 0)
        if weight.ndim == 3:  # [members, in, out]: a kernel
            for i in range(RUNS):
                both = mask[i] & (weight[i] != 0)
                assert np.all(weight[i][both] != weight[i + RUNS][both])
    # The next round draws the control anew.
    again = lottery.next_round(prepared, data, begun, 2)
    first = params["encoder"]["dense_0"]["kernel"][RUNS:]
    second = again.state.params["encoder"]["dense_0"]["kernel"][RUNS:]
    both = np.asarray((first != 0) & (second != 0))
    assert both.any() and np.all(np.asarray(first != second)[both])


def test_rewound_random_has_the_weights_of_step_k_and_the_counts_of_each_layer():
    config = configure(arms=("winning", "random", "rewound_random"))
    prepared, data = make(config)
    begun = lottery.dense(prepared)
    first = lottery.next_round(prepared, data, begun, 1)
    second = lottery.next_round(prepared, data, first, 2)
    for round_state in (first, second):
        leaves = [
            trees.named_leaves(x) for x in (round_state.masks, begun.state.params)
        ]
        params = trees.named_leaves(round_state.state.params)
        for name, mask in leaves[0].items():
            of_arms = np.asarray(mask).reshape(3, RUNS, -1)
            winning, random, control = of_arms
            np.testing.assert_array_equal(winning, random)
            np.testing.assert_array_equal(winning.sum(-1), control.sum(-1))
            assert (winning == control).all() == winning.all()
            kept = np.asarray(leaves[1][name]).reshape(RUNS, -1)
            found = np.asarray(params[name]).reshape(3, RUNS, -1)[2]
            np.testing.assert_array_equal(found, np.where(control, kept, 0))
    # Every run and every round draws its own.
    name = "encoder/dense_0/kernel"
    masks = [trees.named_leaves(x.masks)[name][2 * RUNS :] for x in (first, second)]
    assert (masks[0][0] != masks[0][1]).any() and (masks[1] & ~masks[0]).any()


def test_run_rows_agree_with_its_tickets(standard):
    folder, found, rows = standard
    keys = [(row["round"], row["arm"], row["run"]) for row in rows]
    arms = {0: ("dense",), 1: ("winning", "random"), 2: ("winning", "random")}
    assert keys == [(r, arm, i) for r in arms for arm in arms[r] for i in range(RUNS)]
    for row in rows:
        masks = found[row["round"], row["run"]].masks
        assert row["sparsity"] == pytest.approx(1 - kept(masks) / total(masks))
        assert row["remaining"] == pytest.approx(1 - row["sparsity"])
        for component in ("encoder", "decoder"):
            part = {component: masks[component]}
            share = 1 - kept(part) / total(part)
            assert row[f"sparsity_{component}"] == pytest.approx(share)
        assert row["steps"] == STEPS and row["diverged"] is False
        assert row["early_stop_step"] in (4, 8)
        assert row["train_loss"] > 0 and row["heldout_loss"] > 0
        trained = STEPS if row["round"] == 0 else STEPS - 3
        dense_row = rows[0]["flops_dense"] * trained / STEPS
        # Magnitude pruning costs little compared with a step, but not 0.
        assert dense_row <= row["flops_dense"] < 1.1 * dense_row
        assert (row["flops_dense"] == dense_row) == (row["round"] == 0)
        assert (row["flops_masked"] < row["flops_dense"]) == (row["round"] > 0)
        assert row["flops_compact"] <= row["flops_dense"]
    layers = tables.read_rows(paths.layers_path(folder))
    for row in layers:
        mask = found[row["round"], row["run"]].masks
        size, count = masks_lib.layer_counts(mask)[row["layer"]]
        assert (row["total"], row["kept"]) == (size, count)
    assert len(layers) == (ROUNDS + 1) * RUNS * len(masks_lib.layer_counts(mask))
    ticket = found[2, 1].provenance
    assert (ticket["run"], ticket["round"], ticket["step"]) == (1, 2, 3)
    pictures = {path.name for path in paths.samples_dir(folder).iterdir()}
    assert "originals.png" in pictures and "round_02_random_samples.png" in pictures


def test_run_warns_before_rounds_that_repeat_a_ticket(capsys):
    """Which they are, by brute force: masks of random saliencies, round by round."""
    prepared, _ = make(configure(prune__rounds=7, prune__fraction=0.9))
    pruner, rng = prepared.pruner, np.random.default_rng(0)
    params = prepared.shapes.params
    scores = jax.tree.map(lambda x: rng.normal(size=x.shape).astype("f4"), params)
    masks, same = masks_lib.dense(params), []
    for number in range(1, 8):
        new, _ = masks_lib.select(scores, masks, pruner.names, pruner.num_keep(number))
        if all(map(np.array_equal, jax.tree.leaves(masks), jax.tree.leaves(new))):
            same.append(number)
        masks = new
    assert pruner.repeated_rounds(7) == same and 1 < same[0] < 7
    rounds.tell_repeated(prepared)
    told = capsys.readouterr().err
    assert f"{len(same)} rounds ({same[0]}, " in told and told.count("\n") == 1
