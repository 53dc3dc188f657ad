"""Checkpoints: exact restores, the two that are kept, detection of damage."""

import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen_tickets.errors import Damaged, UserError
from gen_tickets.training import state
from gen_tickets.workdir import checkpoints, paths


def make_tree(seed):
    rng = np.random.default_rng(seed)
    params = {"encoder": {"k": jnp.float32(rng.normal(size=(40, 50)))}, "decoder": {}}
    return {
        "state": state.TrainState(jnp.int32(seed), params, {}, {}),
        "masks": {"encoder": {"k": jnp.asarray(rng.random((40, 50)) > 0.5)}},
        "best": jnp.float32([np.inf, np.nan]),
        "empty": {},
    }


def shapes_of(tree):
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree
    )


def template(position):
    assert position == [1, position[1], 0.25, False]
    return shapes_of(make_tree(0))


def fill(folder, numbers):
    store = checkpoints.Checkpoints(folder)
    for number in numbers:
        store.save(number, make_tree(number), [1, number, 0.25, False])
    store.close()


def restore(folder):
    store = checkpoints.Checkpoints(folder)
    try:
        return store.restore(template)
    finally:
        store.close()
        gc.collect()  # Warnings of abandoned reads are raised here and ignored.


def assert_is(restored, number):
    tree, position = restored
    expected = make_tree(number)
    assert position[1] == number
    assert jax.tree.structure(tree) == jax.tree.structure(expected)
    for x, y in zip(jax.tree.leaves(tree), jax.tree.leaves(expected)):
        assert x.dtype == y.dtype and isinstance(x, jax.Array)
        np.testing.assert_array_equal(x, y)


def numbers_in(folder):
    names = [x.name for x in paths.checkpoints_dir(folder).iterdir()]
    return sorted(int(name) for name in names if name.isdigit())


def damage(folder, number, how):
    """Damages every larger file of a checkpoint's arrays; checks that there is one."""
    place = paths.checkpoints_dir(folder) / str(number) / "arrays"
    files = [x for x in place.rglob("*") if x.is_file() and x.stat().st_size > 500]
    assert any("d" in x.parts[-2:-1] for x in files), files
    for file in files:
        if how not in ("truncated", "emptied") and file.parent.name != "d":
            continue
        content = bytearray(file.read_bytes())
        if how == "flipped":
            content[len(content) // 2] ^= 4
        if how == "truncated":
            del content[len(content) // 2 :]
        if how == "emptied":
            content.clear()
        file.write_bytes(content)
        if how == "gone":
            file.unlink()


def test_restore_returns_saved_tree_and_none_for_empty_folder(tmp_path):
    assert restore(tmp_path) is None
    fill(tmp_path, [5])
    assert_is(restore(tmp_path), 5)


def test_save_keeps_newest_two_and_never_overwrites_a_number(tmp_path):
    fill(tmp_path, [2, 30, 4_000])
    assert numbers_in(tmp_path) == [30, 4_000]
    store = checkpoints.Checkpoints(tmp_path)
    store.save(4_000, make_tree(1), [1, 1, 0.25, False])
    store.close()
    assert_is(restore(tmp_path), 4_000)


def contents(folder):
    return {x: x.read_bytes() for x in folder.rglob("*") if x.is_file()}


@pytest.mark.parametrize("how", ["flipped", "truncated", "gone"])
def test_restore_damaged_newest_uses_previous_checkpoint(tmp_path, how, capfd):
    fill(tmp_path, [2, 3])
    damage(tmp_path, 3, how)
    place = paths.checkpoints_dir(tmp_path)
    damaged = list(contents(place / "3").values())
    assert_is(restore(tmp_path), 2)
    said = capfd.readouterr().err.splitlines()
    assert [line for line in said if line.startswith("checkpoint 3 is damaged")]
    assert list(contents(place / "damaged" / "3").values()) == damaged
    fill(tmp_path, [3])  # the same place in the experiment, reached again
    assert_is(restore(tmp_path), 3)
    assert (place / "damaged" / "3").is_dir()


@pytest.mark.parametrize("item", ["meta", "arrays"])
def test_restore_of_an_unreadable_checkpoint_stops_and_touches_nothing(tmp_path, item):
    fill(tmp_path, [2, 3])
    place = paths.checkpoints_dir(tmp_path)
    for file in contents(place / "3" / item):
        file.unlink()
        file.symlink_to(file)  # not to be opened, not even by root
    before = contents(place), sorted(place.rglob("*"))
    with pytest.raises(UserError, match="checkpoint 3: cannot be read.*intact") as told:
        restore(tmp_path)
    assert not isinstance(told.value, Damaged)
    assert (contents(place), sorted(place.rglob("*"))) == before


def test_second_damaged_checkpoint_of_a_number_is_kept_too(tmp_path):
    for _ in range(2):
        fill(tmp_path, [2, 3])
        damage(tmp_path, 3, "truncated")
        assert_is(restore(tmp_path), 2)
    aside = paths.checkpoints_dir(tmp_path) / "damaged"
    assert sorted(x.name for x in aside.iterdir()) == ["3", "3.1"]


def test_restore_readable_but_wrong_checksum_uses_previous(tmp_path):
    fill(tmp_path, [2])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoints, "_checksums", lambda leaves: {})
        fill(tmp_path, [3])
    assert_is(restore(tmp_path), 2)


@given(st.data())
def test_checksum_of_one_changed_bit_differs(data):
    dtype = data.draw(st.sampled_from([np.float32, np.int32, bool, np.uint8]))
    x = np.random.default_rng(0).integers(0, 2, (3, 4, 5)).astype(dtype)
    place = data.draw(st.integers(0, x.nbytes - 1))
    bit = 0 if dtype is bool else data.draw(st.integers(0, 7))
    other = x.copy()
    other.reshape(-1).view(np.uint8)[place] ^= 1 << bit
    one, two = checkpoints._checksums(
        {"x": jnp.asarray(x), "y": jnp.asarray(other)}
    ).values()
    assert one != two


def test_checksum_of_array_equals_formula():
    x = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    words = x.view(np.uint32).reshape(-1).astype(object)
    expected = sum(w * (2 * i + 1) for i, w in enumerate(words)) % 2**32
    assert checkpoints._checksums({"x": jnp.asarray(x)}) == {"x": expected}


def test_checksum_on_host_equals_that_on_device(monkeypatch):
    monkeypatch.setattr(checkpoints, "_PIECE", 4)
    random = np.random.default_rng(0)
    arrays = {
        "float": random.normal(size=(3, 5)).astype(np.float32),
        "half": jnp.asarray(random.normal(size=6), jnp.bfloat16),
        "mask": random.integers(0, 2, (2, 3, 3)).astype(bool),
        "bytes": random.integers(0, 256, (4, 3), np.uint8),
        "count": np.int32(-7),
        "empty": np.zeros((0, 2), np.float32),
    }
    leaves = {name: jnp.asarray(x) for name, x in arrays.items()}
    on_device = checkpoints._device_checksums(leaves)
    expected = {name: int(x) for name, x in on_device.items()}
    monkeypatch.setattr(checkpoints, "_device_checksums", None)  # compiles nothing
    assert checkpoints._checksums(leaves) == expected


def test_restore_all_damaged_raises_user_error_every_time(tmp_path):
    fill(tmp_path, [2, 3])
    damage(tmp_path, 2, "flipped")
    damage(tmp_path, 3, "truncated")
    for _ in range(2):
        with pytest.raises(UserError, match="every checkpoint is damaged"):
            restore(tmp_path)
    assert numbers_in(tmp_path) == [2, 3]


def test_restore_other_shapes_raises_user_error(tmp_path):
    fill(tmp_path, [2])
    store = checkpoints.Checkpoints(tmp_path)
    other = make_tree(0) | {"best": jnp.zeros(3)}
    with pytest.raises(UserError):
        store.restore(lambda position: shapes_of(other))
    store.close()
    gc.collect()


def test_restore_ignores_interrupted_save(tmp_path):
    """Orbax writes under a temporary name; what a kill leaves is no checkpoint."""
    fill(tmp_path, [2])
    half = paths.checkpoints_dir(tmp_path) / "3.orbax-checkpoint-tmp-0"
    half.mkdir()
    (half / "arrays").write_bytes(b"half")
    assert_is(restore(tmp_path), 2)
