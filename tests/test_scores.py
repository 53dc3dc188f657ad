"""Saliencies."""

import jax
import numpy as np

from gen_tickets import defaults
from gen_tickets.pruning import scores

PARAMS = {
    "encoder": {"d": {"kernel": np.float32([[-3.0, 0.5], [0.0, 2.0]])}},
    "decoder": {"d": {"kernel": np.float32([[1.0, -1.0], [4.0, -0.0]])}},
}


def test_magnitude_is_the_absolute_weight():
    found = scores.magnitude(PARAMS, jax.random.key(0))
    for x, y in zip(jax.tree.leaves(PARAMS), jax.tree.leaves(found)):
        np.testing.assert_array_equal(np.abs(x), y)
    assert jax.tree.structure(found) == jax.tree.structure(PARAMS)


def test_random_depends_on_the_key_alone_and_on_no_weight():
    big = {"a": np.zeros((50, 40), np.float32), "b": np.zeros((50, 40), np.float32)}
    first = scores.random(big, jax.random.key(1))
    again = scores.random(jax.tree.map(lambda x: x + 7, big), jax.random.key(1))
    other = scores.random(big, jax.random.key(2))
    for name in big:
        x = np.asarray(first[name])
        assert x.shape == (50, 40) and x.min() >= 0 and x.max() < 1
        assert abs(x.mean() - 0.5) < 0.03 and abs(x.std() - 12**-0.5) < 0.02
        np.testing.assert_array_equal(x, again[name])
        assert not np.array_equal(x, other[name])
    assert not np.array_equal(first["a"], first["b"])


def test_every_method_of_the_options_is_there():
    allowed = defaults.OPTIONS["prune.method"].is_allowed
    assert all(allowed(name) for name in scores.SCORES)
    listed = defaults.OPTIONS["prune.method"].allowed.removeprefix("one of ")
    assert set(listed.split(", ")) == set(scores.SCORES)
