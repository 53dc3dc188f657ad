"""The release: one version, complete packages, experiments found by name."""

import configparser
import os
import pathlib
import re
import subprocess
import sys

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import gen_tickets
from gen_tickets import experiments
from gen_tickets.cli import command_line, experiment_file

ROOT = pathlib.Path(__file__).parent.parent
CONFIG = configparser.ConfigParser()
CONFIG.read(ROOT / "setup.cfg")


def requirements(text):
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [Requirement(line) for line in lines]


def test_changelog_newest_version_equals_package_version():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(r"^## \[(\d.*?)\]", text, re.M)[1] == gen_tickets.__version__
    assert CONFIG["metadata"]["version"] == "attr: gen_tickets.__version__"


PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))


def chosen(found, python, system, machine):
    """{package: its one requirement there}"""
    environment = {
        "python_version": python,
        "sys_platform": system,
        "platform_machine": machine,
    }
    there = [x for x in found if not x.marker or x.marker.evaluate(environment)]
    names = [canonicalize_name(x.name) for x in there]
    assert len(set(names)) == len(names)
    return dict(zip(names, there))


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", MACHINES, ids="-".join)
def test_pinned_versions_satisfy_allowed_ranges(python, machine):
    extras = CONFIG["options.extras_require"]["tensorflow"]
    allowed = requirements(CONFIG["options"]["install_requires"] + extras)
    allowed = chosen(allowed, python, *machine)
    pinned = requirements((ROOT / "requirements.txt").read_text())
    pinned = chosen(pinned, python, *machine)
    assert pinned.keys() == allowed.keys()
    for name, requirement in pinned.items():
        for pin in requirement.specifier:
            assert pin.version in allowed[name].specifier, requirement


def test_python_classifiers_equal_pinned_python_versions():
    named = re.findall(r"Python :: (3\.\d+)", CONFIG["metadata"]["classifiers"])
    assert tuple(named) == PYTHONS
    assert CONFIG["options"]["python_requires"] == f">={PYTHONS[0]}"


def test_mypy_files_exist():
    for name in CONFIG["mypy"]["files"].split():
        assert (ROOT / name.rstrip(",")).exists()
    assert (ROOT / "gen_tickets" / "py.typed").is_file()


def test_experiments_import_as_modules_and_are_found_by_name():
    from gen_tickets.experiments import dcgan_celeba, quickstart

    assert quickstart.get_config("smoke").runs == 3
    base = dcgan_celeba.dcgan_cifar10
    assert base.__name__ == "gen_tickets.experiments.dcgan_cifar10"
    files = sorted(path.stem for path in (ROOT / "experiments").glob("*.py"))
    assert experiments.names() == files
    for name in ("dcgan_digits", "dcgan_digits.py", "experiments/dcgan_digits.py"):
        path = experiment_file.find(name)
        assert pathlib.Path(path).resolve() == ROOT / "experiments" / "dcgan_digits.py"
    found, _ = command_line.split(["main", "--config=dcgan_digits:smoke"])
    assert found.path.endswith("experiments/dcgan_digits.py")
    assert found.size == "smoke" and found.workdir.name == "dcgan_digits-smoke"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What a wheel would install, and nothing else."""
    lib = tmp_path_factory.mktemp("installed")
    build = ["build", "--build-base", str(lib / "build"), "--build-lib", str(lib)]
    words = [sys.executable, "setup.py", "-q"]
    subprocess.run([*words, *build], cwd=ROOT, check=True, capture_output=True)
    return lib


def run(installed, folder, *words):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_installed_package_has_all_files_of_the_checkout(installed):
    def files(folder, pattern):
        return {path.relative_to(folder) for path in folder.rglob(pattern)}

    ours = files(ROOT / "gen_tickets", "*.py") | files(ROOT, "experiments/*.py")
    assert files(installed / "gen_tickets", "*.py") == ours
    others = files(ROOT / "gen_tickets", "*.*") - files(ROOT / "gen_tickets", "*.py*")
    assert others, "py.typed and the report's templates"
    assert others <= files(installed / "gen_tickets", "*.*"), "name it in package_data"


def test_installed_package_finds_experiments_from_any_folder(installed, tmp_path):
    program = (
        "from gen_tickets import experiments\n"
        "from gen_tickets.cli import experiment_file\n"
        "from gen_tickets.experiments import early_bird_digits as module\n"
        "print(module.__file__, module.dcgan_digits.__file__)\n"
        "print(experiment_file.find('quickstart'))\n"
    )
    done = run(installed, tmp_path, "-c", program)
    folder = installed / "gen_tickets" / "experiments"
    names = ("early_bird_digits", "dcgan_digits", "quickstart")
    assert done.stdout.split() == [str(folder / f"{name}.py") for name in names]
    for name in ("", ".", "nothing"):
        words = ["-m", "gen_tickets.main", f"--config={name}"]
        done = run(installed, tmp_path, *words)
        assert done.returncode == 2 and "quickstart, " in done.stderr
