"""Selection against a brute force, names, counts and sparsity."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_tickets import trees
from gen_tickets.errors import UserError
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.pruning import saliency

SHAPES = {
    "decoder/a/kernel": (2, 3),
    "decoder/b/bias": (3,),
    "decoder/b/kernel": (1, 1),
    "encoder/c/kernel": (1, 2, 2),
    "encoder/c/scale": (2,),
    "encoder/d/kernel": (5,),
}
NAMES = ("decoder/a/kernel", "decoder/b/kernel", "encoder/d/kernel")
POOLS = {
    "global": [NAMES],
    "component": [NAMES[:2], NAMES[2:]],
    "layer": [(name,) for name in NAMES],
}


def tree_of(leaves):
    tree = {}
    for name, leaf in leaves.items():
        component, layer, kind = name.split("/")
        tree.setdefault(component, {}).setdefault(layer, {})[kind] = leaf
    return tree


PARAMS = tree_of({name: jnp.zeros(shape) for name, shape in SHAPES.items()})


@partial(jax.jit, static_argnums=(3,))
def select(scores, masks, num_keep, scope):
    return masks_lib.select(scores, masks, NAMES, num_keep, scope)


def reference(scores, alive, layers, num_keep):
    """Sorts in Python: kept indices, and layers that the plain rule would empty."""
    worth = [-np.inf if np.isnan(x) else x for x in scores]
    order = sorted(range(len(worth)), key=lambda i: (not alive[i], -worth[i], i))
    living = {layer for layer, is_alive in zip(layers, alive) if is_alive}
    plain = {layers[i] for i in order[:num_keep]}
    bests = {next(i for i in order if layers[i] == layer) for layer in living}
    others = [i for i in order if i not in bests and alive[i]]
    kept = bests | set(others[: max(num_keep - len(bests), 0)])
    return kept, len(living - plain)


def brute_force(scores, masks, num_keeps, scope):
    scores, masks = trees.named_leaves(scores), trees.named_leaves(masks)
    expected, floored = {k: np.array(m) for k, m in masks.items()}, 0
    for pool, num_keep in zip(POOLS[scope], num_keeps, strict=True):
        layers = [name for name in pool for _ in range(scores[name].size)]
        kept, count = reference(
            np.concatenate([scores[name].ravel() for name in pool]),
            np.concatenate([masks[name].ravel() for name in pool]),
            layers,
            num_keep,
        )
        floored += count
        start = 0
        for name in pool:
            size = scores[name].size
            inside = np.isin(np.arange(start, start + size), sorted(kept))
            expected[name] = inside.reshape(SHAPES[name])
            start += size
    return expected, floored


@st.composite
def cases(draw):
    values = [0.0, -0.0, 0.5, 1.0, 2.0, -1.0, np.inf, -np.inf, np.nan]
    scores, masks = {}, {}
    for name, shape in SHAPES.items():
        size = int(np.prod(shape))
        drawn = st.lists(st.sampled_from(values), min_size=size, max_size=size)
        scores[name] = np.array(draw(drawn), np.float32).reshape(shape)
        alive = np.ones(size, bool)
        if name in NAMES:
            dead = draw(st.sets(st.integers(0, size - 1), max_size=size))
            alive[sorted(dead)] = False
        masks[name] = alive.reshape(shape)
    scope = draw(st.sampled_from(sorted(POOLS)))
    counts = [sum(int(masks[n].sum()) for n in pool) for pool in POOLS[scope]]
    num_keeps = [draw(st.integers(0, n)) for n in counts]
    return tree_of(scores), tree_of(masks), num_keeps, scope


@settings(deadline=None, max_examples=30)
@given(cases())
def test_select_weights_equals_brute_force(case):
    scores, masks, num_keeps, scope = case
    selected, floored = select(scores, masks, num_keeps, scope)
    expected, expected_floored = brute_force(scores, masks, num_keeps, scope)
    assert int(floored) == expected_floored
    before = trees.named_leaves(masks)
    for name, mask in trees.named_leaves(selected).items():
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, expected[name], err_msg=name)
        assert not np.any(np.asarray(mask) & ~before[name]), "a weight came back"
        assert mask.all() if name not in NAMES else mask.any() == before[name].any()


def test_select_more_than_alive_revives_no_weight():
    masks = masks_lib.dense(PARAMS)
    masks["encoder"]["d"]["kernel"] = jnp.array([True, False, True, False, False])
    selected, _ = select(PARAMS, masks, [12], "global")
    np.testing.assert_array_equal(
        selected["encoder"]["d"]["kernel"], masks["encoder"]["d"]["kernel"]
    )


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_select_rounds_nest_with_exact_counts_in_one_compilation(scope):
    rng = np.random.default_rng(0)
    params = tree_of({n: rng.normal(size=s) for n, s in SHAPES.items()})
    sizes = [int(np.prod(SHAPES[name])) for name in NAMES]
    masks, compiled = masks_lib.dense(params), select._cache_size()
    for round_number in range(1, 13):
        counts = [sum(sizes)] if scope == "global" else sizes
        keeps = [masks_lib.keep_count(n, 0.2, round_number) for n in counts]
        new, floored = select(jax.tree.map(jnp.abs, params), masks, keeps, scope)
        named = trees.named_leaves(new)
        kept = [int(named[name].sum()) for name in NAMES]
        if scope == "global":
            assert sum(kept) == max(keeps[0], len(NAMES))
        else:
            assert kept == [max(keep, 1) for keep in keeps]
            assert int(floored) == keeps.count(0)
        jax.tree.map(lambda a, b: np.testing.assert_array_equal(a & b, b), masks, new)
        masks = new
    assert int(floored) > 0  # twelve rounds leave 1 of 12 weights in 3 layers
    assert select._cache_size() <= compiled + 2  # dense masks, then pruned ones


def test_magnitude_keeps_large_negative_weights():
    """The authors' VAE script thresholds the signed weight, a mistake."""
    weights = jnp.array([-5.0, 0.1, -4.0, 0.2, -3.0])
    params = {"encoder": {"d": {"kernel": weights}}}
    scores = saliency.magnitude(params)
    names = ("encoder/d/kernel",)
    masks, _ = masks_lib.select(scores, masks_lib.dense(params), names, [3])
    kept = masks["encoder"]["d"]["kernel"]
    np.testing.assert_array_equal(kept, [True, False, True, False, True])
    assert masks_lib.apply(masks, params)["encoder"]["d"]["kernel"].min() == -5.0


def test_apply_is_exactly_zero_where_masked():
    x = {"a": jnp.array([jnp.inf, jnp.nan, -1.0, -2.0])}
    out = masks_lib.apply({"a": jnp.array([False, False, False, True])}, x)["a"]
    assert np.asarray(out).tobytes() == np.float32([0.0, 0.0, 0.0, -2.0]).tobytes()


def test_prunable_names_by_component_and_pattern_or_refused():
    kernels = tuple(name for name in SHAPES if name.endswith("kernel"))
    assert masks_lib.prunable_names(PARAMS) == kernels
    assert masks_lib.prunable_names(PARAMS, ("decoder",)) == kernels[:2]
    assert masks_lib.prunable_names(PARAMS, (), ("encoder/c/*",)) == NAMES
    for components, exclude, message in (
        (("generator",), (), "generator.*decoder.*encoder"),
        ((), ("conv_9/*",), "conv_9.*decoder/a/kernel"),
        ((), ("*/bias",), "bias"),
        (("encoder",), ("encoder/*",), "nothing to prune"),
    ):
        with pytest.raises(UserError, match=message):
            masks_lib.prunable_names(PARAMS, components, exclude)


@pytest.mark.parametrize("total", [1, 16, 218696, 3_000_001])
def test_keep_count_equals_published_schedule(total):
    counts = [masks_lib.keep_count(total, 0.2, r) for r in range(21)]
    assert counts == [round(total * 0.8**r) for r in range(21)]
    assert counts[0] == total and counts == sorted(counts, reverse=True)


@pytest.mark.parametrize("fraction", [20, 1, 0, -0.2, math.nan])
def test_keep_count_invalid_fraction_or_round_raises_user_error(fraction):
    with pytest.raises(UserError, match=f"fraction={fraction}: .*give 0.2 for 20 %"):
        masks_lib.keep_count(100, fraction, 1)
    with pytest.raises(UserError, match="round_number=-1: 0 .* allowed"):
        masks_lib.keep_count(100, 0.2, -1)


def test_select_with_empty_layer_keeps_exact_count():
    scores = {"a": {"kernel": jnp.arange(4.0)}, "b": {"kernel": jnp.arange(6.0)}}
    masks = {"a": {"kernel": jnp.zeros(4, bool)}, "b": {"kernel": jnp.ones(6, bool)}}
    selected, floored = masks_lib.select(scores, masks, ["a/kernel", "b/kernel"], [3])
    assert not selected["a"]["kernel"].any() and int(floored) == 0
    np.testing.assert_array_equal(selected["b"]["kernel"], [0, 0, 0, 1, 1, 1])


def test_select_nan_weight_raises_user_error_with_leaf_name():
    scores = {"a": {"kernel": jnp.array([1.0, jnp.nan])}}
    masks = masks_lib.dense(scores)
    with pytest.raises(UserError, match="a/kernel: has saliencies that are nan"):
        masks_lib.select(scores, masks, ["a/kernel"], [1])


def test_sparsity_and_layer_counts_equal_hand_count():
    masks = masks_lib.dense(PARAMS)
    assert masks_lib.sparsity(masks) == 0.0
    masks["encoder"]["d"]["kernel"] = jnp.array([True, False, False, False, True])
    masks["decoder"]["a"]["kernel"] = jnp.zeros((2, 3), bool).at[0, 0].set(True)
    assert masks_lib.sparsity(masks) == pytest.approx(8 / 16)
    shares = masks_lib.component_sparsity(masks)
    assert shares == {"decoder": pytest.approx(5 / 7), "encoder": pytest.approx(3 / 9)}
    counts = masks_lib.layer_counts(masks)
    assert counts["encoder/d/kernel"] == (5, 2) and counts["decoder/a/kernel"] == (6, 1)
    assert set(counts) == {name for name in SHAPES if name.endswith("kernel")}
