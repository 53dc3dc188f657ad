"""Tickets on disk: exact, small, and never the cause of a crash."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_tickets import trees
from gen_tickets.errors import UserError
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.workdir import tickets

RNG = np.random.default_rng(0)


def make_ticket():
    params = {
        "encoder": {"d": {"kernel": RNG.normal(size=(3, 5)), "bias": RNG.random(5)}},
        "decoder": {"c": {"kernel": RNG.normal(size=(2, 2, 3, 1))}},
    }
    params = jax.tree.map(jnp.float32, params)
    masks = masks_lib.dense(params)
    drawn = jnp.asarray(RNG.random((3, 5)) > 0.6)
    masks["encoder"]["d"]["kernel"] = drawn
    one = jnp.zeros((2, 2, 3, 1), bool).at[1, 0, 2].set(True)
    masks["decoder"]["c"]["kernel"] = one
    stats = {"encoder": {"n": {"mean": jnp.float32(RNG.normal(size=5))}}, "decoder": {}}
    provenance = {"run": 1, "config": {"data.name": "digits"}, "sparsity": 0.5}
    return tickets.Ticket(masks, masks_lib.rewind(masks, params), stats, provenance)


TICKET = make_ticket()


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "ticket.npz"
    tickets.save(path, TICKET)
    return path.read_bytes()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged") / "ticket.npz"


def assert_same(a, b):
    assert a.provenance == b.provenance
    for x, y in zip(a[:3], b[:3]):
        assert jax.tree.structure(x) == jax.tree.structure(y)
        for (name, u), v in zip(trees.named_leaves(x).items(), jax.tree.leaves(y)):
            assert u.dtype == v.dtype and u.shape == v.shape, name
            assert np.asarray(u).tobytes() == np.asarray(v).tobytes(), name


def test_save_and_load_ticket_is_bit_identical(tmp_path):
    path = tmp_path / "deep" / "er" / "ticket.npz"
    tickets.save(path, TICKET)
    loaded = tickets.load(path)
    assert_same(loaded, TICKET)
    assert all(isinstance(x, np.ndarray) for x in jax.tree.leaves(loaded.params))
    on_device = jax.tree.leaves(tickets.to_device(loaded.masks))
    assert all(isinstance(x, jax.Array) for x in on_device)
    assert [file.name for file in path.parent.iterdir()] == ["ticket.npz"]


def test_save_replaces_an_existing_file(tmp_path):
    path = tmp_path / "ticket.npz"
    path.write_bytes(b"something else")
    tickets.save(path, TICKET)
    assert_same(tickets.load(path), TICKET)


def test_load_of_a_list_with_an_empty_part_needs_its_structure(tmp_path):
    path, w = tmp_path / "ticket.npz", np.ones(2, np.float32)
    params = [w, (), [2 * w]]
    tickets.save(path, tickets.Ticket(jax.tree.map(lambda x: x > 0, params), params))
    alone, alike = tickets.load(path).params, tickets.load(path, like=params).params
    assert jax.tree.structure(alike) == jax.tree.structure(params)
    assert alone.keys() == {0, 2} and alone[2][0].tolist() == [2, 2]
    assert alike[2][0].tolist() == [2, 2]


@pytest.mark.parametrize(
    "mask",
    [
        np.array([True, False, True]),  # of rows
        np.ones((1, 4), bool),
        np.ones((3, 4), np.int32),
        np.ones((3, 4), np.float32),
    ],
)
def test_save_mask_of_another_shape_or_type_keeps_the_file_before(mask, tmp_path):
    path = tmp_path / "ticket.npz"
    tickets.save(path, TICKET)
    other = tickets.Ticket({"w": mask}, {"w": np.ones((3, 4), np.float32)})
    with pytest.raises(UserError, match=r"mask of w: is .* for weights \[3, 4\]"):
        tickets.save(path, other)
    assert_same(tickets.load(path), TICKET)


def test_save_stores_kept_weights_and_mask_bits_only(tmp_path):
    row = jnp.zeros((1000, 1000), bool).at[3].set(True)
    masks = {"encoder": {"d": {"kernel": row}}}
    params = {"encoder": {"d": {"kernel": jnp.ones((1000, 1000))}}}
    path = tmp_path / "ticket.npz"
    ticket = tickets.Ticket(masks, masks_lib.rewind(masks, params), {}, {})
    tickets.save(path, ticket)
    assert path.stat().st_size < 1000 * 1000 / 8 + 4 * 1000 + 2000
    with np.load(path) as arrays:
        assert arrays["params/encoder/d/kernel"].shape == (1000,)
        assert arrays["masks/encoder/d/kernel"].nbytes == 125_000
    assert_same(tickets.load(path)._replace(stats={}), ticket)


def test_rewind_keeps_weights_bit_identical_and_zeroes_the_rest():
    masks = {"a": jnp.array([True, False, True, False])}
    start = masks_lib.rewind(masks, {"a": jnp.float32([-0.0, -1.0, 1e-30, jnp.inf])})
    assert np.asarray(start["a"]).tobytes() == np.float32([-0.0, 0, 1e-30, 0]).tobytes()


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_load_ticket_with_flipped_bits_is_refused_or_equal(content, place, data):
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 3))):
        byte = data.draw(st.integers(0, len(content) - 1))
        damaged[byte] ^= 1 << data.draw(st.integers(0, 7))
    place.write_bytes(damaged)
    try:
        assert_same(tickets.load(place), TICKET)
    except UserError as error:
        assert str(place) in str(error) and "\n" not in str(error)


@settings(deadline=None, max_examples=20)
@given(part=st.floats(0, 1, exclude_max=True))
def test_load_truncated_ticket_raises_user_error(content, place, part):
    place.write_bytes(content[: int(part * len(content))])
    with pytest.raises(UserError, match="not an intact ticket"):
        tickets.load(place)
