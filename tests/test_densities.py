"""Densities of layers: exact in their sum, by size, Erdos-Renyi kernel or depth."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_tickets import tasks, trees
from gen_tickets.config import defaults
from gen_tickets.errors import UserError
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.pruning import densities
from gen_tickets.pruning.pruner import Pruner
from gen_tickets.tasks import networks
from gen_tickets.training.state import TrainState
from tests import networks as tiny

SHAPES = {"a/kernel": (3, 3, 8, 16), "b/kernel": (16, 40), "c/kernel": (40, 2)}


def test_densities_of_erk_are_proportional_to_sum_over_product():
    found = densities.densities(SHAPES, "erk", 0.1)
    ratio = {x: found[x] * math.prod(s) / sum(s) for x, s in SHAPES.items()}
    np.testing.assert_allclose(list(ratio.values()), ratio["a/kernel"])
    kept = sum(found[x] * math.prod(s) for x, s in SHAPES.items())
    assert kept == pytest.approx(0.1 * sum(map(math.prod, SHAPES.values())))


def test_densities_of_erk_above_one_are_one_and_the_others_take_the_rest():
    found = densities.densities(SHAPES, "erk", 0.5)
    assert found["c/kernel"] == 1
    assert max(found.values()) <= 1
    kept = sum(found[x] * math.prod(s) for x, s in SHAPES.items())
    assert kept == pytest.approx(0.5 * sum(map(math.prod, SHAPES.values())))


@pytest.mark.parametrize("side", [3, 22, 48, 50])
def test_densities_of_erk_at_one_are_one(side):
    """A small layer may keep all of its weights; for some sides rounding exceeds 1."""
    found = densities.densities({"a": (side, 3), "b": (7, side)}, "erk", 1.0)
    assert found == {"a": pytest.approx(1), "b": pytest.approx(1)}
    alone = densities.layer_counts({"a": (side, 3)}, "erk", 3 * side)
    assert alone == {"a": 3 * side}


@pytest.mark.parametrize("distribution", ["erk", "uniform"])
@pytest.mark.parametrize("num_keep", [3, 17, 500, 1871, 1872])
def test_layer_counts_are_exact_in_sum(distribution, num_keep):
    found = densities.layer_counts(SHAPES, distribution, num_keep)
    sizes = {name: math.prod(shape) for name, shape in SHAPES.items()}
    assert all(1 <= found[name] <= sizes[name] for name in SHAPES)
    assert sum(found.values()) == num_keep
    if distribution == "uniform":
        share = num_keep / sum(sizes.values())
        assert all(abs(found[x] - share * n) <= 1 for x, n in sizes.items())


def test_layer_counts_that_floors_raise_are_taken_from_the_others():
    shapes = {"a": (10, 10), **{f"b{i}": (1, 2) for i in range(8)}}
    found = densities.layer_counts(shapes, "uniform", 20)
    assert found == {"a": 12, **{f"b{i}": 1 for i in range(8)}}


# --- rates by depth -----------------------------------------------------------------


def test_rates_by_depth_are_interpolated_in_each_component():
    order = ["e/a", "e/b", "e/c", "d/z", "d/y", "d/x", "d/w", "d/v", "f/only"]
    found = densities.rates_by_depth(order, (1, 3, 2))
    expected = [1, 3, 2, 1, 2, 3, 2.5, 2, 1]
    assert found == dict(zip(order, map(float, expected)))
    assert densities.rates_by_depth(order, (2,)) == dict.fromkeys(order, 2.0)


def test_counts_at_rates_of_one_pruning_equal_powers_of_one_share():
    sizes = {"a": 10**6, "b": 10**6, "c": 10**6}
    rates = {"a": 1.0, "b": 2.0, "c": 0.5}
    total = round(10**6 * (0.8 + 0.8**2 + 0.8**0.5))
    found = densities.counts_at_rates(sizes, sizes, rates, total)
    shares = [found[name] / 10**6 for name in sizes]
    np.testing.assert_allclose(shares, [0.8, 0.64, 0.8**0.5], atol=2e-6)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=12),
    st.lists(st.floats(0.01, 20), min_size=1, max_size=4),
    st.lists(st.floats(0, 1), min_size=1, max_size=8),
)
def test_counts_at_rates_are_exact_in_sum_and_no_layer_grows(layers, rates, shares):
    sizes = {f"net/{i}": size for i, size in enumerate(layers)}
    of_layers, counts = densities.rates_by_depth([*sizes], rates), sizes
    for share in sorted(shares, reverse=True):
        total = round(share * sum(layers))
        found = densities.counts_at_rates(counts, sizes, of_layers, total)
        assert sum(found.values()) == max(total, len(layers))
        assert all(1 <= found[name] <= counts[name] for name in sizes)
        counts = found


# --- a network that is pruned by depth ----------------------------------------------

OPTIONS = {
    **tiny.TINY_DDPM,
    "prune.scope": "layer",
    "prune.rates": (1, 3, 1),
}


configure = functools.partial(tiny.configure, OPTIONS)


@functools.cache
def built():
    """(task, shapes of its state) of a U-Net of one side."""
    task = tasks.build(configure(), (4, 4, 1), 10, lowering=LIBRARY)
    return task, jax.eval_shape(task.init, jax.random.key(0))


def test_in_order_is_that_of_the_forward_pass():
    task, shapes = built()
    names = networks.in_order(task.networks)
    assert sorted(names) == sorted(trees.named_leaves(shapes.params))
    layers = list(dict.fromkeys(name.split("/")[1] for name in names))
    middle = ["down_0_block_0", "middle_block_0", "middle_block_1"]
    up = ["up_0_block_0", "up_0_block_1"]
    assert layers == ["time_0", "time_1", "stem", *middle, *up, "norm", "pixels"]


@pytest.mark.parametrize(
    "sparsities", [{}, {"prune__sparsities": (0.3, 0.5, 0.9, 0.95)}]
)
def test_num_keep_by_depth_is_that_of_the_whole_network_in_every_round(sparsities):
    changes = {"prune__rounds": 4, **sparsities}
    pruner, whole = (
        Pruner(configure(**changes, **scope), *built())
        for scope in ({}, {"prune__scope": "global", "prune__rates": ()})
    )
    before = pruner.num_keep(0)
    assert before == [
        trees.named_leaves(built()[1].params)[x].size for x in pruner.names
    ]
    for number in range(1, 5):
        counts = pruner.num_keep(number)
        assert [sum(counts)] == whole.num_keep(number)
        assert all(1 <= new <= old for new, old in zip(counts, before))
        before = counts
    sizes = dict(zip(pruner.names, pruner.num_keep(0)))
    kept = {name: counts[i] / sizes[name] for i, name in enumerate(pruner.names)}
    inner = kept["denoiser/middle_block_0/conv_1/kernel"]
    for outer in ("stem", "down_0_block_0/conv_0", "up_0_block_1/conv_1"):
        assert inner < kept[f"denoiser/{outer}/kernel"]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"prune__rates": (1, 0)}, "numbers x with 0 < x"),
        ({"prune__rates": 2.0}, r"give \(2.0,\)"),
        ({"prune__scope": "global"}, "only for prune.scope=component or layer"),
    ],
)
def test_validate_rates_not_above_zero_or_of_one_pool_are_refused(changes, message):
    with pytest.raises(UserError, match=message):
        configure(**changes)


def pruner_of_two(**options):
    """Of components a and b with 100 and 300 weights."""
    config = defaults.get_config()
    config.prune.update(scope="component", fraction=0.36, **options)
    shapes = {
        "a": {"kernel": jnp.zeros((10, 10))},
        "b": {"kernel": jnp.zeros((30, 10))},
    }
    return Pruner(config, None, TrainState(0, shapes, {}, {}))


def test_num_keep_of_components_is_as_their_rates_say():
    pruner = pruner_of_two(rates=(1, 2), rounds=8)
    for number in range(9):
        kept = pruner.num_keep(number)
        assert sum(kept) == round(400 * 0.64**number)
        assert kept[1] / 300 == pytest.approx((kept[0] / 100) ** 2, abs=0.02)


def test_pruner_other_number_of_rates_raises_user_error():
    with pytest.raises(UserError, match=r"prune.rates=\(1, 2, 3\): pruned are a, b"):
        pruner_of_two(rates=(1, 2, 3))
