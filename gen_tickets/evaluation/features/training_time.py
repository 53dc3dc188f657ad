"""Expected seconds of a training, from its FLOPs, before its program is compiled."""

import time
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gen_tickets.evaluation import flops
from gen_tickets.kernels.lowering import LIBRARY, Lowering
from gen_tickets.tasks.task import Examples, Task
from gen_tickets.trees import Tree


def expected_seconds(
    task: Task, batch: Examples, num_steps: int, flops_per_second: float
) -> float:
    """Seconds of a training whose steps run at a given rate.

    Args:
      task: built with `kernels.lowering.LIBRARY`; traced, not compiled.
      batch: the examples of a step, or their shapes.
      num_steps: of the training.
      flops_per_second: see `measured_rate`.
    """
    return num_steps * flops.of_step(task, batch).total() / flops_per_second


def measured_rate(
    build: Callable[[Lowering], nn.Module], shape: tuple[int, ...], lowering: Lowering
) -> float:
    """FLOPs per second of the forward and backward pass of a small module.

    Args:
      build: lowering -> a module that is called as module(x, train).
      shape: of its input x, float32.
      lowering: that of the training; compiles the module once.
    """
    x = jnp.ones(shape)
    shapes = jax.eval_shape(
        lambda key: build(LIBRARY).init(key, x, True), jax.random.key(0)
    )
    variables = jax.tree.map(lambda like: np.ones(like.shape, like.dtype), shapes)

    def gradient(lowering: Lowering) -> Callable[[Tree, jax.Array], Tree]:
        module = build(lowering)

        def mean(variables: Tree, x: jax.Array) -> jax.Array:
            y, _ = module.apply(variables, x, True, mutable=["batch_stats"])
            return jnp.mean(y)

        return jax.grad(mean, (0, 1))

    counted = flops.count(gradient(LIBRARY), variables, x)
    compiled = jax.jit(gradient(lowering)).lower(variables, x).compile()
    jax.block_until_ready(compiled(variables, x))
    started = time.monotonic()
    jax.block_until_ready(compiled(variables, x))
    return counted / (time.monotonic() - started)
