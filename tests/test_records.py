"""Tables come back as they were written, pictures too, and nothing is half written."""

import logging
import math
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gen_tickets.errors import UserError
from gen_tickets.workdir import paths, records

ROW = {"round": 1, "run": 0, "arm": "winning", "sparsity": 0.2, "diverged": False}


@settings(deadline=None, max_examples=30)
@given(value=st.floats(allow_nan=False, allow_infinity=False), step=st.integers(0))
def test_numbers_come_back_exactly(tmp_path_factory, value, step):
    path = tmp_path_factory.mktemp("table") / "results.csv"
    row = dict(ROW, early_stop_step=step, heldout_loss=value)
    records.write_rows(path, [row])
    assert records.read_rows(path) == [row]


def test_types_come_back(tmp_path):
    path = tmp_path / "results.csv"
    row = dict(ROW, steps=np.int64(7), diverged=np.bool_(True), loss=np.float32(0.1))
    layer = {"round": 0, "run": 1, "layer": 'a,"b"\n/kernel', "total": 9, "kept": 4}
    records.write_rows(path, [row, layer])
    first, second = records.read_rows(path)
    assert first == dict(ROW, steps=7, diverged=True, loss=float(np.float32(0.1)))
    assert second == layer  # the columns it does not have stay away
    assert type(first["steps"]) is int and type(first["diverged"]) is bool
    assert type(second["kept"]) is int and type(first["sparsity"]) is float


def test_columns_stand_in_first_seen_order(tmp_path):
    path = tmp_path / "results.csv"
    records.write_rows(path, [ROW, dict(ROW, fid=2.0)])
    assert path.read_text() == (
        "round,run,arm,sparsity,diverged,fid\n"
        "1,0,winning,0.2,False,\n"
        "1,0,winning,0.2,False,2.0\n"
    )


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, np.float32("nan")])
def test_what_is_not_finite_is_nan(tmp_path, value):
    path = tmp_path / "results.csv"
    records.write_rows(path, [dict(ROW, loss=value, early_stop_step=math.nan)])
    (row,) = records.read_rows(path)
    assert math.isnan(row["loss"]) and math.isnan(row["early_stop_step"])
    assert path.read_text().endswith(",nan,nan\n")


def test_text_among_the_numbers_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'loss'"):
        records.write_rows(tmp_path / "results.csv", [dict(ROW, loss="low")])
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
def test_a_bad_table_is_named_in_one_line(tmp_path, content):
    path = tmp_path / "results.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        records.read_rows(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_table_cut_anywhere_never_reads_as_other_numbers(tmp_path):
    path = tmp_path / "results.csv"
    rows = [dict(ROW, run=run, loss=0.125 + run) for run in range(3)]
    records.write_rows(path, rows)
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        try:
            read = records.read_rows(path)
        except UserError:
            continue
        assert read == rows[: len(read)]


def test_replace_round_keeps_the_others_and_orders():
    def row(number, arm, run, loss=0.0):
        return {"round": number, "arm": arm, "run": run, "loss": loss}

    old = [row(2, "random", 0), row(0, "dense", 1), row(0, "dense", 0)]
    new = [row(1, "random", 0), row(1, "winning", 1), row(1, "winning", 0)]
    rows = records.replace_round(old, 1, new)
    assert [(r["round"], r["arm"], r["run"]) for r in rows] == [
        (0, "dense", 0),
        (0, "dense", 1),
        (1, "winning", 0),
        (1, "winning", 1),
        (1, "random", 0),
        (2, "random", 0),
    ]
    again = records.replace_round(rows, 1, [row(1, "winning", 0, loss=3.0)])
    assert [r["loss"] for r in again if r["round"] == 1] == [3.0]
    assert len(again) == 4
    with pytest.raises(ValueError, match="another round"):
        records.replace_round(rows, 2, new)


def test_replace_round_leaves_layers_in_their_order():
    layers = [{"round": 0, "run": 0, "layer": name} for name in "zay"]
    assert records.replace_round([], 0, layers) == layers


def test_a_failed_write_leaves_the_old_file_alone(tmp_path, monkeypatch):
    path = tmp_path / "results.csv"
    records.write_rows(path, [ROW])
    before = path.read_bytes()

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match="results.csv: cannot be written .no space"):
        records.write_rows(path, [ROW, ROW])
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["results.csv"]


def test_a_written_file_has_the_rights_of_any_new_file(tmp_path):
    paths.write_atomically(tmp_path / "a", b"1")
    (tmp_path / "b").write_bytes(b"1")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_paths_are_in_the_order_of_rounds():
    assert paths.ticket_path("w", 7, 0) == pathlib.Path("w/tickets/round_07/run_0.npz")
    assert (
        paths.sample_path("w", 12, "winning", "samples").as_posix()
        == "w/samples/round_12_winning_samples.png"
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("border", [1, 2])
def test_image_grid_against_a_loop(channels, border):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (5, 4, 3, channels), np.uint8)
    grid = records.image_grid(images, columns=2, border=border)
    expected = np.full((3 * (4 + border), 2 * (3 + border), channels), 255, np.uint8)
    expected = np.pad(expected, ((0, border), (0, border), (0, 0)), constant_values=255)
    for index, image in enumerate(images):
        y = border + (index // 2) * (4 + border)
        x = border + (index % 2) * (3 + border)
        expected[y : y + 4, x : x + 3] = image
    np.testing.assert_array_equal(grid, expected)


def test_image_grid_of_one_image_has_one_column():
    grid = records.image_grid(np.zeros((1, 4, 4, 1), np.uint8), columns=8, border=1)
    assert grid.shape == (6, 6, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_come_back(tmp_path, channels):
    image = np.random.default_rng(1).integers(0, 256, (7, 5, channels), np.uint8)
    path = tmp_path / "samples" / "originals.png"
    records.write_image(path, image)
    with Image.open(path) as file:
        read = np.asarray(file).reshape(7, 5, channels)
    np.testing.assert_array_equal(read, image)


@pytest.mark.parametrize("shape, kind", [((4, 4, 2), "uint8"), ((4, 4, 1), "float32")])
def test_what_is_no_image_is_refused(tmp_path, shape, kind):
    with pytest.raises(ValueError, match="expected uint8"):
        records.write_image(tmp_path / "x.png", np.zeros(shape, kind))
    with pytest.raises(ValueError, match="expected uint8"):
        records.image_grid(np.zeros((0, 4, 4, 1), np.uint8), 2)


def test_without_tensorboard_events_are_off_and_say_so(tmp_path, monkeypatch, caplog):
    writing = "tensorboard.summary.writer.record_writer"
    monkeypatch.setitem(sys.modules, writing, None)
    caplog.set_level(logging.INFO)
    writer = records.EventWriter(tmp_path)
    writer.write(0, {"loss": 1.0})
    writer.close()
    messages = [record.getMessage() for record in caplog.records]
    assert len([m for m in messages if "TensorBoard events are off" in m]) == 1
    assert os.listdir(tmp_path) == []


_KILLED = """
import os, signal, sys
from gen_tickets import records
writer = records.EventWriter(sys.argv[1])
writer.write(3, {"winning/loss": 0.5, "random/loss": float("nan")})
writer.write(4, {"winning/loss": 0.25})
assert "tensorflow" not in sys.modules
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_events_outlive_a_killed_process(tmp_path):
    loader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_file_loader"
    )
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    (path,) = tmp_path.iterdir()
    events = list(loader.EventFileLoader(str(path)).Load())
    assert events[0].file_version == "brain.Event:2"
    found = [
        (event.step, value.tag, value.tensor.float_val[0])
        for event in events
        for value in event.summary.value
    ]
    assert found[::2] == [(3, "winning/loss", 0.5), (4, "winning/loss", 0.25)]
    assert found[1][:2] == (3, "random/loss") and math.isnan(found[1][2])
