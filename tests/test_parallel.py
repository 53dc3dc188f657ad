"""Many devices: how they are shared out, and that the numbers are those of one."""

import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen_tickets import parallel
from gen_tickets.errors import UserError

ROOT = pathlib.Path(__file__).parents[1]


@pytest.mark.parametrize("family", ["ae", "vae", "gan"])
def test_eight_devices_train_to_the_weights_of_one(family):
    """Members over 8 devices, and 2 members with a batch of 12 over 4 devices each."""
    found = subprocess.run(
        [sys.executable, "tests/devices.py", family],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert found.returncode == 0, found.stderr[-2000:]
    distances = json.loads(found.stdout)
    assert distances.pop("moved") > 1e-2
    assert set(distances) >= {"8x1", "2x4"}
    assert max(distances.values()) < 1e-5, distances


class Device:
    """In the place of a device where only their number counts."""


@given(st.integers(1, 64), st.integers(1, 64))
def test_members_take_the_devices_first(num_devices, num_members):
    layout = parallel.Layout([Device() for _ in range(num_devices)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "Mesh", lambda grid, *_, **__: grid)
        members, batches = layout.mesh(num_members).shape
    assert members * batches == num_devices
    assert num_members % members == 0
    larger = range(members + 1, num_members + 1)
    assert not [n for n in larger if num_devices % n == num_members % n == 0]


def test_what_is_placed_is_what_was_given():
    layout = parallel.Layout(jax.devices()[:1])
    tree = {"a": np.arange(6.0).reshape(3, 2), "b": np.array([True, False, True])}
    for place in (layout.members, layout.copies):
        placed = place(tree)
        for name in tree:
            assert isinstance(placed[name], jax.Array)
            np.testing.assert_array_equal(placed[name], tree[name])
            assert placed[name].dtype == jax.numpy.asarray(tree[name]).dtype
    keys = jax.random.split(jax.random.key(1), 3)
    assert (
        jax.random.key_data(layout.members(keys)) == jax.random.key_data(keys)
    ).all()
    one = layout.member(layout.members(tree), 1)
    np.testing.assert_array_equal(one["a"], tree["a"][1])
    shapes = layout.shapes(tree)
    assert shapes["b"].shape == (3,) and shapes["b"].sharding == layout.sharding(3)


def test_more_devices_than_there_are_is_an_error():
    assert parallel.choose(0).devices == tuple(jax.devices())
    assert parallel.choose(1).devices == (jax.devices()[0],)
    with pytest.raises(UserError, match="parallel.devices=99: there are"):
        parallel.choose(99)
