"""Pytrees whose leaves have names such as "encoder/conv_0/kernel".

A name is the path from the root, its parts joined with "/"; the part of a list is an
index. The first part of the `params`, `stats` and `masks` of a task is the component.
"""

import fnmatch
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax

Tree = Any  # a pytree: nested dicts, lists, tuples, dataclasses of arrays


_name = functools.partial(jax.tree_util.keystr, simple=True, separator="/")


def named_leaves(tree: Tree) -> dict[str, Any]:
    """Returns {name: leaf} in the order of `jax.tree.leaves`."""
    return {_name(path): x for path, x in jax.tree_util.tree_leaves_with_path(tree)}


def map_named(function: Callable[..., Any], tree: Tree, *rest: Tree) -> Tree:
    """Maps function(name, leaf, *leaves of rest) over a tree."""
    return jax.tree_util.tree_map_with_path(
        lambda path, *leaves: function(_name(path), *leaves), tree, *rest
    )


def like(tree: Tree, leaves: Mapping[str, Any]) -> Tree:
    """Rebuilds a tree of the structure of `tree` from {name: leaf}.

    A loaded ticket consists of nested dicts; this restores the lists or dataclasses of
    your own params: like(params, named_leaves(ticket.params)).

    Raises:
      KeyError: a name of `tree` is missing in `leaves`.
    """
    return map_named(lambda name, _: leaves[name], tree)


def matches(name: str, patterns: Iterable[str]) -> bool:
    """True if the name fits one of the shell patterns (`*` also crosses "/")."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def num_weights(tree: Tree) -> int:
    """Number of scalars in all leaves."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))
