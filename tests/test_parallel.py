"""Many devices: how members are distributed; equality with one device."""

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
def test_train_eight_devices_equals_one_device(distances, family):
    """Members over 8 devices, and 2 members with a batch of 12 over 4 devices each."""
    found = distances[family]
    assert found["moved"] > 1e-2
    assert found["8x1"] < 1e-5 and found["2x4"] < 1e-5, found


def test_train_in_waves_or_streamed_equals_one_device(distances):
    assert distances["ae"]["waves"] < 1e-5 and distances["ae"]["streamed"] < 1e-5
    assert distances["vae"]["evaluated"] < 1e-5


def test_checkpoint_between_8_devices_and_1_is_bit_identical(distances):
    assert distances["ae"]["8 to 1"] == distances["ae"]["1 to 8"] == 0


def test_first_arm_on_more_devices_than_runs_equals_its_rows(distances):
    assert distances["ae"]["first arm"] == 0


class Device:
    """Stands in for a device where only the number of devices matters."""


@given(st.integers(1, 64), st.integers(1, 64))
def test_mesh_members_take_devices_before_batches(num_devices, num_members):
    layout = mesh.Layout([Device() for _ in range(num_devices)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mesh, "Mesh", lambda grid, *_, **__: grid)
        members, batches = layout.mesh(num_members).shape
    assert members * batches == num_devices
    assert num_members % members == 0
    larger = range(members + 1, num_members + 1)
    assert not [n for n in larger if num_devices % n == num_members % n == 0]


def test_layout_placed_arrays_equal_given_arrays():
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


def test_choose_more_devices_than_available_raises_user_error():
    assert mesh.choose(0).devices == tuple(jax.devices())
    assert mesh.choose(1).devices == (jax.devices()[0],)
    with pytest.raises(UserError, match="parallel.devices=99: there are"):
        mesh.choose(99)
