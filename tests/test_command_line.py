"""The command line: experiment names, one-line errors, exit statuses."""

import os
import pathlib
import subprocess
import sys

import jax
import pytest

from gen_tickets import main
from gen_tickets.cli import command_line, experiment_file
from gen_tickets.config import defaults
from gen_tickets.config.options import OPTIONS
from gen_tickets.errors import Interrupted, UserError

ROOT = pathlib.Path(__file__).parents[1]
QUICKSTART = str(ROOT / "experiments" / "quickstart.py")


def test_find_path_or_name_returns_the_file(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text("")
    assert experiment_file.find(str(mine)) == str(mine)
    assert experiment_file.find("quickstart.py") == QUICKSTART
    assert experiment_file.find("elsewhere/experiments/quickstart.py")
    missing = str(tmp_path / "quickstart.py")
    for name in ("nothing.py", "", ".", str(tmp_path), missing, "/quickstart.py"):
        with pytest.raises(UserError, match=r"--config=.*quickstart"):
            experiment_file.find(name)


@pytest.mark.parametrize(
    "words, config, rest, experiment",
    [
        ([], QUICKSTART, [], "quickstart"),
        (["--config=quickstart.py"], QUICKSTART, [], "quickstart"),
        (["--config", "quickstart.py:smoke"], QUICKSTART + ":smoke", [], None),
        (["--config.seed=3", "-config=quickstart.py"], QUICKSTART, 1, "quickstart"),
        (["--workdir=/x", "--config.seed=1"], QUICKSTART, 2, "quickstart"),
    ],
)
def test_split_words_separates_experiment_from_other_flags(
    words, config, rest, experiment
):
    found, others = command_line.split(["main", *words])
    assert found.path + (f":{found.size}" if found.size else "") == config
    assert others[0] == "main" and len(others) - 1 == (rest or 0)
    assert found.workdir.name == (experiment or "quickstart-smoke")


def test_run_main_that_raises_exits_with_its_status(capsys):
    def raises(error):
        def main(config, workdir):
            raise error

        return main

    for error, status in ((UserError("seed=-1", "no"), 2), (Interrupted(2), 130)):
        with pytest.raises(SystemExit) as caught:
            command_line.run(raises(error), ["main"])
        assert caught.value.code == status
        assert capsys.readouterr().err == f"gen_tickets: {error}\n"


def command(folder, *words):
    """Runs the program in a folder of its own; returns the finished process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    return subprocess.run(
        [sys.executable, "-m", "gen_tickets.main", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def without_jax(tmp_path):
    """A folder in which `import jax` fails."""
    (tmp_path / "jax.py").write_text("raise ImportError('JAX is loaded')")
    yield tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["jax.py"]


@pytest.mark.parametrize(
    "words, said",
    [
        (["--config.optimizer.learning_rat=1"], ["learning_rat"]),
        (["--config=nothing.py"], ["nothing.py", "quickstart"]),
        (["--config=quickstart.py:tiny"], ["tiny", "smoke"]),
        (["--config.prune.fraction=1.5"], ["prune.fraction=1.5", "< 1"]),
        (["--config.runs=five"], ["runs", "five"]),
        (["--config.runs=0", "--config=quickstart"], ["runs=0", ">= 1"]),
        (["--config.model.name=resnt"], ["model.name='resnt'", "mean 'resnet'?"]),
        (["--config.eval.metrics=kid_clasifier"], ["mean 'kid_classifier'?"]),
        (["--config.model.widths[0]=3"], ["mean 'model.widths'?"]),
        (["--config.eval.metrics=fid,kid"], ["; give ('fid', 'kid')"]),
        (["--config.seed"], ["seed=''", "whole number"]),
        (["--wrkdir=x"], ["--wrkdir", "mean '--workdir'?"]),
        (["extra"], ["extra: there is no such option", "comes first"]),
        (["--prune.rounds=3"], ["mean '--config.prune.rounds'?"]),
        (["--rounds=3"], ["mean '--config.prune.rounds'?"]),
    ],
)
def test_command_with_mistake_prints_one_line_and_writes_nothing(
    without_jax, words, said
):
    process = command(without_jax, *words)
    assert process.returncode == 2, process.stderr
    lines = process.stderr.splitlines()
    assert len(lines) == 1, process.stderr
    assert lines[0].startswith("gen_tickets: ")
    for part in said:
        assert part in lines[0]
    assert process.stdout == ""


def test_help_without_jax_lists_every_option_and_choice(without_jax):
    process = command(without_jax, "--help")
    assert process.returncode == 0 and process.stderr == ""
    text = " ".join(process.stdout.split())
    for name, option in OPTIONS.items():
        assert f"--config.{name}=" in process.stdout
        assert option.meaning in text
        for choice, summary in option.summaries().items():
            assert f"{choice}: {summary}" in text


def test_help_of_a_file_has_its_values_and_own_choices(registries_restored, capsys):
    file = ROOT / "examples" / "own_saliency.py"
    with pytest.raises(SystemExit):
        command_line.run(main.main, ["main", f"--config={file}", "--help"])
    shown = capsys.readouterr().out
    assert "--config.prune.method='lamp'" in shown and "\n        lamp: " in shown


@pytest.mark.parametrize(
    "given", ["", "--xla_such=1", "--xla_cpu_parallel_codegen_split_count=8"]
)
def test_compile_quickly_on_cpu_keeps_the_flags_of_the_user(given, monkeypatch):
    changed = {}
    monkeypatch.setattr(jax.config, "update", changed.__setitem__)
    monkeypatch.setenv("XLA_FLAGS", given)
    for _ in range(2):
        command_line.compile_quickly()
    flags = [
        "--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters",
        "--xla_cpu_parallel_codegen_split_count=1",
    ]
    if flags[1].split("=")[0] in given:
        del flags[1]
    assert os.environ["XLA_FLAGS"].split() == [*given.split(), *flags]
    assert changed == {"jax_disable_most_optimizations": True}


def test_compilation_cache_unset_uses_user_cache_folder(tmp_path, monkeypatch):
    changed = {}
    monkeypatch.setattr(jax.config, "update", changed.__setitem__)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.delenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
    command_line.use_compilation_cache()
    monkeypatch.delenv("GEN_TICKETS_CACHE", raising=False)
    folder = str(tmp_path / "gen_tickets" / "xla")
    assert changed.pop("jax_compilation_cache_dir") == folder
    assert changed.pop("jax_persistent_cache_min_compile_time_secs") == 0.5
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "3")
    command_line.use_compilation_cache()
    assert not changed


def write_experiment(folder, line, name="mine.py"):
    """A file whose get_config has `line` as its line 6."""
    path = folder / name
    path.write_text(f"""import pathlib
import numpy as np
from gen_tickets.config import defaults
def get_config(size="full"):
    config = defaults.get_config()
    {line}
    return config
""")
    return str(path)


@pytest.mark.parametrize(
    "line, said",
    [
        ("config.train.epochs = 1e1", "train.epochs=10.0: allowed .*; give 10$"),
        ("config.model.widths = np.array([3, 4])", "model.widths=.*; give .3, 4.$"),
        ("config.train = {'epochs': 3}", "train: is a group of options"),
        ("config.runs = np.int64(3)", "runs=np.int64.3.: allowed .*; give 3$"),
        ("config.optimizer.b1 = np.float32(0.5)", "optimizer.b1=.*; give 0.5$"),
        ("config.data.dir = pathlib.PurePosixPath('x')", "data.dir=.*; give 'x'$"),
        ("config.eval.metrics = 'fid'", "eval.metrics='fid': .*; give \\('fid',\\)$"),
        ("config.update_from_flattened_dict({'runs': 0})", "runs=0: allowed"),
        ("config.optimiser = 3", "optimiser: there is no such option"),
        ("config.model.nam = 'conv'", "mean 'model.name'"),
        ("raise ValueError('mine')", "ValueError: mine$"),
        ("assert size == 'smoke', 'one\\ntwo'", "AssertionError: one two$"),
        ("assert size == 'smoke'", "AssertionError: assert size == 'smoke'$"),
        ("import not_installed", "ModuleNotFoundError: .*not_installed"),
        ("return {}['key']", "KeyError: 'key'"),
    ],
)
def test_load_file_with_mistake_names_file_and_line(line, said, tmp_path):
    path = write_experiment(tmp_path, line)
    with pytest.raises(UserError, match=said) as caught:
        experiment_file.load(path, "")
    assert str(caught.value).startswith(f"{path}, line 6: ")


@pytest.mark.parametrize(
    "text, said",
    [
        ("def\n", ", line 1: SyntaxError"),
        ("x = 1\ny = 1 / 0\n", ", line 2: ZeroDivisionError"),
        ("x = 1\n", ": has no function get_config"),
        ("def get_config():\n    return 3\n", ": its get_config gives a int"),
    ],
)
def test_load_file_without_experiment_raises_user_error(text, said, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        experiment_file.load(str(path), "")
    assert str(caught.value).startswith(f"{path}{said}")


def test_load_valid_file_returns_locked_config(tmp_path):
    path = write_experiment(tmp_path, "config.runs = 3 if size == 'full' else 2")
    config = experiment_file.load(path, "smoke")
    assert config.runs == 2 and config.is_locked
    assert experiment_file.load(path, "").runs == 3


@pytest.mark.parametrize(
    "words, name, value",
    [
        (["--config.seed=7"], "seed", 7),
        (["--config.seed", "7"], "seed", 7),
        (["-config.seed=7", "--config.seed=8"], "seed", 8),
        (["--config.parallel.process", "-1"], "parallel.process", -1),
        (["--config.data.download"], "data.download", True),
        (["--noconfig.data.resident"], "data.resident", False),
        (["--config.data.download=false"], "data.download", False),
        (["--config.optimizer.learning_rate=1"], "optimizer.learning_rate", 1.0),
        (["--config.model.widths=(8, 4)"], "model.widths", (8, 4)),
        (["--config.model.widths=8,4"], "model.widths", (8, 4)),
        (
            ["--config.model.widths=8", "--config.model.widths=4"],
            "model.widths",
            (8, 4),
        ),
        (["--config.eval.metrics=('fid','kid')"], "eval.metrics", ("fid", "kid")),
        (["--config.eval.metrics=('fid',)"], "eval.metrics", ("fid",)),
        (["--config.data.dir=a=b"], "data.dir", "a=b"),
    ],
)
def test_override_flag_sets_option_and_returns_other_words(words, name, value):
    config = defaults.get_config()
    rest = command_line.override(config, ["main", *words, "--workdir=x"])
    assert rest == ["main", "--workdir=x"]
    expected = list(value) if isinstance(value, tuple) else value
    assert defaults.flatten(config)[name] == expected
