"""The planned measurements, most valuable first, in case time runs out.

A plan depends on the options, the device and the results so far (the layers to time are
known only after analysing the models), so it is recomputed before every measurement.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

#: part -> share of the minutes that it may take before the others have had theirs
PARTS = {
    "rates": 0.05,
    "steps": 0.5,
    "torch": 0.2,
    "lowering": 0.15,
    "experiment": 0.1,
}
PRECISIONS = ("tf32", "bfloat16", "float32")
VARIANTS = ("masked", "dense", "compact")
REDUCTION = 0.88  # of a step's FLOPs, by compaction

#: model of Table 1 -> its peer in `benchmarks.torch_peer`
PEERS = {"dcgan_cifar10": "dcgan", "vae_cifar10": "vae"}
PEERS["resnet_dcgan_cifar10"] = "resnet_dcgan"
#: way of PyTorch -> how it differs from float32 (TF32 on a GPU) with channels last
TORCH_VARIANTS: dict[str, dict[str, bool]] = {
    "channels_last": {},
    "autocast": {"bfloat16": True},
    "compile_autocast": {"compiled": True, "bfloat16": True},
    "compile": {"compiled": True},
    "eager": {"channels_last": False},
}
_EAGER = ("channels_last", "autocast")
_COMPILED = ("compile_autocast", "compile", "eager")


@dataclasses.dataclass(frozen=True)
class Scale:
    """How much is measured."""

    smoke: bool  #: narrow networks and small batches
    models: tuple[str, ...]
    first: tuple[str, ...]  #: models measured first
    peers: tuple[str, ...]  #: models that have a PyTorch peer
    experiment: str
    members: tuple[int, ...]
    first_members: tuple[int, ...]  #: measured first: alone, and a population
    variants: tuple[str, ...]  #: of every model; those of `first` are all measured
    precisions: tuple[str, ...]  #: the first two are measured first
    torch: tuple[str, ...]
    layers: int  #: of a model that are timed
    seconds: float  #: of a repetition
    repetitions: int


FULL = Scale(
    smoke=False,
    models=(
        *PEERS,
        "wgan_cifar10",
        "sngan_cifar10",
        "resnet_vae_cifar10",
        "ae_cifar10",
        "beta_vae_cifar10",
        "ae_mnist",
    ),
    first=tuple(PEERS),
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
    torch=_EAGER,
    layers=1,
    seconds=0.01,
    repetitions=2,
)


class Device(NamedTuple):
    """What a plan must know of a device."""

    platform: str  #: "cpu", "gpu", "tpu"
    alone: str  #: form of a convolution that the code chooses, `kernels.lowering`
    vmapped: str  #: that of one under a vmap over members


class Measurement(NamedTuple):
    """One measurement, done by the function `kind` of a worker."""

    name: str  #: under which its result is kept
    part: str
    kind: str  #: "rate", "step", "shapes", "layer", "torch" or "experiment"
    arguments: dict[str, Any]

    @property
    def worker(self) -> str:
        """The kind of process that does it: one at a time has the device."""
        return self.kind if self.kind in ("torch", "experiment") else "jax"


def candidates(device: Device) -> tuple[str, str]:
    """The two forms of a convolution that compete on a device."""
    product = "product" if device.platform == "cpu" else "batched_product"
    return "library", product


def step_name(model, precision, members, variant, form) -> str:
    return f"step/{model}/{precision}/{members}/{variant}/{form}"


def layer_name(layer: str, precision, members, form) -> str:
    return f"layer/{layer}/{precision}/{members}/{form}"


def form_of(device: Device, members: int) -> str:
    """The form that the code chooses for so many members."""
    return device.alone if members == 1 else device.vmapped


def _rates(scale: Scale) -> Iterator[Measurement]:
    for precision in scale.precisions:
        arguments = {"precision": precision}
        yield Measurement(f"rate/{precision}", "rates", "rate", arguments)


def _steps(device, models, members, precisions, variants) -> Iterator[Measurement]:
    for model, variant, count, precision in itertools.product(
        models, variants, members, precisions
    ):
        yield _step(model, precision, count, variant, form_of(device, count))


def _step(model, precision, members, variant, form, part="steps") -> Measurement:
    arguments = {
        "model": model,
        "precision": precision,
        "members": members,
        "variant": variant,
        "form": form,
    }
    name = step_name(model, precision, members, variant, form)
    return Measurement(name, part, "step", arguments)


def _other_forms(scale: Scale, device: Device) -> Iterator[Measurement]:
    """Whole steps in the form that the code does not choose, a population's first."""
    for members, model, precision in itertools.product(
        reversed(scale.first_members), scale.first, scale.precisions[:2]
    ):
        for form in candidates(device):
            if form != form_of(device, members):
                yield _step(model, precision, members, "masked", form, "lowering")


def _torch(scale, device, variants: Iterable[str]) -> Iterator[Measurement]:
    for variant, model in itertools.product(variants, scale.peers):
        if variant in scale.torch:
            arguments = {
                "model": model,
                "variant": variant,
                "platform": device.platform,
            }
            yield Measurement(f"torch/{model}/{variant}", "torch", "torch", arguments)


def _layers(scale, device, models, members, results) -> Iterator[Measurement]:
    for model in models:
        name = f"shapes/{model}"
        yield Measurement(name, "lowering", "shapes", {"model": model})
        layers = results.get(name, {}).get("layers", [])[: scale.layers]
        for layer, count, precision, form in itertools.product(
            layers, members, scale.precisions[:2], candidates(device)
        ):
            arguments = {
                "layer": layer,
                "members": count,
                "precision": precision,
                "form": form,
            }
            name = layer_name(layer, precision, count, form)
            yield Measurement(name, "lowering", "layer", arguments)


def make(
    scale: Scale,
    device: Device,
    parts: Iterable[str],
    experiment: Mapping[str, Any],
    results: Mapping[str, Any],
) -> list[Measurement]:
    """All measurements, the most valuable first.

    Args:
      scale: FULL or SMOKE.
      device: what they run on.
      parts: those of PARTS that are wanted.
      experiment: arguments of the measurement "experiment".
      results: {name of a measurement: result} so far.
    """
    alone, population = scale.first_members[:1], scale.first_members
    fast, first, models = scale.precisions[:2], scale.first, scale.models
    masked, name = ("masked",), f"experiment/{experiment['experiment']}"
    blocks = (
        _rates(scale),
        _steps(device, first[:2], population, fast, masked),
        _torch(scale, device, _EAGER),
        _steps(device, first[2:], population, fast, masked),
        [Measurement(name, "experiment", "experiment", dict(experiment))],
        _other_forms(scale, device),
        _steps(device, first, alone, ("tf32",), VARIANTS),
        _torch(scale, device, _COMPILED),
        _layers(scale, device, scale.peers, population[-1:], results),
        _steps(device, models, population, fast, masked),
        _layers(scale, device, models, population, results),
        _steps(device, models, scale.members, scale.precisions, scale.variants),
    )
    planned = {m.name: m for m in itertools.chain(*blocks) if m.part in parts}
    return list(planned.values())
