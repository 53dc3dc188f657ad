"""Populations: runs and arms that train as members of one program.

R = runs, A = arms, M = A * R members, ordered by arm: member a * R + r is arm a of the
r-th run.
"""

import dataclasses
import enum
import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from gen_tickets.distributed.mesh import Layout
from gen_tickets.trees import Tree


class Purpose(enum.IntEnum):
    """Folded into the key of a run, so that different uses are independent."""

    INIT = 0
    TRAIN = 1
    REDRAW = 2
    SCORE = 3
    EVALUATE = 4
    LATENTS = 5
    SHUFFLE = 6


@dataclasses.dataclass(frozen=True)
class Population:
    """Members that train together, and their devices."""

    seed: int
    runs: tuple[int, ...]  #: run numbers
    arms: tuple[str, ...]  #: "dense", or "winning", "random", ...
    layout: Layout
    #: SGD noise of each arm: 0 is the run's own (batch order and keys), any other
    #: number is an independent draw; () is 0 for all
    noise: tuple[int, ...] = ()

    @property
    def arm_noise(self) -> tuple[int, ...]:
        """The noise of each arm."""
        return self.noise or (0,) * len(self.arms)

    @property
    def num_runs(self) -> int:
        return len(self.runs)

    @property
    def num_members(self) -> int:
        return len(self.runs) * len(self.arms)

    def index(self, arm: str, run: int) -> int:
        """The index of a member."""
        return self.arms.index(arm) * self.num_runs + self.runs.index(run)

    def run_keys(self, purpose: Purpose, round_number: int = 0) -> Key[Array, " runs"]:
        """One key per run, [R]; depends on seed, run, purpose and round only."""
        return self.layout.members(self._keys(purpose, round_number))

    def train_keys(self) -> jax.Array:
        """One key per member, [M], the same in every round; arms share their noise."""
        keys = self._keys(Purpose.TRAIN, 0)
        of_arms = [_fold(keys, noise) if noise else keys for noise in self.arm_noise]
        return self.layout.members(jnp.concatenate(of_arms))

    def evaluation_keys(self) -> Key[Array, " members"]:
        """One key per member, [M], the same in every round and arm."""
        keys = self._keys(Purpose.EVALUATE, 0)
        return self.layout.members(jnp.concatenate([keys] * len(self.arms)))

    def _keys(self, purpose: Purpose, round_number: int) -> Key[Array, " runs"]:
        runs = jnp.array(self.runs)
        keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.key(self.seed), runs)
        return _fold(_fold(keys, int(purpose)), round_number)

    def first_arm(self, tree: Tree) -> Tree:
        """The members of the first arm, [M, ...] -> [R, ...]."""
        return _take_first(self.layout, self.num_runs)(tree)


_fold = jax.vmap(jax.random.fold_in, (0, None))  # keys [R], a number -> keys [R]


def latents(
    seed: int, count: int, latent_size: int
) -> Float[Array, "{count} {latent_size}"]:
    """The latent vectors [count, latent_size] of every image grid."""
    key = jax.random.fold_in(jax.random.key(seed), int(Purpose.LATENTS))
    return jax.random.normal(key, (count, latent_size))


@functools.cache
def _take_first(layout: Layout, count: int) -> Callable[[Tree], Tree]:
    """Compiled [M, ...] -> [count, ...]."""

    def first(tree: Tree) -> Tree:
        return jax.tree.map(lambda x: x[:count], tree)

    # Explicit, because the compiler would choose the devices of all members.
    return jax.jit(first, out_shardings=layout.sharding(count))
