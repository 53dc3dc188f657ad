"""Unreadable is not damaged: which error a file's reader raises, and what is kept."""

import numpy as np
import pytest
from test_searches import draw
from test_tables import ROW
from test_tickets import TICKET

from gen_tickets.errors import Damaged, UserError
from gen_tickets.evaluation.features import cache, containers, weights
from gen_tickets.report import outcomes
from gen_tickets.workdir import lock, paths, reading, searches, tables, tickets


def write_cache(path):
    path.write_bytes(cache._written({"a": 1}, {"x": np.zeros(3)}))


READERS = {
    "run.npz": (tickets.load, lambda path: tickets.save(path, TICKET)),
    "search.npz": (searches.load, lambda path: searches.save(path, draw())),
    "results.csv": (tables.read_rows, lambda path: tables.write_rows(path, [ROW])),
    "columns.json": (
        lambda path: tables.read_columns(path.parent),
        lambda path: (
            tables.write_rows(paths.results_path(path.parent), [ROW]),
            tables.write_columns(path.parent),
        ),
    ),
    "config.json": (
        lambda path: lock.stored_config(path.parent),
        lambda path: path.write_text('{"seed": 0, "provenance": {}}'),
    ),
    "weights.npz": (
        containers.read_arrays,
        lambda path: np.savez(path, a=np.zeros(3, np.float32)),
    ),
}


@pytest.mark.parametrize("name", READERS)
def test_reader_tells_unreadable_from_damaged_files(tmp_path, name):
    read, write = READERS[name]
    path = tmp_path / name
    write(path)
    read(path)
    content = path.read_bytes()
    if name != "results.csv":  # a table that is cut has a message of its own
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(Damaged, match="is not an intact"):
            read(path)
    path.unlink()
    path.symlink_to(path)  # not to be opened, not even by root
    with pytest.raises(UserError, match="cannot be read.*may be intact") as told:
        read(path)
    assert not isinstance(told.value, Damaged)


def test_cache_that_cannot_be_read_is_neither_fatal_nor_replaced(
    tmp_path, monkeypatch, capfd
):
    monkeypatch.setenv(weights.CACHE_VARIABLE, str(tmp_path))
    path = cache.path_of("kind", {"a": 1})
    path.symlink_to(path)
    found = cache.fetch("kind", {"a": 1}, lambda: {"x": np.ones(2)})
    assert found["x"].tolist() == [1, 1] and path.is_symlink()
    assert "cannot be read" in capfd.readouterr().err
    path.unlink()
    path.write_bytes(b"damaged")
    cache.fetch("kind", {"a": 1}, lambda: {"x": np.ones(2)})
    assert "computed again" in capfd.readouterr().err
    cache.fetch("kind", {"a": 1}, pytest.fail)


def _raise(error):
    raise error


@pytest.mark.parametrize(
    "error, damaged",
    [
        (PermissionError(13, "Permission denied"), False),
        (OSError(116, "Stale file handle"), False),
        (UnicodeEncodeError("ascii", "\xfc", 0, 1, "not in range"), False),
        (ValueError("PERMISSION_DENIED: Error reading local file"), False),
        (ValueError("UNKNOWN: Failed to read: Input [os_error_code='5']"), False),
        (ValueError("NOT_FOUND: Failed to open: x [os_error_code='2']"), True),
        (ModuleNotFoundError("No module named 'lzma'"), False),
        (LookupError("unknown encoding: cp437"), False),
        (RuntimeError("can't start new thread"), False),
        (ValueError("DATA_LOSS: checksum"), True),
        (OSError("image file is truncated"), True),
        (OSError(22, "Invalid argument"), True),  # a seek to before the beginning
        (KeyError("header"), True),
    ],
)
def test_explained_error_is_damage_only_for_wrong_content(tmp_path, error, damaged):
    path = tmp_path / "file"
    path.write_bytes(b"readable")
    with pytest.raises(UserError) as told:
        with reading.explained(path, "file"):
            _raise(error)
    assert isinstance(told.value, Damaged) == damaged
    with pytest.raises(MemoryError), reading.explained(path, "file"):
        _raise(MemoryError())


def test_explained_folder_with_an_unreadable_file_is_not_damaged(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    link = tmp_path / "a" / "b" / "loop"
    link.symlink_to(link)
    with pytest.raises(UserError, match="cannot be read.*loop") as told:
        with reading.explained(tmp_path, "folder"):
            _raise(KeyError("missing"))
    assert not isinstance(told.value, Damaged)


def test_outcome_of_an_unreadable_config_names_the_file(tmp_path):
    tables.write_rows(
        paths.results_path(tmp_path),
        [dict(ROW, arm="dense", sparsity=0.0, remaining=1.0, diverged=False)],
    )
    path = paths.config_path(tmp_path)
    path.symlink_to(path)
    with pytest.raises(UserError, match="config.json: cannot be read"):
        outcomes.load(tmp_path)
