"""Tables are read back as they were written, and are never half written."""

import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_tickets.config.column import Column
from gen_tickets.errors import UserError
from gen_tickets.workdir import columns, paths, tables

ROW = {"round": 1, "run": 0, "arm": "winning", "sparsity": 0.2, "diverged": False}


@settings(deadline=None, max_examples=30)
@given(value=st.floats(allow_nan=False, allow_infinity=False), step=st.integers(0))
def test_write_and_read_number_returns_it_exactly(tmp_path_factory, value, step):
    path = tmp_path_factory.mktemp("table") / "results.csv"
    row = dict(ROW, early_stop_step=step, heldout_loss=value)
    tables.write_rows(path, [row])
    assert tables.read_rows(path) == [row]


def test_write_and_read_row_returns_the_types_of_its_columns(tmp_path):
    path = tmp_path / "results.csv"
    row = dict(ROW, steps=np.int64(7), diverged=np.bool_(True), loss=np.float32(0.1))
    layer = {"round": 0, "run": 1, "layer": 'a,"b"\n/kernel', "total": 9, "kept": 4}
    tables.write_rows(path, [row, layer])
    first, second = tables.read_rows(path)
    assert first == dict(ROW, steps=7, diverged=True, loss=float(np.float32(0.1)))
    assert second == layer  # columns that it does not have are absent
    assert type(first["steps"]) is int and type(first["diverged"]) is bool
    assert type(second["kept"]) is int and type(first["sparsity"]) is float


def test_write_rows_with_different_columns_keeps_first_seen_order(tmp_path):
    path = tmp_path / "results.csv"
    tables.write_rows(path, [ROW, dict(ROW, fid=2.0)])
    assert path.read_text() == (
        "round,run,arm,sparsity,diverged,fid\n"
        "1,0,winning,0.2,False,\n"
        "1,0,winning,0.2,False,2.0\n"
    )


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, np.float32("nan")])
def test_write_number_that_is_not_finite_writes_nan(tmp_path, value):
    path = tmp_path / "results.csv"
    tables.write_rows(path, [dict(ROW, loss=value, early_stop_step=math.nan)])
    (row,) = tables.read_rows(path)
    assert math.isnan(row["loss"]) and math.isnan(row["early_stop_step"])
    assert path.read_text().endswith(",nan,nan\n")


def test_write_text_in_a_number_column_raises_value_error(tmp_path):
    with pytest.raises(ValueError, match="'loss'"):
        tables.write_rows(tmp_path / "results.csv", [dict(ROW, loss="low")])
    assert not (tmp_path / "results.csv").exists()


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"\xff\xfe\x00",
        b"round,run\n",
        b"a,b\n1,2\n",
        b"round,run,round\n1,2,3\n",
        b"round,run,loss\n1,2\n",
        b"round,run,loss\n1,2,3,4\n",
        b"round,run,loss\n1,2,0.",
        b"round,run,loss\n1,2,low\n",
        b"round,run,diverged\n1,2,yes\n",
        b"round,run\n1.5,2\n",
        b'round,run\n"1,2\n',
    ],
    ids=lambda content: repr(content)[:24],
)
def test_read_bad_table_raises_user_error_of_one_line(tmp_path, content):
    path = tmp_path / "results.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        tables.read_rows(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_read_table_cut_anywhere_never_returns_other_numbers(tmp_path):
    path = tmp_path / "results.csv"
    rows = [dict(ROW, run=run, loss=0.125 + run) for run in range(3)]
    tables.write_rows(path, rows)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        try:
            read = tables.read_rows(path)
        except UserError:
            continue
        assert read == rows[: len(read)]


def test_replace_round_with_new_rows_keeps_the_others_in_order():
    def row(number, arm, run, loss=0.0):
        return {"round": number, "arm": arm, "run": run, "loss": loss}

    old = [row(2, "random", 0), row(0, "dense", 1), row(0, "dense", 0)]
    new = [row(1, "random", 0), row(1, "winning", 1), row(1, "winning", 0)]
    rows = tables.replace_round(old, 1, new)
    assert [(r["round"], r["arm"], r["run"]) for r in rows] == [
        (0, "dense", 0),
        (0, "dense", 1),
        (1, "winning", 0),
        (1, "winning", 1),
        (1, "random", 0),
        (2, "random", 0),
    ]
    again = tables.replace_round(rows, 1, [row(1, "winning", 0, loss=3.0)])
    assert [r["loss"] for r in again if r["round"] == 1] == [3.0]
    assert len(again) == 4
    with pytest.raises(ValueError, match="another round"):
        tables.replace_round(rows, 2, new)


def test_replace_round_of_layers_keeps_their_order():
    layers = [{"round": 0, "run": 0, "layer": name} for name in "zay"]
    assert tables.replace_round([], 0, layers) == layers


def test_write_that_fails_leaves_the_old_file_unchanged(tmp_path, monkeypatch):
    path = tmp_path / "results.csv"
    tables.write_rows(path, [ROW])
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match="results.csv: cannot be written .no space"):
        tables.write_rows(path, [ROW, ROW])
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["results.csv"]


def test_read_column_of_another_version_returns_a_float(tmp_path):
    path = tmp_path / "results.csv"
    path.write_text("round,run,later_metric\n0,1,2\n")
    (row,) = tables.read_rows(path)
    assert row == {"round": 0, "run": 1, "later_metric": 2.0}
    assert type(row["later_metric"]) is float


def test_columns_file_returns_what_was_declared(tmp_path, monkeypatch):
    own = Column("coverage", better="higher", unit="%", label="coverage of α")
    monkeypatch.setattr(columns, "_remembered", {"coverage": own})
    tables.write_rows(paths.results_path(tmp_path), [dict(ROW, coverage=1.0)])
    tables.write_columns(tmp_path)
    assert tables.read_columns(tmp_path) == [*map(columns.find, ROW), own]


def test_columns_file_that_is_absent_describes_nothing(tmp_path):
    assert tables.read_columns(tmp_path) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "{",
        '{"a": 1}',
        '{"a": {"b": 1}}',
        '{"a": {"name": 1}}',
        '{"a": {"name": "a", "better": "up"}}',
    ],
)
def test_columns_file_that_is_damaged_raises_user_error(tmp_path, text):
    paths.columns_path(tmp_path).write_text(text)
    with pytest.raises(UserError, match="columns.json: is not an intact description"):
        tables.read_columns(tmp_path)
