"""The planned measurements, most valuable first, in case time runs out.

A plan depends on the options, the device and the results so far (the layers to time are
known only after analysing the models), so it is recomputed before every measurement.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from benchmarks.accelerator.scales import COMPILED, EAGER, LARGE, VARIANTS, Scale

#: part -> share of the minutes that it may take before the others have had theirs
PARTS = {
    "rates": 0.05,
    "steps": 0.5,
    "torch": 0.2,
    "lowering": 0.15,
    "experiment": 0.1,
}


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


def _other_forms(scale, device, models, members) -> Iterator[Measurement]:
    """Whole steps in the form that the code does not choose."""
    for count, model, precision in itertools.product(
        members, models, scale.precisions[:2]
    ):
        for form in candidates(device):
            if form != form_of(device, count):
                yield _step(model, precision, count, "masked", form, "lowering")


def _torch(scale, device, models, variants: Iterable[str]) -> Iterator[Measurement]:
    for variant, model in itertools.product(variants, models):
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


def _large(scale: Scale, device: Device, model: str) -> Iterator[Measurement]:
    """All of a large model but its layers and its compacted step."""
    fast, alone, population = scale.precisions[:2], LARGE[model][:1], LARGE[model][1:]
    yield from _steps(device, [model], alone, fast, ("masked",))
    yield from _torch(scale, device, [model], EAGER)
    yield from _other_forms(scale, device, [model], alone)
    yield from _steps(device, [model], population, fast, ("masked",))
    yield from _torch(scale, device, [model], COMPILED)
    yield from _steps(device, [model], alone, fast[:1], ("dense",))


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
    fast, first = scale.precisions[:2], scale.first
    models, peers = (
        [x for x in y if x not in LARGE] for y in (scale.models, scale.peers)
    )
    masked, name = ("masked",), f"experiment/{experiment['experiment']}"
    trained = [Measurement(name, "experiment", "experiment", dict(experiment))]
    blocks = (
        _rates(scale),
        _steps(device, first[:2], population, fast, masked),
        _torch(scale, device, peers, EAGER),
        _steps(device, first[2:], population, fast, masked),
        [] if experiment["experiment"] in LARGE else trained,
        _other_forms(scale, device, first, population[::-1]),
        _steps(device, first, alone, ("tf32",), VARIANTS),
        _torch(scale, device, peers, COMPILED),
        _layers(scale, device, peers, population[-1:], results),
        _steps(device, models, population, fast, masked),
        _layers(scale, device, models, population, results),
        _steps(device, models, scale.members, scale.precisions, scale.variants),
        *(_large(scale, device, model) for model in scale.models if model in LARGE),
        trained,
    )
    planned = {m.name: m for m in itertools.chain(*blocks) if m.part in parts}
    return list(planned.values())
