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

from gen_tickets.distributed import mesh
from gen_tickets.errors import UserError

ROOT = pathlib.Path(__file__).parents[1]


@pytest.fixture(scope="module")
def distances():
    """{family: {what is compared with one device: how far the numbers are apart}}."""
    found = subprocess.run(
        [sys.executable, "tests/devices.py"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert found.returncode == 0, found.stderr[-2000:]
    return json.loads(found.stdout)


@pytest.mark.parametrize("family", ["ae", "vae", "gan"])
def test_eight_devices_train_to_the_weights_of_one(distances, family):
    """Members over 8 devices, and 2 members with a batch of 12 over 4 devices each."""
    found = distances[family]
    assert found["moved"] > 1e-2
    assert found["8x1"] < 1e-5 and found["2x4"] < 1e-5, found


def test_waves_streams_and_evaluations_give_the_same_numbers(distances):
    assert distances["ae"]["waves"] < 1e-5 and distances["ae"]["streamed"] < 1e-5
    assert distances["vae"]["evaluated"] < 1e-5


def test_a_checkpoint_goes_from_8_devices_to_1_and_back_bit_for_bit(distances):
    assert distances["ae"]["8 to 1"] == distances["ae"]["1 to 8"] == 0


def test_first_arm_on_more_devices_than_runs_is_its_rows(distances):
    assert distances["ae"]["first arm"] == 0


class Device:
    """In the place of a device where only their number counts."""


@given(st.integers(1, 64), st.integers(1, 64))
def test_members_take_the_devices_first(num_devices, num_members):
    layout = mesh.Layout([Device() for _ in range(num_devices)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mesh, "Mesh", lambda grid, *_, **__: grid)
        members, batches = layout.mesh(num_members).shape
    assert members * batches == num_devices
    assert num_members % members == 0
    larger = range(members + 1, num_members + 1)
    assert not [n for n in larger if num_devices % n == num_members % n == 0]


def test_what_is_placed_is_what_was_given():
    layout = mesh.Layout(jax.devices()[:1])
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
    assert mesh.choose(0).devices == tuple(jax.devices())
    assert mesh.choose(1).devices == (jax.devices()[0],)
    with pytest.raises(UserError, match="parallel.devices=99: there are"):
        mesh.choose(99)
