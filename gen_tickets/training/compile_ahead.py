"""Compiles the held-out evaluation of a loop while its training compiles.

Both take seconds to minutes, mostly outside of Python and on one core of a CPU.
Elsewhere, compilers time candidate kernels, which a training would disturb.
"""

import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from gen_tickets.trees import Tree

_begun: weakref.WeakSet[Callable[..., Any]] = weakref.WeakSet()


@contextlib.contextmanager
def compiling(
    function: Callable[..., Any], *args: Tree
) -> Iterator[Callable[[], None]]:
    """Compiles a function in a thread, on a CPU, if nobody has begun to.

    Args:
      function: from `jax.jit`; any other is left alone.
      *args: trees of arrays; only their shapes and placements are used.

    Yields:
      A function that waits for the compilation, to be called before `function`. On
      exit, it is waited for too: a process must not end while it compiles.
    """
    is_jitted = isinstance(function, jax.stages.Wrapped)
    if not is_jitted or function in _begun or not all(map(_is_on_cpu, _arrays(args))):
        yield lambda: None
        return
    _begun.add(function)
    shapes = jax.tree.map(_shape, args)
    uses_64_bits = jnp.result_type(float) == jnp.float64  # in this thread

    def compile_it() -> None:
        with jax.enable_x64(uses_64_bits), contextlib.suppress(Exception):
            # An error is raised again when the function is called.
            function.lower(*shapes).compile()  # type: ignore[attr-defined]

    thread = threading.Thread(target=compile_it, name="compile", daemon=True)
    thread.start()
    try:
        yield thread.join
    finally:
        thread.join()


def _arrays(tree: Tree) -> list[jax.Array]:
    return [x for x in jax.tree.leaves(tree) if isinstance(x, jax.Array)]


def _is_on_cpu(x: jax.Array) -> bool:
    return all(device.platform == "cpu" for device in x.devices())


def _shape(x: jax.Array) -> Any:
    """What `jax.jit` distinguishes arguments by."""
    if not isinstance(x, jax.Array):
        return x
    sharding = x.sharding if x.committed else None
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)
