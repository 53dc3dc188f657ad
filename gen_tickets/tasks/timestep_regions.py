"""Regions of timesteps, each with a separate denoiser (Whalen et al. 2025)."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

_DENOISER = "denoiser"


class Region(NamedTuple):
    """Timesteps start ... start + length - 1, and the component that denoises them."""

    name: str  #: of the component
    start: int
    length: int

    @property
    def history(self) -> str:
        """Name in opt_state of its `timestep_sampling.History`; rewinding resets it."""
        return f"{self.name}_timesteps"

    def draw(self, key: jax.Array, count: int) -> jax.Array:
        """Uniform timesteps, int32 [count]."""
        end = self.start + self.length
        return jax.random.randint(key, (count,), self.start, end)


def make(num_steps: int, count: int) -> tuple[Region, ...]:
    """`count` regions of about equal length; the first has the least noise."""
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
    """function(name, *inputs) with the component of the region of a timestep."""
    starts = jnp.asarray([region.start for region in regions])
    branches = [functools.partial(function, region.name) for region in regions]
    return lax.switch((step >= starts).sum() - 1, branches, *inputs)
