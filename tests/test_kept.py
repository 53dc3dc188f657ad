"""Which trained networks a run keeps, and that nothing else is removed."""

import pytest
from result_rows import BAD, GOOD, METRIC, table

from gen_tickets.config import defaults
from gen_tickets.report import kept, verdict
from gen_tickets.workdir import paths, tables
from gen_tickets.workdir.recorder import Recorder

# Found in rounds 1 and 2, matching in 4 alone, worse than dense in 3 and 5.
ROWS = table([GOOD, GOOD, BAD, GOOD, BAD], [BAD, BAD, BAD, GOOD, BAD])


def test_best_round_equals_round_of_verdict():
    assert kept.best_round(verdict.verdict(ROWS, METRIC)) == 2
    assert kept.best_round(verdict.verdict(table([BAD], [BAD]), METRIC)) is None


@pytest.mark.parametrize(
    "last, expected",
    [(0, {0}), (1, {0, 1}), (3, {0, 2, 3}), (4, {0, 2, 4}), (5, {0, 2, 4, 5})],
)
def test_kept_rounds_are_dense_best_and_last(last, expected):
    assert kept.rounds(ROWS, METRIC, "best", last) == expected
    assert kept.rounds(ROWS, METRIC, "last", last) == {last}


def record(folder, policy):
    """Puts a file of every round there, as a run does; -> rounds that are left."""
    config = defaults.get_config()
    config.keep.rounds = policy
    recorder = Recorder(folder, config, {}, None, None)
    for number in range(6):
        for arm in ("winning", "random") if number else ("dense",):
            path = paths.trained_path(folder, number, arm, 0)
            paths.write_atomically(path, b"weights")
        rows = [row for row in ROWS if row["round"] <= number]
        tables.write_rows(paths.results_path(folder), rows)
        for _ in range(2):  # as after a kill between a removal and the checkpoint
            recorder.remove_superseded(number)
    return {int(path.name[-2:]) for path in (folder / "trained").iterdir()}


@pytest.mark.parametrize(
    "policy, expected",
    [("best", {0, 2, 4, 5}), ("last", {5}), ("all", set(range(6)))],
)
def test_recorder_removes_superseded_files(policy, expected, tmp_path):
    assert record(tmp_path, policy) == expected


def test_recorder_removes_no_file_of_the_user(tmp_path):
    folder = paths.trained_dir(tmp_path, 3)
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    assert record(tmp_path, "best") == {0, 2, 3, 4, 5}
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_restart_with_other_policy_removes_no_older_round(tmp_path):
    record(tmp_path, "all")
    config = defaults.get_config()
    Recorder(tmp_path, config, {}, None, None).remove_superseded(5)
    assert {path.name for path in (tmp_path / "trained").iterdir()} == {
        f"round_{number:02d}" for number in range(6)
    }
