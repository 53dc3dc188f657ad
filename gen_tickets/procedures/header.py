"""The header of a run: its setup, printed before training."""

import os
import pathlib
import textwrap
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

import gen_tickets
from gen_tickets import trees
from gen_tickets.console import display
from gen_tickets.procedures.setup import Prepared
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.report.statistics import percent

_MOST_SPARSITIES = 8  # with more rounds, only the first and last ones are printed
_LABEL_WIDTH = 12

Fact = tuple[str, str]  #: (label, value)


def show(
    prepared: Prepared, origin: dict[str, Any], workdir: str | pathlib.Path
) -> None:
    """Prints the header.

    Args:
      prepared: the experiment.
      origin: its provenance; uses "data" and, for rewind.step=auto, "rewind".
      workdir: folder of its results.
    """
    display.say((f"gen_tickets {gen_tickets.__version__}", "bold"), f"  {workdir}")
    width = display.width() - _LABEL_WIDTH
    for label, text in facts(prepared, origin):
        for line in textwrap.wrap(text, width):
            display.say((f"  {label:<{_LABEL_WIDTH - 2}}", "cyan"), line)
            label = ""


def facts(prepared: Prepared, origin: dict[str, Any]) -> list[Fact]:
    """Device, images, networks, training, and the rounds or searches that follow."""
    config, schedule = prepared.config, prepared.schedule
    batch = f"batches of {config.data.batch_size} images"
    found = [
        ("device", device(prepared.dense.layout.devices)),
        ("data", _data(origin["data"])),
        ("networks", _networks(prepared)),
        ("training", f"{schedule.num_steps:,} steps of {batch}"),
    ]
    if config.procedure == "stability":
        return [
            *found,
            ("members", f"{_count(config.runs, 'run')}, copies from every step"),
        ]
    if config.prune.schedule == "early_bird":
        search = f"one channel mask per epoch, at most {config.early_bird.epochs}"
        return [*found, ("runs", str(config.runs)), ("search", search)]
    return [
        *found,
        ("members", _members(prepared)),
        ("rounds", rounds(sparsities(prepared))),
        ("rewind", rewind(config, schedule.num_steps, origin.get("rewind"))),
    ]


def device(devices: Sequence[Any]) -> str:
    """Such as "CPU (2 cores)" or "8 x NVIDIA H100, 2 processes"."""
    if devices[0].platform == "cpu":
        text = f"CPU ({_cores()})"
        text += f", as {len(devices)} devices" if len(devices) > 1 else ""
    else:
        text = f"{len(devices)} x {devices[0].device_kind}"
    count = jax.process_count()
    return text + (f", {count} processes" if count > 1 else "")


def _cores() -> str:
    """The number of cores that this process may use."""
    # macOS and Windows only give the number of all cores.
    find = getattr(os, "sched_getaffinity", None)
    count = len(find(0)) if find else os.cpu_count() or 1
    return _count(count, "core")


def _count(number: int, noun: str) -> str:
    """Such as "1 run" or "3 runs"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _data(about: dict[str, Any]) -> str:
    side, channels = about["image_size"], about["channels"]
    return (
        f"{about['name']}, {about['num_train']:,} training and "
        f"{about['num_heldout']:,} held-out images, {side}x{side}x{channels}"
    )


def _networks(prepared: Prepared) -> str:
    """The number of parameters of each component, and how many are prunable."""
    params = prepared.shapes.params
    sizes = {component: trees.num_weights(of) for component, of in params.items()}
    parts = ", ".join(f"{name} {size:,}" for name, size in sizes.items())
    leaves = trees.named_leaves(params)
    prunable = sum(leaves[name].size for name in prepared.pruner.names)
    total = sum(sizes.values())
    return f"{total:,} parameters ({parts}), {prunable:,} of them prunable"


def _members(prepared: Prepared) -> str:
    runs, arms = prepared.config.runs, prepared.tickets.arms
    return (
        f"{_count(runs, 'run')} x {_count(len(arms), 'arm')} ({', '.join(arms)}) = "
        f"{_count(prepared.tickets.num_members, 'network')} trained at once"
    )


def sparsities(prepared: Prepared) -> list[float]:
    """The sparsity of every round over all kernels, in [0, 1)."""
    leaves = trees.named_leaves(prepared.shapes.params)
    kernels = masks_lib.kernel_names(prepared.shapes.params, None)
    total = sum(leaves[name].size for name in kernels)
    prunable = sum(leaves[name].size for name in prepared.pruner.names)
    numbers = range(1, prepared.config.prune.rounds + 1)
    kept = [int(np.sum(prepared.pruner.num_keep(number))) for number in numbers]
    return [(prunable - keep) / total for keep in kept]


def rounds(of_rounds: Sequence[float]) -> str:
    """Such as "6, to sparsities of 36.0 %, 59.0 %, ..., 93.1 %"."""
    shares = [percent(share) for share in of_rounds]
    if len(shares) > _MOST_SPARSITIES:
        shares = [*shares[:4], "...", *shares[-2:]]
    return f"{len(of_rounds)}, to sparsities of {', '.join(shares)}"


def rewind(config: ConfigDict, num_steps: int, chosen: dict[str, Any] | None) -> str:
    """The step to which tickets are rewound, and why.

    Args:
      config: options; rewind.step is a number of steps or epochs.
      num_steps: training steps.
      chosen: the reason from `rewind_point.choose` for rewind.step=auto, else None.
    """
    step = config.rewind.step
    if config.prune.schedule == "at_initialization":
        return "none: pruned before any training"
    text = f"to step {step} of {num_steps:,}"
    if config.rewind.sweep:
        return f"to steps {', '.join(config.rewind.sweep)} of {num_steps:,}, in turn"
    if step == "0":
        text = f"to the initial weights, step 0 of {num_steps:,}"
    if chosen is None:
        return f"{text} (rewind.step={step})"
    why = "the first stable step" if chosen["stable"] else "no step is stable"
    return f"{text} (rewind.step=auto: {why}, margin {chosen['margin']:.3g})"
