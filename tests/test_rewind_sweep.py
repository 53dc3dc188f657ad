"""rewind.sweep: one dense training, and an experiment for every step."""

import collections
import csv
import json
import shutil

import pytest
from result_rows import BAD, GOOD, METRIC, table
from stops import stopped_at
from test_lottery import NoEvents, assert_trees_equal, configure, read
from test_lottery import run as run_alone
from test_report import write_workdir

from gen_tickets import procedures
from gen_tickets.config import defaults
from gen_tickets.errors import Interrupted, UserError
from gen_tickets.report import __main__ as command
from gen_tickets.report import figures, outcomes, render, rewinds
from gen_tickets.training import driver
from gen_tickets.training import loop as loop_lib
from gen_tickets.workdir import events as events_lib
from gen_tickets.workdir import paths

# 48 images in batches of 16: 3 steps an epoch, 8 in all; evaluated at 4 and 8.
SWEEP = ("0", "1ep", "5")


def run(folder, draw=lambda workdir: workdir, sweep=SWEEP, **changes):
    """Runs a sweep; returns {step: (tickets, rows)}."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(events_lib, "EventWriter", NoEvents)
        patch.setattr(render, "draw", draw)
        procedures.run(configure(**{"rewind__sweep": sweep, **changes}), folder)
    return {step: read(paths.rewind_dir(folder, step)) for step in sweep}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """(folder, {step: (tickets, rows)}, trained steps, loops); tests only read it."""
    folder = tmp_path_factory.mktemp("sweep") / "sweep"
    steps, loops = collections.Counter(), []

    def stretch(training, *arguments):
        steps[training.tag] += arguments[-1]
        return original_stretch(training, *arguments)

    def make_loop(*arguments):
        loops.append(arguments)
        return original_loop(*arguments)

    original_stretch, original_loop = driver._stretch, loop_lib.make_loop
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(driver, "_stretch", stretch)
        patch.setattr(loop_lib, "make_loop", make_loop)
        found = run(folder)
    return folder, found, steps, loops


def assert_same(found, expected):
    for key, ticket in expected[0].items():
        other = found[0][key]
        assert_trees_equal(ticket[:3], other[:3])
        assert ticket.provenance["step"] == other.provenance["step"]
    for row, other in zip(found[1], expected[1], strict=True):
        assert row | {"seconds": 0} == other | {"seconds": 0}


def files(folder):
    return {path.relative_to(folder) for path in folder.glob("[!c]*/**/*.[np]*")}


@pytest.mark.parametrize("step", ["0", "5"])
def test_experiment_of_a_sweep_equals_the_one_run_alone(sweep, tmp_path, step):
    folder, found, *_ = sweep
    expected = run_alone(tmp_path, rewind__step=step)
    assert_same(found[step], expected)
    one = paths.rewind_dir(folder, step)
    for name in ("curves.csv", "layers.csv", "baselines.json"):
        assert (one / name).read_bytes() == (tmp_path / name).read_bytes()
    assert files(one) == files(tmp_path)
    options, others = (outcomes.config_of(x) for x in (one, tmp_path))
    assert options == others


def test_sweep_trains_and_compiles_dense_networks_once(sweep):
    *_, steps, loops = sweep
    later = (8 - 0) + (8 - 3) + (8 - 5)
    assert steps == {"round_00": 8, "round_01": later, "round_02": later}
    assert len(loops) == 1  # small arms train by the programs of dense networks


def test_sweep_stopped_anywhere_and_restarted_equals_undisturbed_one(sweep, tmp_path):
    _, found, *_ = sweep
    # The dense training between two steps, at one of them and at its end, and then the
    # first and the second experiment.
    for number, step in ((0, 2), (0, 3), (0, 8), (1, 5), (1, 4)):
        with stopped_at(0, number, step), pytest.raises(Interrupted, match="SIGTERM"):
            run(tmp_path)
    done = [paths.results_path(paths.rewind_dir(tmp_path, x)).exists() for x in SWEEP]
    assert done == [True, True, False]

    def kill(workdir):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # between two experiments
        run(tmp_path, draw=kill)
    for step, of_step in run(tmp_path).items():
        assert_same(of_step, found[step])


def test_experiment_whose_folder_is_lost_trains_its_dense_networks(sweep, tmp_path):
    folder, found, *_ = sweep
    again = tmp_path / "sweep"
    shutil.copytree(folder, again)
    shutil.rmtree(paths.rewind_dir(again, "1ep"))
    assert_same(run(again)["1ep"], found["1ep"])


def test_finished_sweep_takes_further_steps_but_gives_none_up(sweep, tmp_path):
    _, found, *_ = sweep
    run(tmp_path, sweep=("0", "5"))
    done = [paths.results_path(paths.rewind_dir(tmp_path, x)) for x in ("0", "5")]
    before = [path.stat().st_mtime_ns for path in done]
    assert_same(run(tmp_path)["1ep"], found["1ep"])
    assert [path.stat().st_mtime_ns for path in done] == before
    with pytest.raises(UserError, match=r"rewind.sweep: \[.*\] -> \["):
        run(tmp_path, sweep=("0", "1ep"))


@pytest.mark.parametrize(
    "changes, refused",
    [
        ({"sweep": (0, 8)}, "rewind.sweep=8: must be below train.steps=8"),
        ({"sweep": ("0", "3ep")}, "rewind.sweep=3ep: .* below the 8 training"),
        ({"sweep": ("1ep", 3)}, "'1ep' is step 3, and '3' is step 3.*once"),
        ({"sweep": (4, "1ep")}, "'4' is step 4, and '1ep' is step 3.*increas"),
        ({"rewind__step": "auto"}, "rewind.sweep=.*a rewind.step of steps or epochs"),
        (
            {"prune__schedule": "at_initialization", "rewind__step": "0"},
            "rewind.sweep=.*only for prune.schedule=iterative or one_shot",
        ),
        (
            {"procedure": "dynamic", "rewind__step": "0"},
            "rewind.sweep=.*only for procedure='tickets', not 'dynamic'",
        ),
    ],
)
def test_sweep_that_contradicts_itself_or_others_is_refused(changes, refused, tmp_path):
    with pytest.raises(UserError, match=refused):
        run(tmp_path / "sweep", **changes)
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    "value, said",
    [
        ("1ep", "give \\('1ep',\\)"),
        ("0,1ep", "give \\('0', '1ep'\\)"),
        (("auto",), "allowed is"),
        ((1.5,), "allowed is"),
    ],
)
def test_sweep_of_another_form_is_refused(value, said):
    with pytest.raises(UserError, match=f"rewind.sweep=.*{said}"):
        defaults.get_config().rewind.sweep = value


def test_report_of_a_sweep_has_quality_and_sparsity_by_step(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(figures, "draw_files", lambda figure: {})
    steps = {"0": ([BAD, BAD], [BAD, BAD]), "10": ([GOOD, GOOD], [BAD, BAD])}
    for step, rows in steps.items():
        folder = paths.rewind_dir(tmp_path, step)
        write_workdir(folder, table(*rows), images=False, rewind={"step": step})
    options = {"eval": {"verdict": METRIC}, "rewind": {"sweep": ["0", "10", "2ep"]}}
    paths.config_path(tmp_path).write_text(json.dumps(options))
    assert command.main([str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "\nOf 2 rewind steps, 10 is the first with the sparsest tickets. " in told
    assert "Winning tickets are found up to 36.0 %" in told
    assert [line.split() for line in told.splitlines()[1:3]] == [
        ["0", "none", "none"],
        ["10", *("36.0 %" * 2).replace("%", "% ").split()],
    ]
    of_steps = (paths.figures_dir(tmp_path) / "rewind_steps.csv").read_text()
    assert of_steps.splitlines()[1:] == ["0,nan,nan", "10,0.36,0.36"]
    page = paths.report_path(tmp_path).read_text()
    assert "k = 10" in page and "Of 2 rewind steps" in page
    with open(paths.figures_dir(tmp_path) / f"{METRIC}_by_rewind_step.csv") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 1 + 2 * 2 * 2  # dense; rounds, arms, steps
    *_, value, std, _ = lines[0]
    found = {(x["line"], x["note"]): (float(x[value]), float(x[std])) for x in lines}
    assert found["dense", ""] == (2.0, 1.0)
    assert found["round 2, 36.0 %, random", "k = 0, n = 3"] == (9.5, 0.5)
    mean, _ = found["round 1, 20.0 %, winning", "k = 10, n = 3"]
    assert mean == pytest.approx(sum(GOOD) / 3)


def test_report_of_a_sweep_without_results_says_what_to_do(tmp_path):
    options = {"eval": {"verdict": METRIC}, "rewind": {"sweep": ["0"]}}
    paths.config_path(tmp_path).write_text(json.dumps(options))
    with pytest.raises(UserError, match="no step of the sweep has results"):
        rewinds.load(tmp_path)
