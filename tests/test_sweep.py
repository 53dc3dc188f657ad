"""Sweeps: every combination once, each in a folder of its own."""

import itertools
import os
import pathlib
import shlex
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gen_tickets import main, sweep
from gen_tickets.cli import command_line
from gen_tickets.errors import UserError

ROOT = pathlib.Path(__file__).parents[1]
TWO = ["--over", "seed", "0", "10", "--over", "prune.fraction", "0.2", "0.36", "0.5"]


def test_entries_are_all_combinations_in_order():
    found = sweep.entries([["seed", "0", "10"], ["prune.fraction", "0.2", "0.36"]])
    assert [tuple(x.values()) for x in found] == [
        *(("0", "0.2"), ("0", "0.36"), ("10", "0.2"), ("10", "0.36"))
    ]
    assert all(list(x) == ["seed", "prune.fraction"] for x in found)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["seed", "runs", "prune.rounds"]),
            st.lists(st.integers(0, 99).map(str), min_size=1, max_size=4, unique=True),
        ),
        min_size=1,
        max_size=3,
        unique_by=lambda x: x[0],
    )
)
def test_entries_have_distinct_folders(lists):
    found = sweep.entries([[name, *values] for name, values in lists])
    expected = set(itertools.product(*(values for _, values in lists)))
    assert {tuple(x.values()) for x in found} == expected
    assert len({sweep.folder_of(x) for x in found}) == len(found) == len(expected)


def test_folder_of_entry_is_one_plain_name():
    entry = {"model.widths": "(64, 32)", "ticket.path": "../runs/a"}
    assert sweep.folder_of(entry) == "model.widths=_64,_32_,ticket.path=.._runs_a"


def test_folders_of_values_that_differ_in_replaced_characters_differ():
    found = sweep.entries([["data.dir", "a/b", "a_b", "c"]])
    assert sweep.folders_of(found) == [
        *("data.dir=a_b,entry=0", "data.dir=a_b,entry=1", "data.dir=c")
    ]


@pytest.mark.parametrize(
    "lists",
    [
        *([["sed", "1"]], [["seed"]], [["seed", "1", "1"]], [["seed", "1"]] * 2),
        [["seed", "10", "1e1"]],
        [["seed", "1e-3", "0.001"]],
        [["seed", "(3,4)", "(3, 4)"]],
        [["seed", "True", "true"]],
    ],
)
def test_entries_of_wrong_list_raises_user_error(lists):
    with pytest.raises(UserError, match="--over se|^sed: there is no such option"):
        sweep.entries(lists)


def test_main_printed_lines_run_every_entry(capsys, tmp_path):
    words = [*TWO, f"--workdir={tmp_path}", "--config=quickstart.py:smoke"]
    sweep.main(words)
    *listed, empty, slurm, shell, compare = capsys.readouterr().out.splitlines()
    assert len(listed) == 6 and empty == "" and not list(tmp_path.iterdir())
    name, array, wrapped = shlex.split(slurm)
    assert (name, array) == ("sbatch", "--array=0-5")
    job = shlex.split(wrapped.removeprefix("--wrap="))
    assert job[:3] == ["python", "-m", "gen_tickets.sweep"]
    assert job[3:-1] == words and job[-1] == "--entry=$SLURM_ARRAY_TASK_ID"
    # A shell whose `python` prints its arguments.
    shell = f'python() {{ echo "$@"; }}\n{shell}'
    said = subprocess.run(["bash", "-c", shell], capture_output=True, text=True)
    calls = said.stdout.splitlines()
    assert [x.split()[-1] for x in calls] == [f"--entry={i}" for i in range(6)]
    assert all(x.split()[2:-1] == words for x in calls)
    assert compare == f"python -m gen_tickets.report {tmp_path}/*/"


def test_main_entry_runs_with_its_options_in_its_folder(tmp_path, monkeypatch):
    called = []
    monkeypatch.setattr(
        command_line, "run", lambda function, argv: called.append((function, argv))
    )
    rest = ["--config=quickstart.py:smoke", "--config.runs=1"]
    sweep.main([*TWO, f"--workdir={tmp_path}", *rest, "--entry=4"])
    function, argv = called[0]
    assert function is main.main
    changes = ["--config.seed=10", "--config.prune.fraction=0.36"]
    folder = tmp_path / "seed=10,prune.fraction=0.36"
    assert argv == ["main", *rest, *changes, f"--workdir={folder}"]


def test_main_workdir_in_home_folder_is_listed_in_full(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    sweep.main([*TWO, "--workdir=~/x", "--config=quickstart.py:smoke"])
    first, *_, compare = capsys.readouterr().out.splitlines()
    assert str(tmp_path / "x" / "seed=0") in first
    assert compare == f"python -m gen_tickets.report {tmp_path}/x/*/"


def test_main_entry_options_reach_the_experiment(tmp_path):
    words = ["--over", "seed", "0", "1", "--over", "runs", "0", "--entry=1"]
    done = subprocess.run(
        [sys.executable, "-m", "gen_tickets.sweep", "--config=quickstart", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("gen_tickets: runs=0: allowed")


@pytest.mark.parametrize("words", [["--entry=6"], ["--entry=-1"], ["--config=no.py"]])
def test_main_with_mistake_exits_with_2_and_one_line(words, capsys):
    assert sweep.main([*TWO, *words]) == 2
    assert capsys.readouterr().err.count("\n") == 1
