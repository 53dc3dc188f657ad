"""Training steps of the paper's models, and the rate of a plain matrix product."""

import contextlib
import time
from collections.abc import Callable
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.accelerator import models, timing
from benchmarks.accelerator.scales import Scale
from gen_tickets.distributed import mesh
from gen_tickets.kernels.lowering import Lowering
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.training import loop as loop_lib

_NUM_IMAGES = 1024
_PRODUCT_SIDE, _CPU_SIDE = 8192, 3072
_SMOKE_IMAGES, _SMOKE_SIDE = 64, 256


def precision_of(name: str) -> contextlib.AbstractContextManager[Any]:
    """How float32 products are traced: "float32" truly so, else the device's default.

    On a GPU of today the default is TF32: operands rounded to 11 bits.
    """
    if name == "float32":
        return jax.default_matmul_precision("highest")
    return contextlib.nullcontext()


def dtype_of(precision: str) -> str:
    """Operands of convolutions and products, as option `precision` names them."""
    return "bfloat16" if precision == "bfloat16" else "float32"


def rate(scale: Scale, precision: str) -> dict[str, Any]:
    """FLOP/s of a large square matrix product, the most that a step can reach."""
    side = _CPU_SIDE if jax.default_backend() == "cpu" else _PRODUCT_SIDE
    side = _SMOKE_SIDE if scale.smoke else side
    dtype = dtype_of(precision)
    a, b = (
        jax.random.normal(key, (side, side)).astype(dtype)
        for key in jax.random.split(jax.random.key(0))
    )

    def multiply(a, b):
        return jnp.matmul(a, b, preferred_element_type=jnp.float32)

    with precision_of(precision):
        compiled = jax.jit(multiply).lower(a, b).compile()

    def run(num_steps):
        for _ in range(num_steps):
            product = compiled(a, b)
        product.block_until_ready()

    found = timing.repeat(run, scale.seconds, scale.repetitions)
    flops = 2 * side**3
    return {
        **found,
        "side": side,
        "flops_per_second": flops / found["step_seconds"]["median"],
    }


def step(
    scale: Scale,
    model: str,
    precision: str,
    members: int,
    variant: str,
    form: str,
) -> dict[str, Any]:
    """Seconds and memory of a training step of a population.

    Args:
      scale: how long it is measured.
      model: an experiment of Table 1.
      precision: one of `scales.PRECISIONS`.
      members: of the population, all in one program.
      variant: "masked" (half of each kernel, and the program of a dense training too),
        "dense" (no masks in the program), "compact" (channels cut out).
      form: of convolutions, see `kernels.lowering`.
    """
    multiple = 1 if jax.default_backend() == "cpu" else 8
    sizes = ()
    if variant == "compact":
        sizes = models.compact_sizes(model, scale.smoke, multiple)
    config = models.configure(model, scale.smoke)
    lowering = Lowering(form, form)
    task = models.build(model, scale.smoke, dtype_of(precision), sizes, lowering)
    arguments = _arguments(scale, config, task, members, half=variant == "masked")
    stretch = loop_lib.make_loop(task, mesh.choose(1).mesh(members)).stretch
    masks = _no_masks() if variant == "dense" else contextlib.nullcontext()
    started = time.perf_counter()
    with masks, precision_of(precision):
        lowered = stretch.lower(*arguments, 1)
    traced = time.perf_counter()
    compiled = lowered.compile()
    compile_seconds = time.perf_counter() - traced
    found = timing.repeat(
        _trainer(compiled, arguments), scale.seconds, scale.repetitions
    )
    flops = models.cost(model, scale.smoke, sizes).total()
    return {
        **found,
        "trace_seconds": traced - started,
        "compile_seconds": compile_seconds,
        "batch": models.images_per_step(config),
        "member_flops": flops,
        "flops_reduction": 1 - flops / models.cost(model, scale.smoke).total(),
        **_memory(compiled),
    }


def _arguments(
    scale: Scale, config: Any, task: Any, members: int, half: bool
) -> tuple[Any, ...]:
    """What `Loop.stretch` takes, all but the number of steps."""
    layout = mesh.choose(1)
    keys = layout.members(jax.random.split(jax.random.key(0), members))
    state = layout.members(jax.jit(jax.vmap(task.init))(keys))
    draw = np.random.default_rng(0)

    def mask(leaf):
        is_kernel = leaf.ndim > 2  # beside the axis of members
        return draw.random(leaf.shape) < 0.5 if half and is_kernel else leaf

    masks = layout.members(jax.tree.map(mask, masks_lib.dense(state.params)))
    num_images = _SMOKE_IMAGES if scale.smoke else _NUM_IMAGES
    shape = (num_images, *models.image_shape(config))
    images = layout.copies(draw.integers(0, 256, shape, np.uint8))
    batch = models.images_per_step(config)
    names = loop_lib.metric_names(task, images[:batch])
    totals = layout.members({name: jnp.zeros(members) for name in names})
    rows = (loop_lib.MAX_STRETCH, members, batch)
    order = layout.copies(draw.integers(0, num_images, rows, np.int32))
    return state, totals, masks, images, order, keys


def _no_masks() -> contextlib.AbstractContextManager[Any]:
    """What a training without masks would be: nothing is multiplied out."""
    return mock.patch.object(masks_lib, "apply", lambda masks, tree: tree)


def _trainer(compiled: Any, arguments: tuple[Any, ...]) -> Callable[[int], None]:
    """run(num_steps) of a training that goes on from call to call."""
    carried, fixed = list(arguments[:2]), arguments[2:]

    def run(num_steps):
        carried[:] = compiled(*carried, *fixed, num_steps)
        jax.block_until_ready(carried)

    return run


def _memory(compiled: Any) -> dict[str, int | None]:
    """Bytes that the program needs, and the most that the device had in use so far."""
    of = compiled.memory_analysis()
    program = of.argument_size_in_bytes + of.output_size_in_bytes
    program += of.temp_size_in_bytes - of.alias_size_in_bytes
    stats = jax.local_devices()[0].memory_stats() or {}
    return {
        "program_bytes": program,
        "device_peak_bytes": stats.get("peak_bytes_in_use"),
    }
