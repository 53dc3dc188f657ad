"""The models, and how much of them is measured."""

import dataclasses
from collections.abc import Sequence

PRECISIONS = ("tf32", "bfloat16", "float32")
VARIANTS = ("masked", "dense", "compact")
REDUCTION = 0.88  # of a step's FLOPs, by compaction

#: model -> its peer in `benchmarks.torch_peer`
PEERS = {"dcgan_cifar10": "dcgan", "vae_cifar10": "vae"}
PEERS |= {"resnet_dcgan_cifar10": "resnet_dcgan", "ddpm_cifar10": "ddpm"}
#: model beyond Table 1, with minutes of compilation: it comes last -> its populations
LARGE = {"ddpm_cifar10": (1, 3)}
#: way of PyTorch -> how it differs from float32 (TF32 on a GPU) with channels last
TORCH_VARIANTS: dict[str, dict[str, bool]] = {
    "channels_last": {},
    "autocast": {"bfloat16": True},
    "compile_autocast": {"compiled": True, "bfloat16": True},
    "compile": {"compiled": True},
    "eager": {"channels_last": False},
}
EAGER = ("channels_last", "autocast")  # measured first
COMPILED = ("compile_autocast", "compile", "eager")


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is measured."""

    smoke: bool  #: narrow networks and small batches
    models: tuple[str, ...]
    first: tuple[str, ...]  #: models measured first
    peers: tuple[str, ...]  #: models that have a PyTorch peer, of those in PEERS
    experiment: str
    members: tuple[int, ...]
    first_members: tuple[int, ...]  #: measured first: alone, and a population
    variants: tuple[str, ...]  #: of every model; those of `first` are all measured
    precisions: tuple[str, ...]  #: the first two are measured first
    torch: tuple[str, ...]
    layers: int  #: of a model that are timed
    seconds: float  #: of a repetition
    repetitions: int

    def populations(self, model: str) -> tuple[int, ...]:
        """The numbers of members that are measured first: alone, and a population."""
        return LARGE.get(model, self.first_members)


FULL = Scale(
    smoke=False,
    models=(
        "dcgan_cifar10",
        "vae_cifar10",
        "resnet_dcgan_cifar10",
        "wgan_cifar10",
        "sngan_cifar10",
        "resnet_vae_cifar10",
        "ae_cifar10",
        "beta_vae_cifar10",
        "ae_mnist",
        *LARGE,
    ),
    first=("dcgan_cifar10", "vae_cifar10", "resnet_dcgan_cifar10"),
    peers=tuple(PEERS),
    experiment="dcgan_cifar10",
    members=(1, 10, 5, 20),
    first_members=(1, 10),
    variants=VARIANTS,
    precisions=PRECISIONS,
    torch=tuple(TORCH_VARIANTS),
    layers=100,
    seconds=0.3,
    repetitions=5,
)
SMOKE = Scale(
    smoke=True,
    models=("ae_mnist",),
    first=("ae_mnist",),
    peers=("vae_cifar10",),
    experiment="ae_mnist",
    members=(1, 2),
    first_members=(1, 2),
    variants=("masked",),
    # On a CPU TF32 is the same, and a bfloat16 product not known to every XLA:CPU.
    precisions=("float32",),
    torch=EAGER,
    layers=1,
    seconds=0.01,
    repetitions=2,
)


def restrict(scale: Scale, models: Sequence[str]) -> Scale:
    """A scale at which only these models of FULL are measured."""
    return dataclasses.replace(
        scale,
        models=tuple(models),
        first=tuple(model for model in models if model not in LARGE),
        peers=tuple(model for model in models if model in PEERS),
        experiment=models[0],
    )
