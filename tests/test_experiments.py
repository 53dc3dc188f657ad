"""Every experiment file loads, in both sizes, and its networks fit its images."""

import importlib.util
import pathlib

import jax
import pytest

from gen_tickets import tasks
from gen_tickets.config import defaults
from gen_tickets.errors import UserError
from gen_tickets.pruning import masks as masks_lib

FILES = sorted((pathlib.Path(__file__).parent.parent / "experiments").glob("[a-z]*.py"))
IMAGES = {"digits": (28, 1), "mnist": (28, 1), "cifar10": (32, 3), "celeb_a": (64, 3)}


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def image_shape(config):
    side, channels = IMAGES[config.data.name]
    return (config.data.image_size or side,) * 2 + (channels,)


@pytest.mark.parametrize("size", ["full", "smoke"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_experiment_is_valid_and_its_task_builds(path, size):
    config = load(path).get_config(size)
    defaults.validate(config)
    task = tasks.build(config, image_shape(config), 30)
    state = jax.eval_shape(task.init, jax.random.key(0))
    assert masks_lib.prunable_names(
        state.params, config.prune.components, config.prune.exclude
    )
    if size == "smoke":
        assert config.train.steps <= 50 and config.prune.rounds <= 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_experiment_says_how_to_run_it_and_refuses_other_sizes(path):
    module = load(path)
    assert "python -m gen_tickets" in module.__doc__
    assert path.stem == "quickstart" or path.name in module.__doc__
    assert len(path.read_text().splitlines()) <= 40
    assert module.get_config() == module.get_config("full")
    with pytest.raises(UserError, match="full or smoke"):
        module.get_config("tiny")


def test_there_are_experiments():
    assert "quickstart" in {path.stem for path in FILES}
