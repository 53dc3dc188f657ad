"""Regions of timesteps, each with a denoiser of its own (Whalen et al. 2025)."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

_DENOISER = "denoiser"


class Region(NamedTuple):
    """Timesteps start ... start + length - 1, and who denoises at them."""

    name: str  #: of the component
    start: int
    length: int

    @property
    def history(self) -> str:
        """Of `timestep_sampling`: its name in opt_state, which a rewind starts anew."""
        return f"{self.name}_timesteps"

    def draw(self, key: jax.Array, count: int) -> jax.Array:
        """Uniform timesteps, int32 [count]."""
        end = self.start + self.length
        return jax.random.randint(key, (count,), self.start, end)


def make(num_steps: int, count: int) -> tuple[Region, ...]:
    """`count` regions of equal length, but for rounding; the first has least noise."""
    names = [f"{_DENOISER}_{i}" for i in range(1, count + 1)]
    bounds = [num_steps * i // count for i in range(count + 1)]
    return tuple(
        Region(name if count > 1 else _DENOISER, start, end - start)
        for name, start, end in zip(names, bounds, bounds[1:])
    )


def call(
    regions: Sequence[Region],
    step: jax.Array | int,
    function: Callable[..., Any],
    *inputs: Any,
) -> Any:
    """function(name, *inputs) with the component in whose region a timestep lies."""
    starts = jnp.asarray([region.start for region in regions])
    branches = [functools.partial(function, region.name) for region in regions]
    return lax.switch((step >= starts).sum() - 1, branches, *inputs)
