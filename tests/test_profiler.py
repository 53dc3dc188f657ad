"""A trace covers the steps that were asked for, and changes no number."""

import jax
import pytest
from test_lottery import assert_trees_equal, run

from gen_tickets.training import profiler as profiler_lib
from gen_tickets.training.profiler import Profiler
from gen_tickets.workdir import paths


@pytest.fixture
def calls(monkeypatch):
    """What clu.profiler is told, in order."""
    told = []
    monkeypatch.setattr(profiler_lib.profiler, "start", told.append)
    monkeypatch.setattr(profiler_lib.profiler, "stop", lambda: told.append("stop"))
    return told


def train(profiler, *stretches):
    """Wants stretches of so many steps; returns the steps that are taken of each."""
    taken = []
    for wanted in stretches:
        taken.append(profiler.begin(wanted))
        profiler.end(taken[-1])
    profiler.close()
    return taken


def test_profiler_takes_traced_steps_one_by_one_after_first_stretch(calls, tmp_path):
    assert train(Profiler(tmp_path, 2), 8, 2, 10, 10) == [8, 1, 1, 10]
    assert calls == [str(tmp_path), "stop"]


def test_profiler_short_training_ends_trace(calls, tmp_path):
    profiler = Profiler(tmp_path, 100)
    assert train(profiler, 8, 2) == [8, 1]
    assert train(profiler, 8, 20) == [8, 20]
    assert calls == [str(tmp_path), "stop"]


def test_profiler_training_of_one_stretch_leaves_trace_to_next(calls, tmp_path):
    profiler = Profiler(tmp_path, 1)
    train(profiler, 8)
    assert calls == []
    assert train(profiler, 8, 20, 20) == [8, 1, 20]
    assert calls == [str(tmp_path), "stop"]


def test_profiler_no_steps_never_starts(calls, tmp_path):
    assert train(Profiler(tmp_path, 0), 8, 20) == [8, 20]
    assert train(Profiler(), 8, 20) == [8, 20]
    assert calls == []


def test_profiler_without_folder_takes_same_stretches(calls):
    assert train(Profiler(None, 2), 8, 2, 10, 10) == [8, 1, 1, 10]
    assert calls == []


def test_run_profiled_writes_trace_and_same_results(tmp_path):
    options = {"prune__rounds": 1, "train__steps": 24, "eval__every_steps": 12}
    found, rows = run(tmp_path / "plain", **options)
    profiled, profiled_rows = run(tmp_path / "traced", profile__steps=3, **options)
    for row, other in zip(rows, profiled_rows, strict=True):
        assert row | {"seconds": 0} == other | {"seconds": 0}
    for key in found:
        assert_trees_equal(found[key][:3], profiled[key][:3])
    folder = paths.tensorboard_dir(tmp_path / "traced") / "plugins" / "profile"
    (trace,) = folder.glob("*/*.xplane.pb")
    planes = jax.profiler.ProfileData.from_file(str(trace)).planes
    names = {x.name for plane in planes for line in plane.lines for x in line.events}
    assert any("stretch" in name for name in names) and "train" in names
    assert not list(paths.tensorboard_dir(tmp_path / "plain").glob("plugins/*"))
