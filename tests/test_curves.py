"""Learning curves: means over an interval, appended, the same after a restart."""

import math
import os

import numpy as np
import pytest

from gen_tickets.errors import UserError
from gen_tickets.workdir import curves, paths, tables

ARMS, RUNS = ("winning", "random"), (0, 1, 2)


class Events:
    """Remembers the scalars that are written."""

    def __init__(self):
        self.scalars = {}

    def write(self, run, step, scalars):
        self.scalars[run, step] = scalars


@pytest.fixture
def events():
    return Events()


@pytest.fixture
def writer(tmp_path, events):
    return curves.CurveWriter(tmp_path, events)


def measure(writer, round_number, step, runs=RUNS, arms=ARMS, **more):
    """Writes one evaluation whose numbers depend on round, step and runs alone."""
    rng = np.random.default_rng([round_number, step, *runs])
    count = len(arms) * len(runs)
    totals, heldout = rng.normal(size=(2, count)).astype(np.float32)
    writer.write(
        f"round_{round_number:02d}",
        round_number,
        step,
        arms,
        runs,
        num_steps=3,
        totals={"loss": totals, **more},
        heldout={"loss": heldout},
    )
    return totals, heldout


def test_write_one_evaluation_gives_a_row_for_each_member(writer, tmp_path):
    totals, heldout = measure(writer, 1, 40)
    rows = curves.read(paths.curves_path(tmp_path))
    assert [(r["round"], r["run"], r["arm"], r["step"]) for r in rows] == [
        (1, run, arm, 40) for arm in ARMS for run in RUNS
    ]
    found = np.array([row["interval_loss"] for row in rows], np.float32)
    np.testing.assert_array_equal(found, totals / np.float32(3))
    found = np.array([row["heldout_loss"] for row in rows], np.float32)
    np.testing.assert_array_equal(found, heldout)


def test_write_events_are_means_over_runs_of_each_arm(writer, events):
    totals, heldout = measure(writer, 1, 40)
    runs = [f"{arm}/round_01" for arm in ARMS]
    assert list(events.scalars) == [(run, 40) for run in runs]
    winning, random = (events.scalars[run, 40] for run in runs)
    assert set(winning) == {"train/loss", "heldout/loss"} == set(random)
    np.testing.assert_allclose(
        [winning["train/loss"], random["train/loss"]],
        [totals[:3].mean() / 3, totals[3:].mean() / 3],
        rtol=1e-6,
    )
    assert random["heldout/loss"] == pytest.approx(heldout[3:].mean())


def test_write_value_that_is_not_finite_is_nan(writer, tmp_path):
    writer.write(
        "round_00",
        0,
        5,
        ("dense",),
        (0, 1),
        num_steps=5,
        totals={"loss": np.array([np.inf, 5.0], np.float32)},
        heldout={"loss": np.array([np.nan, 0.1], np.float32)},
    )
    first, second = curves.read(paths.curves_path(tmp_path))
    assert math.isnan(first["interval_loss"]) and math.isnan(first["heldout_loss"])
    assert (second["interval_loss"], second["heldout_loss"]) == (1.0, 0.1)


def test_write_later_evaluation_does_not_rewrite_the_file(writer, tmp_path):
    path = paths.curves_path(tmp_path)
    measure(writer, 0, 10)
    inode, before = path.stat().st_ino, path.read_bytes()
    for place in ((0, 20), (1, 10), (1, 20)):
        measure(writer, *place)
    assert path.stat().st_ino == inode and path.read_bytes().startswith(before)
    assert len(curves.read(path)) == 4 * len(ARMS) * len(RUNS)


def run_whole(writer):
    for round_number in (0, 1, 2):
        for step in (10, 20, 30):
            measure(writer, round_number, step)


@pytest.mark.parametrize("round_number, step", [(0, 0), (0, 10), (1, 20), (2, 20)])
@pytest.mark.parametrize("cut", [0, 1, 25])
def test_restart_from_any_checkpoint_gives_the_same_bytes(
    writer, tmp_path, round_number, step, cut
):
    """The killed process had passed its last checkpoint and written half a line."""
    path = paths.curves_path(tmp_path)
    run_whole(writer)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - cut])
    for later in [(n, s) for n in (0, 1, 2) for s in (10, 20, 30)]:
        if later > (round_number, step):
            measure(writer, *later)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("kept_steps", [0, 1, 2])
def test_restart_of_sequential_runs_gives_the_same_bytes(writer, tmp_path, kept_steps):
    """As early-bird runs do: run 1 begins when run 0 has ended."""
    path = paths.curves_path(tmp_path)
    places = [(run, n, s) for run in (0, 1) for n in (0, 1) for s in (10, 20)]

    def train(some):
        for run, round_number, step in some:
            measure(writer, round_number, step, (run,), ("early_bird",))

    train(places)
    whole = path.read_bytes()
    train(places[kept_steps:])
    assert path.read_bytes() == whole


def test_write_new_metric_keeps_earlier_rows(writer, tmp_path):
    path = paths.curves_path(tmp_path)
    measure(writer, 0, 10)
    before = curves.read(path)
    measure(writer, 0, 20, kl=np.arange(6.0))
    rows = curves.read(path)
    assert rows[:6] == before
    assert [row["interval_kl"] for row in rows[6:]] == pytest.approx(np.arange(6) / 3)


def test_write_to_a_damaged_table_raises_user_error_and_keeps_it(writer, tmp_path):
    path = paths.curves_path(tmp_path)
    path.write_bytes(b"round,run\nno numbers\n")
    with pytest.raises(UserError, match="curves.csv"):
        measure(writer, 0, 10)
    assert path.read_bytes() == b"round,run\nno numbers\n"


def test_read_table_that_is_being_written_leaves_out_the_last_line(writer, tmp_path):
    path = paths.curves_path(tmp_path)
    measure(writer, 0, 10)
    rows = curves.read(path)
    path.write_bytes(path.read_bytes()[:-1])
    assert curves.read(path) == rows[:-1]


def test_append_without_space_raises_user_error(writer, tmp_path, monkeypatch):
    measure(writer, 0, 10)

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError, match="curves.csv: cannot be written .no space"):
        measure(writer, 0, 20)


def test_curve_writer_on_other_process_writes_nothing(tmp_path, events):
    measure(curves.CurveWriter(None, events), 0, 10)
    assert not list(tmp_path.iterdir()) and not events.scalars


def test_columns_file_describes_all_tables(writer, tmp_path):
    measure(writer, 0, 10)
    row = {"round": 0, "run": 0, "arm": "dense", "fid": 1.0}
    tables.write_rows(paths.results_path(tmp_path), [row])
    tables.write_columns(tmp_path)
    described = {column.name: column for column in tables.read_columns(tmp_path)}
    assert described["interval_loss"].better == "lower"
    assert described["fid"].label == "FID" and described["step"].dtype == "int"
