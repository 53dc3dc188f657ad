"""The models of Table 1 as tasks: dense or compacted, full or narrow."""

import functools
import importlib
import math
from typing import Any

import jax
import numpy as np

from benchmarks import compaction
from benchmarks.accelerator.scales import REDUCTION
from gen_tickets import tasks
from gen_tickets.evaluation import flops
from gen_tickets.kernels.lowering import LIBRARY, Lowering
from gen_tickets.models import groups as groups_lib
from gen_tickets.pruning import channels

_SMOKE_WIDTH, _SMOKE_BATCH = 16, 8
_SMOKE_GROUPS = 4  # of group norm
_NUM_STEPS = 10  # of a schedule of the learning rate, which none of these has time for


def configure(model: str, smoke: bool) -> Any:
    """The options of experiments/<model>.py; narrow and with few images for a smoke."""
    config = importlib.import_module(f"gen_tickets.experiments.{model}").get_config()
    if smoke:
        config.data.batch_size = _SMOKE_BATCH
        widths = tuple(min(width, _SMOKE_WIDTH) for width in config.model.widths)
        config.model.widths = widths
        if config.model.name == "conv":
            config.model.latent_size = widths[-1]  # of a 1x1 map
        elif config.model.name == "unet":  # with one side that has attention
            config.model.update(widths=widths[:2], blocks=1, norm_groups=_SMOKE_GROUPS)
    return config


def image_shape(config: Any) -> tuple[int, int, int]:
    """(H, W, C) of the images of an experiment."""
    shapes = {"mnist": (28, 28, 1), "digits": (28, 28, 1), "celeb_a": (64, 64, 3)}
    return shapes.get(config.data.name, (32, 32, 3))


def images_per_step(config: Any) -> int:
    return int(config.data.batch_size * config.task.discriminator_steps)


def build(
    model: str,
    smoke: bool,
    precision: str = "float32",
    sizes: compaction.Sizes = (),
    lowering: Lowering = LIBRARY,
) -> Any:
    """The task; `sizes`: channels of compacted networks."""
    config = configure(model, smoke)
    config.precision = precision
    return tasks.build(config, image_shape(config), _NUM_STEPS, dict(sizes), lowering)


@functools.cache
def cost(model: str, smoke: bool, sizes: compaction.Sizes = ()) -> flops.Cost:
    """FLOPs of a training step of one member."""
    config = configure(model, smoke)
    shape = (images_per_step(config), *image_shape(config))
    images = jax.ShapeDtypeStruct(shape, np.uint8)
    return flops.of_step(build(model, smoke, sizes=sizes), images)


@functools.cache
def compact_sizes(model: str, smoke: bool, multiple: int) -> compaction.Sizes:
    """The channels at REDUCTION of the step's FLOPs, every layer cut alike."""
    task, dense = build(model, smoke), cost(model, smoke)
    groups = {name: groups_lib.of(x.module) for name, x in task.networks.items()}
    params = jax.eval_shape(task.init, jax.random.key(0)).params
    claims = {
        f"{component}/{leaf}": [(component, claim.group) for claim in of_leaf]
        for component, of_component in groups.items()
        for leaf, of_leaf in channels.claims(of_component, params[component]).items()
    }
    whole = _by_group(groups, compaction.cut(groups, 0.0, 1))

    def share_left(sizes: compaction.Sizes) -> float:
        # Counting a step takes seconds: products shrink with both axes of a kernel,
        # and what is no product, which is little, is taken to shrink with one.
        left = _by_group(groups, sizes)
        shares = {group: left[group] / whole[group] for group in whole}
        fixed = dense.fixed * sum(shares.values()) / len(shares)
        products = sum(
            count * math.prod(shares[group] for group in claims[leaf])
            for leaf, count in dense.of_weights.items()
        )
        return (fixed + products) / dense.total()

    return compaction.sizes_of(groups, share_left, REDUCTION, multiple)


def _by_group(groups: Any, sizes: compaction.Sizes) -> dict[tuple[str, str], int]:
    """{(component, group): channels}."""
    return {
        (component, group.name): count
        for component, counts in sizes
        for group, count in zip(groups[component].groups, counts, strict=True)
    }
