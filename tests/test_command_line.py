"""What a user meets first: names, mistakes in one line, exit statuses."""

import os
import pathlib
import subprocess
import sys

import jax
import pytest

from gen_tickets.cli import command_line
from gen_tickets.config import defaults
from gen_tickets.errors import Interrupted, UserError

ROOT = pathlib.Path(__file__).parents[1]
QUICKSTART = str(ROOT / "experiments" / "quickstart.py")


def test_an_experiment_is_found_as_given_and_among_ours(tmp_path):
    mine = tmp_path / "mine.py"
    mine.write_text("")
    assert command_line.find_experiment(str(mine)) == str(mine)
    assert command_line.find_experiment("quickstart.py") == QUICKSTART
    assert command_line.find_experiment("elsewhere/experiments/quickstart.py")
    for name in ("nothing.py", "", ".", str(tmp_path)):
        with pytest.raises(UserError, match=r"--config=.*quickstart"):
            command_line.find_experiment(name)


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
def test_the_experiment_comes_first(words, config, rest, experiment):
    argv, found = command_line.resolve(["main", *words])
    assert argv[:2] == ["main", f"--config={config}"]
    assert len(argv) - 2 == (rest or 0)
    assert found == (experiment or "quickstart-smoke")


def test_exit_statuses(capsys):
    # `run` itself parses no flags here: what main raises is what is tested.
    def raises(error):
        def main(argv, experiment):
            raise error

        return main

    for error, status in ((UserError("seed=-1: no"), 2), (Interrupted(2), 130)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                command_line.app, "run", lambda main, argv, flags_parser: main(argv)
            )
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
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(without_jax, words, said):
    process = command(without_jax, *words)
    assert process.returncode == 2, process.stderr
    lines = process.stderr.splitlines()
    assert len(lines) == 1, process.stderr
    assert lines[0].startswith("gen_tickets: ")
    for part in said:
        assert part in lines[0]
    assert process.stdout == ""


def test_help_lists_every_option_without_jax(without_jax):
    process = command(without_jax, "--help")
    assert process.returncode == 0 and process.stderr == ""
    for name, option in defaults.OPTIONS.items():
        assert f"--config.{name}={option.default!r}" in process.stdout
        assert option.meaning in process.stdout


def test_compiled_programs_are_kept_on_disk(tmp_path, monkeypatch):
    changed = {}
    monkeypatch.setattr(jax.config, "update", changed.__setitem__)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.delenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
    command_line.use_compilation_cache()
    folder = str(tmp_path / "gen_tickets" / "xla")
    assert changed.pop("jax_compilation_cache_dir") == folder
    assert changed.pop("jax_persistent_cache_min_compile_time_secs") == 0.5
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/elsewhere")
    monkeypatch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "3")
    command_line.use_compilation_cache()
    assert not changed
