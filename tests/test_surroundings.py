"""The machine around a run: caches, devices, 64 bits, clones, commands."""

import pathlib
import re
import subprocess
import sys
import types
import zipfile

import jax
import pytest
from test_defaults import configure

import gen_tickets
from gen_tickets import main, procedures
from gen_tickets.cli import command_line, commands, experiment_file
from gen_tickets.config import defaults
from gen_tickets.distributed import devices
from gen_tickets.errors import UserError
from gen_tickets.evaluation.features import weights
from gen_tickets.workdir import lock, user_cache

ROOT = pathlib.Path(__file__).parents[1]


# --- caches ----------------------------------------------------------------------


def no_home():
    raise RuntimeError("Could not determine home directory.")


@pytest.mark.parametrize(
    "variables, folder",
    [
        ({"GEN_TICKETS_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/gen_tickets"),
        ({"XDG_CACHE_HOME": ""}, "/home/u/.cache/gen_tickets"),
        ({"XDG_CACHE_HOME": "relative"}, "/home/u/.cache/gen_tickets"),
        ({"GEN_TICKETS_CACHE": ""}, "/home/u/.cache/gen_tickets"),
        ({"GEN_TICKETS_CACHE": "~no_such_user/c"}, "~no_such_user/c"),
    ],
)
def test_user_cache_folder_of_empty_variables_is_that_of_unset_ones(
    variables, folder, monkeypatch
):
    for name in ("GEN_TICKETS_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(pathlib.Path, "home", lambda: pathlib.Path("/home/u"))
    assert str(user_cache.folder()) == folder


def test_caches_without_a_home_or_a_writable_folder_are_not_fatal(
    monkeypatch, tmp_path
):
    for name in ("GEN_TICKETS_CACHE", "XDG_CACHE_HOME", "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    changed = []
    monkeypatch.setattr(jax.config, "update", lambda *words: changed.append(words))
    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "home", no_home)
        assert user_cache.folder() is None
        assert weights.cache_folder().is_absolute()
        command_line.use_compilation_cache()
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    command_line.use_compilation_cache()
    assert not changed


def test_workdir_in_the_home_folder_is_not_a_folder_called_tilde(monkeypatch):
    seen = []
    monkeypatch.setenv("HOME", "/home/u")
    monkeypatch.setattr(main, "_WORKDIR", types.SimpleNamespace(value="~/runs/mine"))
    monkeypatch.setattr(command_line, "use_compilation_cache", lambda: None)
    monkeypatch.setattr(procedures, "run", lambda config, workdir: seen.append(workdir))
    main.main(configure(), command_line.Experiment("mine.py", ""))
    assert seen == ["/home/u/runs/mine"]


# --- devices and 64 bits ---------------------------------------------------------


@pytest.mark.parametrize("error", [RuntimeError("Unable\nto"), AssertionError()])
def test_find_devices_of_a_platform_that_is_not_there_is_one_line(error, monkeypatch):
    def fail():
        raise error

    monkeypatch.setattr(jax, "devices", fail)
    with pytest.raises(UserError, match="JAX_PLATFORMS=.*finds no device"):
        devices.find()


@pytest.mark.parametrize("asked, is_said", [("", True), ("cpu", False)])
def test_find_devices_says_that_a_gpu_is_left_unused(
    asked, is_said, monkeypatch, capsys
):
    found = jax.devices()  # which looks for device files itself
    devices._tell_unused.cache_clear()
    monkeypatch.setattr(devices.glob, "glob", lambda pattern: ["/dev/nvidia0"])
    monkeypatch.setattr(devices, "_asked", lambda: asked)
    monkeypatch.setattr(jax, "devices", lambda: found)
    assert devices.find() == found
    err = capsys.readouterr().err
    assert ("an NVIDIA GPU is here (/dev/nvidia0)" in err) == is_said
    devices.find()
    assert capsys.readouterr().err == ""


# --- a clone in the current folder -----------------------------------------------


def test_editable_install_puts_the_clone_itself_on_the_path(tmp_path):
    """A finder would be asked after the current folder's namespace packages."""
    words = ["setup.py", "-q", "egg_info", "--egg-base", str(tmp_path)]
    words += ["editable_wheel", "-d", str(tmp_path)]
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [x for x in archive.namelist() if x.endswith(".pth")]
        assert archive.read(name).decode().split() == [str(ROOT)]


# --- one command -----------------------------------------------------------------


def command(monkeypatch, capsys, *words):
    """(exit status, stdout, stderr) of gen_tickets."""
    monkeypatch.setattr(sys, "argv", ["gen_tickets", *words])
    try:
        status = commands.main()
    except SystemExit as end:
        status = end.code
    return status, *capsys.readouterr()


def test_command_without_words_or_with_help_lists_all_commands(monkeypatch, capsys):
    for words in ((), ("--help",), ("help",)):
        status, out, err = command(monkeypatch, capsys, *words)
        assert (status, err) == (0, "")
        for name in commands._COMMANDS:
            assert f"\n  {name} " in out
    status, out, _ = command(monkeypatch, capsys, "--version")
    assert (status, out) == (0, f"gen_tickets {gen_tickets.__version__}\n")


@pytest.mark.parametrize("name", ["report", "compare", "export", "score", "sweep"])
def test_help_of_a_command_has_its_own_name(name, monkeypatch, capsys):
    status, out, err = command(monkeypatch, capsys, name, "--help")
    assert (status, err) == (0, "") and out.startswith(f"usage: gen_tickets {name} ")


@pytest.mark.parametrize(
    "words, said",
    [
        (["rnu"], "rnu: there is no such command; did you mean 'run'?"),
        (["run", "quickstrt"], "--config=quickstrt: .* did you mean 'quickstart'?"),
        (["export", "a", "b.npz", "--what=sampls"], "mean 'samples'"),
        (["score", "--images=x", "--reference=y", "--nun=3"], "mean '--num'"),
        (["sweep", "--over"], "--over"),
        (["sweep", "quickstrt", "--over", "seed", "1"], "mean 'quickstart'"),
        (["sweep", "--over", "seed", "1", "--conifg=x"], "mean '--config'"),
        (["sweep", "--over", "runs", "3", "0"], "runs=0: allowed"),
        (["run", "prune.rounds=3"], "mean '--config.prune.rounds'"),
        (["run", "quickstart:smok"], "quickstart.py:smok: .* mean 'smoke'"),
        (["paper", "fig9", "--scale=smoke"], "fig9: allowed is one of fig1"),
        (["report", "x", "--outptu=y"], "mean '--output'"),
    ],
)
def test_command_with_a_mistake_is_one_line(words, said, monkeypatch, capsys):
    status, out, err = command(monkeypatch, capsys, *words)
    assert (status, out) == (2, "") and err.count("\n") == 1
    assert re.search(said.replace("?", r"\?"), err), err


def test_words_of_run_and_stability_are_those_of_main():
    assert commands._of_experiment("run", ["quickstart:smoke", "--workdir=x"]) == [
        "--config=quickstart:smoke",
        "--workdir=x",
    ]
    entry = "runs/quickstart-sweep/seed=10,prune.fraction=0.2/config.json"
    assert commands._of_experiment("run", [entry]) == [f"--config={entry}"]
    for option in ("seed=10", "--seed=10"):
        assert commands._of_experiment("run", [option]) == [option]
    assert commands._of_experiment("stability", ["quickstart"]) == [
        "--config=quickstart",
        "--config.procedure=stability",
        "--workdir=runs/quickstart-instability",
    ]


def test_stability_of_config_json_in_this_folder_is_beside_it(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").touch()
    monkeypatch.chdir(tmp_path / "mine")
    *_, workdir = commands._of_experiment("stability", ["config.json"])
    assert workdir == f"--workdir={tmp_path / 'mine-instability'}"


def test_config_json_of_a_workdir_gives_its_options_and_is_not_executed(tmp_path):
    config = experiment_file.load(experiment_file.find("quickstart"), "smoke")
    config.seed = 7
    lock.claim(tmp_path, config, {}).release()
    path = str(tmp_path / "config.json")
    experiment, _ = command_line.split([f"--config={path}"])
    assert experiment.workdir == tmp_path
    stored = experiment_file.load(experiment.path, experiment.size)
    assert stored == config and stored.is_locked
    with pytest.raises(UserError, match="a config.json has no sizes"):
        experiment_file.load(path, "smoke")
    (tmp_path / "config.json").write_text("raise SystemExit('executed')")
    with pytest.raises(UserError, match="config.json: is not an intact configuration"):
        experiment_file.load(path, "")


def test_help_of_run_is_in_groups_with_short_ranges():
    text = command_line.help_page.of_run(defaults.get_config(), "mine")
    assert "\n\nImages\n  --config.data.name='digits'\n" in text
    assert "2147483647" not in text and max(map(len, text.splitlines())) < 200
