"""Leaves by name."""

from typing import NamedTuple

import jax
import numpy as np
import pytest

from gen_tickets import trees


class Pair(NamedTuple):
    left: object
    right: object


TREE = {
    "encoder": {"conv_0": {"kernel": np.zeros((2, 3)), "bias": np.ones(3)}},
    "decoder": Pair([np.full(2, 2.0)], {}),
}


def test_named_leaves_are_paths_in_leaf_order():
    named = trees.named_leaves(TREE)
    names = ["decoder/left/0", "encoder/conv_0/bias", "encoder/conv_0/kernel"]
    assert list(named) == names
    for leaf, expected in zip(named.values(), jax.tree.leaves(TREE), strict=True):
        assert leaf is expected


def test_like_undoes_named_leaves():
    rebuilt = trees.like(TREE, trees.named_leaves(TREE))
    assert jax.tree.structure(rebuilt) == jax.tree.structure(TREE)
    assert rebuilt["decoder"].left[0] is TREE["decoder"].left[0]
    with pytest.raises(KeyError):
        trees.like(TREE, {})


def test_map_named_passes_names_and_all_trees():
    doubled = jax.tree.map(lambda x: 2 * x, TREE)
    found = trees.map_named(lambda name, x, y: (name, x.sum() + y.sum()), TREE, doubled)
    assert found["encoder"]["conv_0"]["bias"] == ("encoder/conv_0/bias", 9.0)


def test_names_of_colliding_keys_with_slashes_are_escaped():
    alone = {"mlp/~/linear": {"w": 1}}
    assert trees.names(alone) == ["mlp/~/linear/w"]
    assert trees.paths(alone) == [("mlp/~/linear", "w")]
    tree = {"a": {"b": {"c": 1}}, "a/b": {"c": 2}}
    assert trees.named_leaves(tree) == {"a/b/c": 1, "a\\/b/c": 2}
    assert trees.like(tree, trees.named_leaves(tree)) == tree
    tree |= {"a/b\\": {"c": 3}, "a\\": {"b": {"c": 4}}, "a\\/b": {"c": 5}}
    assert len(set(trees.names(tree))) == 5
    assert trees.like(tree, trees.named_leaves(tree)) == tree


@pytest.mark.parametrize(
    "pattern, expected",
    [
        ("encoder/conv_0/kernel", True),
        ("encoder/*", True),
        ("*/kernel", True),
        ("encoder/conv_?/kernel", True),
        ("conv_0/*", False),
        ("Encoder/*", False),
    ],
)
def test_matches_patterns_as_shell_globs(pattern, expected):
    name = "encoder/conv_0/kernel"
    assert trees.matches(name, [pattern]) is expected
    assert trees.matches(name, ["other", pattern]) is expected
    assert not trees.matches(name, [])


def test_num_weights_sums_leaf_sizes():
    assert trees.num_weights(TREE) == 6 + 3 + 2
