"""Published numbers of the paper: Tables 1 and 2, and its early-bird ticket.

And of later papers on diffusion models and sparse training.
"""

import functools
import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from gen_tickets.config import defaults


class Model(NamedTuple):
    """A row of Table 1."""

    kind: str  #: "ae", "vae" or "gan"
    name: str
    weights: float
    sparsity: Mapping[str, float]  #: {experiment file: winning sparsity in [0, 1]}


def _both(
    kind: str, name: str, weights: float, file: str, cifar10: float, celeba: float
) -> Model:
    files = {f"{file}_cifar10": cifar10, f"{file}_celeba": celeba}
    return Model(kind, name, weights, files)


MODELS = (
    Model("ae", "linear AE", 200e3, {"ae_mnist": 0.892}),
    _both("ae", "conv AE", 3e6, "ae", 0.956, 0.985),
    _both("vae", "VAE", 5.6e6, "vae", 0.79, 0.79),
    _both("vae", "β-VAE", 5.6e6, "beta_vae", 0.865, 0.865),
    _both("vae", "ResNet-VAE", 2.8e6, "resnet_vae", 0.931, 0.931),
    _both("gan", "DCGAN", 6.5e6, "dcgan", 0.832, 0.832),
    _both("gan", "SNGAN", 6.7e6, "sngan", 0.892, 0.892),
    _both("gan", "ResNet-DCGAN", 2.2e6, "resnet_dcgan", 0.79, 0.79),
    _both("gan", "WGAN", 6.5e6, "wgan", 0.737, 0.59),
)

# DCGAN on CIFAR-10: FID, FLOPs and seconds of a training.
TABLE2 = {
    "unpruned": (37.71, 1.12e16, 4590.5),
    "IMP, winning": (37.77, 1.16e16, 4477.7),
    "early-bird": (33.49, 0.13e16, 2417.07),
    "early-bird, bfloat16": (34.28, 0.13e16, 2131.09),
    "SNIP": (56.02, 1.12e16, 4689.5),
    "GraSP": (65.53, 1.12e16, 4603.3),
}

# Savings of Table 2's early-bird ticket, as fractions of the unpruned network.
EARLY_BIRD = {"flops": 0.88, "weights": 0.797, "seconds": 0.473}

# Sparsities in later papers: winning tickets of DDPMs on CIFAR-10, CIFAR-100 and
# MNIST, 0.9 to 0.99 (Jiang et al. 2023, arXiv 2310.18823); diffusion models trained
# sparse from the first step, 0.25 to 0.5 (Oliveira et al. 2025, arXiv 2504.21380); the
# generator of a BigGAN trained so, with a discriminator at 0.7 (STU-GAN, 2022).
DDPM_TICKETS, SPARSE_DDPM, SPARSE_GENERATOR = 0.9, 0.5, 0.8

_DATA = {"mnist": "MNIST", "cifar10": "CIFAR-10", "celeba": "CelebA"}
_IDENTITY = (
    *("data.name", "model.name", "model.widths"),
    *("task.name", "task.loss", "task.beta"),
)


def find(file: str) -> Model:
    """The row of Table 1 that an experiment file belongs to."""
    return next(model for model in MODELS if file in model.sparsity)


def title(file: str) -> str:
    """ "vae_cifar10" is "VAE on CIFAR-10"."""
    return f"{find(file).name} on {_DATA[file.rpartition('_')[2]]}"


def winning_sparsity(options: Mapping[str, Any]) -> float:
    """The winning sparsity of Table 1 for a model and data set, in [0, 1].

    Args:
      options: of an experiment, flat, such as {"model.name": "conv", ...}.

    Returns:
      The sparsity; 0 if Table 1 has none, as for networks of other widths, and for all
      methods other than iterative pruning of the whole model.
    """
    is_iterative = options.get("prune.schedule", "iterative") == "iterative"
    is_search = options.get("procedure", "tickets") == "tickets"
    if not (is_iterative and is_search) or options.get("prune.components"):
        return 0.0
    return _sparsities().get(_identity(options), 0.0)


def _identity(options: Mapping[str, Any]) -> tuple[str, ...]:
    found = (options.get(name) for name in _IDENTITY)
    # A list in JSON is a tuple among the options of a workdir.
    return tuple(str(list(x) if isinstance(x, tuple) else x) for x in found)


@functools.cache
def _sparsities() -> dict[tuple[str, ...], float]:
    """{texts of _IDENTITY's options: winning sparsity}, by the experiment files."""
    found = {}
    for file, share in [x for model in MODELS for x in model.sparsity.items()]:
        module = importlib.import_module(f"gen_tickets.experiments.{file}")
        options = defaults.flatten(module.get_config())
        found[_identity(options)] = share
    return found
