"""Every experiment file in its smoke size, on digits, from options to report."""

import importlib
import math

import jax
import pytest

from gen_tickets import procedures
from gen_tickets.config import defaults
from gen_tickets.paper.results import FINISHED, Experiment
from gen_tickets.report import figures, outcomes
from tests.test_experiments import FILES

# Whose tickets are transferred.
SOURCES = {
    "transfer_digits": ("vae_digits", ()),
    "transfer_vae_to_dcgan": ("vae_cifar10", ("decoder",)),
    "transfer_dcgan_to_vae": ("transfer_vae_to_dcgan", ()),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder for all runs: what is transferred is trained once."""
    return tmp_path_factory.mktemp("smoke")


@pytest.fixture(autouse=True)
def _little_memory():
    """Drops the programs of an experiment, which no other one uses."""
    yield
    jax.clear_caches()


@pytest.fixture(autouse=True)
def _few_files(monkeypatch):
    """Figures as PNG only; other tests draw them as SVG and PDF too."""
    draw = figures.draw_files
    monkeypatch.setattr(figures, "draw_files", lambda figure: draw(figure, ("png",)))


def run(name, folder, pruned=()):
    """Runs an experiment, and first those whose tickets it takes."""
    module = importlib.import_module(f"gen_tickets.experiments.{name}")
    config = module.get_config("smoke")
    defaults.narrow(config)
    config.data.name = "digits"
    config.prune.components = pruned or config.prune.components
    if config.ticket.path:
        source = run(SOURCES[name][0], folder, SOURCES[name][1])
        config.ticket.path = str(source.folder)
    place = folder / "-".join((name, *pruned))
    if not place.exists():
        procedures.run(config, place)
    return Experiment(place, config)


@pytest.mark.parametrize("name", [file.stem for file in FILES])
def test_smoke_run_of_experiment_ends_in_a_verdict_with_its_gates(name, folder):
    experiment = run(name, folder)
    assert experiment.state() == FINISHED
    found = outcomes.load(experiment.folder)
    judged = found.judge()
    if experiment.config.arms == ("winning",):  # as in the paper's table 2
        assert judged.sentence.startswith("No verdict: the random control is not")
    else:
        assert not judged.sentence.startswith("No verdict")
    assert {gate.name for gate in judged.gates} >= {"repeatable", "learned"}
    measured = [row[found.metric] for row in found.rows if found.metric in row]
    assert all(map(math.isfinite, measured)) and len(set(measured)) > 1
    assert "</html>" in (experiment.folder / "report.html").read_text()
