"""Every experiment file loads, in all its sizes, and its networks fit its images."""

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


# The experiments that have the sizes gpu and laptop; all have full and smoke.
GPU = (
    "ae_mnist ae_cifar10 vae_cifar10 beta_vae_cifar10 resnet_vae_cifar10 dcgan_cifar10"
)
GPU += " sngan_cifar10 resnet_dcgan_cifar10 wgan_cifar10 one_shot_dcgan_cifar10"
GPU += " rewind_dcgan_cifar10 early_bird_dcgan_cifar10 early_bird_vae_cifar10"
GPU += " transfer_vae_to_dcgan transfer_dcgan_to_vae table2_imp table2_early_bird"
GPU += " table2_snip table2_grasp grasp_dcgan_cifar10 snip_dcgan_cifar10"
GPU += " ddpm_cifar10 early_bird_ddpm_cifar10"
SIZES = {"gpu": set(GPU.split())}
# Made for a laptop, and shown as such by `gen_tickets.paper beyond`.
LAPTOP = {"ddpm_mnist", "rigl_ddpm_mnist", "rigl_dcgan_mnist", "dcgan_mnist"}
SIZES["laptop"] = SIZES["gpu"] | LAPTOP


@pytest.mark.parametrize("size", ["full", "smoke", "gpu", "laptop"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_get_config_of_each_size_is_valid_and_its_task_builds(path, size):
    module = load(path)
    if path.stem not in SIZES.get(size, {path.stem}):
        with pytest.raises(defaults.UnknownSize, match=f":{size}"):
            module.get_config(size)
        return
    config = module.get_config(size)
    if size == "smoke":
        defaults.narrow(config)
    defaults.validate(config)
    task = tasks.build(config, image_shape(config), 30)
    state = jax.eval_shape(task.init, jax.random.key(0))
    assert masks_lib.prunable_names(
        state.params, config.prune.components, config.prune.exclude
    )
    if size == "smoke":
        assert config.train.steps <= 16 and config.prune.rounds <= 2
        assert 0 < config.data.image_size <= 32
        per_step = config.data.batch_size * config.task.discriminator_steps
        assert per_step <= config.data.limit <= 80
        assert max(config.model.widths) <= 8


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_experiment_file_has_its_command_and_refuses_unknown_sizes(path):
    module = load(path)
    assert "python -m gen_tickets" in module.__doc__
    assert path.stem == "quickstart" or path.name in module.__doc__
    assert len(path.read_text().splitlines()) <= 40
    assert module.get_config() == module.get_config("full")
    with pytest.raises(UserError, match="it has full, smoke"):
        module.get_config("tiny")


def test_experiments_folder_has_the_quickstart():
    assert "quickstart" in {path.stem for path in FILES}
