"""Files that only pretend to be tickets: refused in one line, whatever they hold."""

import io
import json
import pickle

import numpy as np
import pytest

from gen_tickets import trees
from gen_tickets.errors import UserError
from gen_tickets.workdir import tickets


def npz(header, **arrays):
    out = io.BytesIO()
    header = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(out, header=header, **arrays)
    return out.getvalue()


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("code of a file has run",))


def pickled():
    out = io.BytesIO()
    np.savez(out, header=np.array([Bomb()], object))
    return out.getvalue()


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


BITS, ONE = np.uint8([128]), np.float32([1.0])
FOREIGN = {
    "empty": b"",
    "text": b"no ticket\n",
    "pickle": pickle.dumps({"a": 1}),
    "object array": pickled(),
    "bare array": npy(np.zeros(3)),
    "header is a list": npz([]),
    "no shapes": npz({"provenance": {}}),
    "no provenance": npz({"shapes": {}}),
    "provenance is a number": npz({"shapes": {}, "provenance": 3}),
    "missing leaf": npz({"shapes": {"a/k": [1]}, "provenance": {}}),
    **{
        f"stats {stats}": npz({"shapes": {}, "provenance": {}, "stats": stats})
        for stats in ("ab", 3, None, [1], [["a"]], {"a": 1})
    },
    "shapes is a list": npz({"shapes": [1], "provenance": {}}),
    **{
        f"shape {shape}": npz(
            {"shapes": {"a/k": shape}, "provenance": {}},
            **{"masks/a/k": BITS, "params/a/k": ONE},
        )
        for shape in ([2**40], [2**33, 2**33], [-1], [9], [2.5], "1", 1, None, [[1]])
    },
    "too many weights": npz(
        {"shapes": {"a/k": [1]}, "provenance": {}},
        **{"masks/a/k": BITS, "params/a/k": np.ones(2, np.float32)},
    ),
    "weights of text": npz(
        {"shapes": {"a/k": [1]}, "provenance": {}},
        **{"masks/a/k": BITS, "params/a/k": np.array(["1"])},
    ),
    "a leaf that is a branch": npz(
        {"shapes": {"a/k": [1], "a/k/j": [1]}, "provenance": {}},
        **{"masks/a/k": BITS, "params/a/k": ONE},
        **{"masks/a/k/j": BITS, "params/a/k/j": ONE},
    ),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_load_foreign_file_raises_user_error(kind, tmp_path):
    path = tmp_path / "ticket.npz"
    path.write_bytes(FOREIGN[kind])
    with pytest.raises(UserError, match="not an intact ticket") as caught:
        tickets.load(path)
    assert "\n" not in str(caught.value)


def test_load_missing_file_or_folder_raises_user_error(tmp_path):
    with pytest.raises(UserError, match="no such ticket"):
        tickets.load(tmp_path / "none.npz")
    with pytest.raises(UserError):
        tickets.load(tmp_path)


def test_ticket_names_with_dots_touch_no_other_folder(tmp_path):
    """A name is a path in a tree, never on disk."""
    folder = tmp_path / "inner"
    folder.mkdir()
    name = "encoder/../../../stolen/kernel"
    content = npz(
        {"shapes": {name: [1]}, "provenance": {}},
        **{f"masks/{name}": BITS, f"params/{name}": ONE},
    )
    (folder / "ticket.npz").write_bytes(content)
    loaded = tickets.load(folder / "ticket.npz")
    assert list(trees.named_leaves(loaded.params)) == [name]
    tickets.save(folder / "again.npz", loaded)
    assert sorted(x.name for x in tmp_path.rglob("*")) == [
        "again.npz",
        "inner",
        "ticket.npz",
    ]
