"""The numbers that the paper prints: Tables 1 and 2, and its early-bird ticket."""

from typing import Any, Mapping, NamedTuple


class Model(NamedTuple):
    """A row of Table 1; its experiment files are experiments/FILE_DATA.py."""

    name: str
    file: str
    weights: float
    sparsity: Mapping[str, float]  #: {data set: winning sparsity in [0, 1]}
    options: tuple[str, str, str, float]  #: the values of `_IDENTITY`

    def files(self) -> dict[str, float]:
        """{experiment file: winning sparsity in [0, 1]}."""
        return {f"{self.file}_{data}": share for data, share in self.sparsity.items()}


class Row(NamedTuple):
    """A row of Table 2."""

    fid: float
    flops: float
    seconds: float


_IDENTITY = ("model.name", "task.name", "task.loss", "task.beta")
_DATA = {"mnist": "MNIST", "cifar10": "CIFAR-10", "celeba": "CelebA"}
_STACK, _RES = "convstack", "resnet"


def _both(cifar10: float, celeba: float) -> dict[str, float]:
    return {"cifar10": cifar10, "celeba": celeba}


MODELS = (
    Model("linear AE", "ae", 200e3, {"mnist": 0.892}, ("linear", "ae", "bce", 1)),
    Model("conv AE", "ae", 3e6, _both(0.956, 0.985), ("conv", "ae", "bce", 1)),
    Model("VAE", "vae", 5.6e6, _both(0.79, 0.79), (_STACK, "vae", "bce", 1)),
    Model("β-VAE", "beta_vae", 5.6e6, _both(0.865, 0.865), (_STACK, "vae", "bce", 4)),
    Model(
        "ResNet-VAE", "resnet_vae", 2.8e6, _both(0.931, 0.931), (_RES, "vae", "bce", 1)
    ),
    Model("DCGAN", "dcgan", 6.5e6, _both(0.832, 0.832), (_STACK, "gan", "bce", 1)),
    Model("SNGAN", "sngan", 6.7e6, _both(0.892, 0.892), ("sngan", "gan", "hinge", 1)),
    Model(
        "ResNet-DCGAN",
        "resnet_dcgan",
        2.2e6,
        _both(0.79, 0.79),
        (_RES, "gan", "bce", 1),
    ),
    Model("WGAN", "wgan", 6.5e6, _both(0.737, 0.59), (_STACK, "gan", "wasserstein", 1)),
)

# Of a DCGAN on CIFAR-10.
TABLE2 = {
    "unpruned": Row(37.71, 1.12e16, 4590.5),
    "IMP, winning": Row(37.77, 1.16e16, 4477.7),
    "early-bird": Row(33.49, 0.13e16, 2417.07),
    "early-bird, bfloat16": Row(34.28, 0.13e16, 2131.09),
    "SNIP": Row(56.02, 1.12e16, 4689.5),
    "GraSP": Row(65.53, 1.12e16, 4603.3),
}

# Shares of the unpruned DCGAN's that its early-bird ticket saves: 1,148,190 of
# 5,651,584 weights are left (Table 2); 88 % is the text's.
EARLY_BIRD = {"flops": 0.88, "weights": 0.797, "seconds": 0.473}


def find(file: str) -> tuple[Model, float]:
    """The row of Table 1 of an experiment file, and its winning sparsity in [0, 1]."""
    model = next(model for model in MODELS if file in model.files())
    return model, model.files()[file]


def title(file: str) -> str:
    """ "vae_cifar10" is "VAE on CIFAR-10"."""
    return f"{find(file)[0].name} on {_DATA[file.rpartition('_')[2]]}"


def winning_sparsity(options: Mapping[str, Any]) -> float:
    """The winning sparsity that Table 1 has for a model and its data, in [0, 1].

    Args:
      options: of an experiment, flat, as {"model.name": "conv", ...}.

    Returns:
      0 where the paper has no such model, or not on such data; and for early-bird
      tickets, which Table 1 does not have.
    """
    if options.get("prune.schedule") == "early_bird":
        return 0.0
    data = str(options.get("data.name")).replace("celeb_a", "celeba")
    identity = tuple(options.get(name) for name in _IDENTITY)
    model = next((m for m in MODELS if m.options == identity), None)
    return model.sparsity.get(data, 0.0) if model else 0.0
