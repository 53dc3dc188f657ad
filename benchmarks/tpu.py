"""Compiles the training of an experiment for the chips of a TPU v5e-8, without one.

The compiler in libtpu runs on any x86 Linux machine; set ENVIRONMENT before loading it.
"""

import importlib
import math
import pathlib
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import topologies
from jax.sharding import NamedSharding, PartitionSpec

from benchmarks import hlo
from gen_tickets import tasks
from gen_tickets.distributed.mesh import Layout
from gen_tickets.evaluation import flops
from gen_tickets.kernels import lowering as lowering_lib
from gen_tickets.training import loop as loop_lib

TOPOLOGY, CHIPS = "v5e:2x4", 8
# What libtpu would else ask of the machine that it is on. Several processes may load
# it, as none of them drives a chip.
ENVIRONMENT = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_COMPILATION_CACHE": "false",
}
_IMAGES = {"mnist": (60_000, 28, 28, 1), "cifar10": (50_000, 32, 32, 3)}


class Arrangement(NamedTuple):
    """How a population lies on the chips."""

    members: int
    at_once: int  #: members that a chip trains together

    @property
    def members_a_chip(self) -> int:
        """Members of one chip, by the mesh that `mesh.Layout` makes."""
        return self.members // math.gcd(self.members, CHIPS)


LAYOUTS = {
    "members": Arrangement(80, 10),
    "in_turn": Arrangement(80, 1),
    "batch": Arrangement(5, 5),
}


def _config(model: str, precision: str):
    config = importlib.import_module(f"gen_tickets.experiments.{model}").get_config()
    config.precision = precision
    return config


def _build(config, lowering):
    """-> (task, shape of what a step takes)."""
    shape = _IMAGES[config.data.name][1:]
    per_step = config.data.batch_size * config.task.discriminator_steps
    task = tasks.build(config, shape, num_steps=1000, lowering=lowering)
    return task, jax.ShapeDtypeStruct((per_step, *shape), "uint8")


def _arguments(config, task, batch, layout, members: int):
    """What `Loop.stretch` takes, as shapes with shardings, all but the steps."""
    seeds = jax.ShapeDtypeStruct((members,), jnp.uint32)
    keys = jax.eval_shape(jax.vmap(jax.random.key), seeds)
    state = jax.eval_shape(jax.vmap(task.init), keys)
    masks = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, bool), state.params)
    totals = jax.eval_shape(lambda: loop_lib.empty_totals(task, batch, members))
    everywhere = NamedSharding(layout.mesh(1), PartitionSpec())
    rows = (loop_lib.MAX_STRETCH, members, len(batch))
    images = _IMAGES[config.data.name]
    return (
        *map(layout.shapes, (state, totals, masks)),
        jax.ShapeDtypeStruct(images, jnp.uint8, sharding=everywhere),
        jax.ShapeDtypeStruct(rows, jnp.int32, sharding=everywhere),
        layout.shapes(keys),
    )


def lower(config, arrangement: Arrangement):
    """Traces the stretch of a configuration for the chips.

    Returns:
      jax.stages.Lowered.
    """
    layout = Layout(topologies.get_topology_desc(TOPOLOGY, "tpu").devices)
    task, batch = _build(config, lowering_lib.choose("tpu"))
    arguments = _arguments(config, task, batch, layout, arrangement.members)
    mesh = layout.mesh(arrangement.members)
    loop = loop_lib.make_loop(task, mesh, arrangement.at_once)
    return loop.stretch.lower(*arguments, 1)


def _own_flops(config) -> tuple[float, float]:
    """Our FLOPs of a member's step, and with every loop's body counted once."""
    once = config.copy_and_resolve_references()
    once.task.discriminator_steps = 1
    own, own_once = (
        flops.of_step(*_build(c, lowering_lib.LIBRARY)).total() for c in (config, once)
    )
    return own, own_once


def measure(model: str, layout: str, precision: str, hlo_directory=None) -> dict:
    """Compiles one program -> its row of the table, numbers of one chip."""
    config, arrangement = _config(model, precision), LAYOUTS[layout]
    started = time.perf_counter()
    lowered = lower(config, arrangement)
    traced = time.perf_counter()
    compiled = lowered.compile()
    seconds = time.perf_counter() - traced
    text, memory = compiled.as_text(), compiled.memory_analysis()
    if hlo_directory:
        name = f"{model}-{layout}-{precision}.txt"
        pathlib.Path(hlo_directory, name).write_text(text)
    step, call = hlo.costs(text)
    turns = arrangement.members_a_chip / arrangement.at_once
    own, own_once = _own_flops(config)
    counted = compiled.cost_analysis()["flops"]
    ratio = counted / (own_once * arrangement.members / CHIPS / turns)
    return {
        "model": model,
        "layout": layout,
        "precision": precision,
        "members": arrangement.members,
        "members_a_chip": arrangement.members_a_chip,
        "trace_seconds": traced - started,
        "compile_seconds": seconds,
        "argument_bytes": memory.argument_size_in_bytes,
        "temporary_bytes": memory.temp_size_in_bytes,
        "code_bytes": memory.generated_code_size_in_bytes,
        "flops": ratio * own * arrangement.members / CHIPS,
        "flops_over_own": ratio,
        "hbm_bytes": step.hbm_bytes * turns,
        "cycles": {kind: n * turns for kind, n in step.cycles.items()},
        "call_cycles": call.cycles,
        "call_hbm_bytes": call.hbm_bytes,
    }
