"""Dynamic sparse training against NumPy, and a whole experiment of all methods."""

import contextlib
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_lottery import NoEvents

from gen_tickets import procedures, trees
from gen_tickets.config import defaults
from gen_tickets.errors import UserError
from gen_tickets.experiments import quickstart
from gen_tickets.procedures import rounds
from gen_tickets.pruning import dynamic
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.report import verdict
from gen_tickets.workdir import events as events_lib
from gen_tickets.workdir import paths, tables, tickets
from gen_tickets.workdir.checkpoints import Checkpoints
from tests import result_rows
from tests.result_rows import BAD, GOOD

RNG = np.random.default_rng(0)
GROWTH = dynamic.Growth(share=0.3, interval=10, end=75, last=100)
SHAPES = {"a/kernel": (3, 3, 8, 16), "b/kernel": (16, 40), "c/kernel": (40, 2)}


def tree_of(draw):
    """{layer: {kernel, bias}} of one component, with kernels of SHAPES."""
    return {
        "net": {
            name.partition("/")[0]: {"kernel": draw(shape), "bias": draw((shape[-1],))}
            for name, shape in SHAPES.items()
        }
    }


NAMES = tuple(f"net/{name}" for name in SHAPES)


# --- masks ---------------------------------------------------------------------------


def test_draw_keeps_the_counts_and_every_bias():
    counts = {"net/a/kernel": 7, "net/b/kernel": 100, "net/c/kernel": 1}
    masks = jax.jit(lambda x, key: dynamic.draw(x, counts, key))(
        tree_of(np.zeros), jax.random.key(0)
    )
    for name, mask in trees.named_leaves(masks).items():
        assert mask.sum() == counts.get(name, mask.size)


_change = jax.jit(dynamic.change, static_argnums=3)


# --- a change -----------------------------------------------------------------------


def changed_by_numpy(weights, mask, scores, share):
    """RigL's drop and growth of one layer, one weight after the other."""
    weights, mask, scores = (x.ravel().copy() for x in (weights, mask, scores))
    kept = int(mask.sum())
    count = min(int(np.floor(np.float32(share) * kept)), mask.size - kept)
    for _ in range(count):
        place = min(np.flatnonzero(mask), key=lambda i: (abs(weights[i]), -i))
        mask[place] = False
    grown = np.zeros_like(mask)
    for _ in range(count):
        place = min(np.flatnonzero(~mask & ~grown), key=lambda i: (-scores[i], i))
        grown[place] = True
    return mask | grown, grown


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.9])
def test_change_equals_a_loop_of_numpy_in_counts_and_places(share):
    weights, scores = (tree_of(lambda s: RNG.normal(size=s)) for _ in range(2))
    masks = tree_of(lambda s: RNG.random(s) < 0.4 if len(s) > 1 else np.ones(s, bool))
    masks["net"]["c"]["kernel"] = np.ones((40, 2), bool)  # dense: nothing to grow
    found, grown = _change(weights, masks, scores, NAMES, share)
    before, after, new = map(trees.named_leaves, (masks, found, grown))
    of_weights, of_scores = trees.named_leaves(weights), trees.named_leaves(scores)
    for name, mask in before.items():
        expected, expected_new = mask.ravel(), np.zeros(mask.size, bool)
        if name in NAMES:
            of_layer = of_weights[name], mask, of_scores[name]
            expected, expected_new = changed_by_numpy(*of_layer, share)
        np.testing.assert_array_equal(after[name].ravel(), expected)
        np.testing.assert_array_equal(new[name].ravel(), expected_new)
        assert after[name].sum() == mask.sum()


def test_share_at_falls_as_half_a_cosine_and_that_of_set_stays():
    for method in ("rigl", "magran"):
        found = [float(dynamic.share_at(GROWTH, method, s)) for s in (0, 25, 75, 90)]
        expected = [0.3, 0.15 * (1 + math.cos(math.pi / 3)), 0, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert float(dynamic.share_at(GROWTH, "set", 90)) == pytest.approx(0.3)
    assert float(dynamic.share_at(GROWTH, "set", 100)) == 0
    assert float(dynamic.share_at(GROWTH, "static", 10)) == 0


# --- a training ---------------------------------------------------------------------


def configure(**changes):
    config = quickstart.get_config("smoke")
    config.update_from_flattened_dict(
        {
            "seed": 1,  # with 0, no path through these few units is left
            "runs": 1,
            "train.steps": 30,
            "data.image_size": 8,
            "data.limit": 64,
            "data.batch_size": 16,
            "model.widths": (8, 6),
            "procedure": "dynamic",
            "rewind.step": "0",
            "dynamic.methods": ("rigl", "set", "magran", "static"),
            "dynamic.every_steps": 5,
            "prune.sparsities": (0.8, 0.9),
            "prune.rounds": 1,
            **changes,
        }
    )
    return config


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(workdir, experiment, trained population) of all methods, an autoencoder."""
    workdir = tmp_path_factory.mktemp("dynamic")
    config = configure()
    defaults.validate(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events_lib, "EventWriter", NoEvents)
        procedures._run(config, workdir)
    prepared, data = procedures.prepare(config, procedures.load_dataset(config))
    prepared = procedures.of(config).check(prepared, data)
    with contextlib.closing(Checkpoints(workdir)) as store:
        round_state, position = rounds.restore(
            store, functools.partial(rounds.shapes, prepared)
        )
    assert position.finished
    return workdir, prepared, round_state


def member_of(prepared, round_state, arm):
    """(state, masks) of a method."""
    place = prepared.tickets.index(arm, 0)
    members = round_state.state, round_state.masks
    return jax.tree.map(lambda x: np.asarray(x)[place], members)


def test_run_records_every_method_with_exact_counts_and_flops(finished):
    workdir, _, _ = finished
    rows = tables.read_rows(paths.results_path(workdir))
    of_round = {row["arm"]: row for row in rows if row["round"] == 1}
    assert set(of_round) == {"rigl", "set", "magran", "static"}
    assert {row["arm"] for row in rows if row["round"] == 0} == {"dense"}
    total = sum(x["total"] for x in tables.read_rows(paths.layers_path(workdir))[:6])
    for row in of_round.values():
        assert row["remaining"] == pytest.approx(round(0.2 * total) / total)
        assert row["steps"] == 30 and not row["diverged"]
    assert of_round["rigl"]["flops_masked"] > of_round["set"]["flops_masked"]
    assert of_round["set"]["flops_masked"] == of_round["static"]["flops_masked"]
    losses = [row["heldout_loss"] for row in of_round.values()]
    assert len(set(losses)) == 4


def test_masks_of_a_training_change_and_what_is_pruned_is_zero(finished):
    workdir, prepared, round_state = finished
    ends = {}
    for arm in prepared.config.dynamic.methods:
        state, masks = member_of(prepared, round_state, arm)
        kept = trees.named_leaves(masks)
        ends[arm] = np.concatenate([np.ravel(x) for x in kept.values()])
        for component, params in state.params.items():
            [moments] = [x for x in state.opt_state[component] if hasattr(x, "mu")]
            for tree in (params, moments.mu, moments.nu):
                for name, x in trees.named_leaves({component: tree}).items():
                    assert (np.asarray(x)[~np.asarray(kept[name])] == 0).all(), name
    for arm in ("rigl", "set", "magran"):
        assert (ends[arm] != ends["static"]).any()
        assert ends[arm].sum() == ends["static"].sum()
    ticket = tickets.load(paths.ticket_path(workdir, 1, 0))
    named = trees.named_leaves(ticket.masks)
    np.testing.assert_array_equal(
        np.concatenate([np.ravel(x) for x in named.values()]), ends["rigl"]
    )


def test_rewire_starts_what_is_grown_at_zero_with_moments_of_zero(finished):
    _, prepared, round_state = finished
    task, (state, masks) = prepared.task, member_of(prepared, round_state, "rigl")
    assert not task.is_rewired(jnp.int32(30)) and task.is_rewired(jnp.int32(5))
    state = state._replace(step=jnp.int32(5))
    images = RNG.integers(0, 256, (8, *prepared.image_shape), np.uint8)
    after, changed = jax.jit(task.rewire)(state, masks, images, jax.random.key(0))
    differentiate = jax.jit(jax.grad(task.loss))
    gradient = differentiate(state.params, state.stats, images, jax.random.key(0))
    growth = dynamic.Growth(0.3, 5, round(0.75 * 30), 30)
    names = prepared.pruner.names
    expected, grown = _change(
        state.params,
        masks,
        jax.tree.map(jnp.abs, gradient),
        names,
        dynamic.share_at(growth, "rigl", 5),
    )
    for name, mask in trees.named_leaves(changed).items():
        np.testing.assert_array_equal(mask, trees.named_leaves(expected)[name])
    new = trees.named_leaves(grown)
    assert sum(mask.sum() for mask in new.values()) > 0
    for component in state.params:
        [moments] = [x for x in after.opt_state[component] if hasattr(x, "mu")]
        for tree in (after.params[component], moments.mu, moments.nu):
            for name, x in trees.named_leaves({component: tree}).items():
                assert (np.asarray(x)[np.asarray(new[name])] == 0).all()
    kept = masks_lib.apply(
        jax.tree.map(lambda mask, of: mask & ~of, changed, grown), state.params
    )
    jax.tree.map(np.testing.assert_array_equal, after.params, kept)


def test_verdict_says_for_each_method_up_to_where_it_matches_dense():
    rows = result_rows.table([GOOD, GOOD, BAD], [BAD, GOOD, BAD])
    for row in rows:
        row["arm"] = {"winning": "rigl", "random": "static"}.get(row["arm"], "dense")
    judged = verdict.verdict(rows, result_rows.METRIC)
    assert judged.sparsity == pytest.approx(0.36)
    assert "rigl up to 36.0 %" in judged.sentence
    assert "static up to 36.0 %" in judged.sentence
    rows = [row for row in rows if row["round"] in (0, 1)]
    assert "static at no sparsity" in verdict.verdict(rows, result_rows.METRIC).sentence
    rows = [row for row in rows if row["arm"] != "rigl"]
    judged = verdict.verdict(rows, result_rows.METRIC)
    assert judged.sparsity is None
    assert "no method (static) is as good as dense" in judged.sentence


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"rewind.step": "4"}, "rewind.step=4.*give 0"),
        ({"dynamic.methods": ()}, "give one or more"),
        ({"prune.method": "random"}, "procedure=tickets or stability"),
        ({"procedure": "tickets"}, "only for procedure='dynamic'"),
        ({"prune.rounds": 3}, "prune.rounds=3.*give at most 2"),
        ({"prune.sparsities": (0.9, 0.8)}, "a tuple of increasing numbers"),
    ],
)
def test_validate_what_contradicts_dynamic_training_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        defaults.validate(configure(**changes))
