"""Every experiment file in its smoke size, on digits, from options to report."""

import importlib
import math

import pytest

from gen_tickets import procedures
from gen_tickets.config import defaults
from gen_tickets.paper.results import FINISHED, Experiment
from gen_tickets.report import outcomes
from tests.test_experiments import FILES

# One of each model, task and procedure; the others take minutes together.
QUICK = "conv_ae_mnist resnet_vae_mnist sngan_mnist rigl_dcgan_mnist early_bird_digits"
QUICK += " transfer_digits"
# Whose tickets are transferred.
SOURCES = {
    "transfer_digits": ("vae_digits", ()),
    "transfer_vae_to_dcgan": ("vae_cifar10", ("decoder",)),
    "transfer_dcgan_to_vae": ("transfer_vae_to_dcgan", ()),
}


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
    procedures.run(config, folder / name)
    return Experiment(folder / name, config)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(x.stem, marks=() if x.stem in QUICK.split() else pytest.mark.slow)
        for x in FILES
    ],
)
def test_smoke_run_of_experiment_ends_in_a_verdict_with_its_gates(name, tmp_path):
    experiment = run(name, tmp_path)
    assert experiment.state() == FINISHED
    found = outcomes.load(experiment.folder)
    assert not found.judge().sentence.startswith("No verdict")
    assert {gate.name for gate in found.judge().gates} >= {"repeatable", "learned"}
    measured = [row[found.metric] for row in found.rows]
    assert all(map(math.isfinite, measured)) and len(set(measured)) > 1
    assert "</html>" in (experiment.folder / "report.html").read_text()
