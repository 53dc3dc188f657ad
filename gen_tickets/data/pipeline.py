"""The input pipeline: images on the devices, and the batches of a training.

Batches are rows of a resident data set (`Resident`), or are read while the devices
train on earlier ones (`Streamed`). Both give the same images in the same order
(`dataset.order`), so training is the same either way.
"""

import dataclasses
import functools
import itertools
import math
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gen_tickets.data import dataset as dataset_lib
from gen_tickets.distributed.mesh import Layout
from gen_tickets.training import loop
from gen_tickets.training.population import Population
from gen_tickets.training.schedule import Schedule

# Size of a stretch of streamed batches; another stretch is read ahead.
_STRETCH_BYTES = 2**27


@dataclasses.dataclass(frozen=True, eq=False)
class Data:
    """Training and held-out images, on the devices or streamed."""

    dataset: dataset_lib.Dataset
    train: Any  #: uint8 [N, H, W, C] on the devices, or a `Stream` of them
    streamed: bool
    stretch_steps: int  #: maximum steps per stretch of the loop
    heldout: tuple[jax.Array, jax.Array]  #: [batches, batch, H, W, C], and weights
    probe: tuple[jax.Array, jax.Array]  #: likewise, as many training images
    shown: jax.Array  #: uint8 [num_shown, H, W, C], held-out images for grids

    def batches(
        self, population: Population, schedule: Schedule, step: int, reader: Any
    ) -> "Resident | Streamed":
        """The batches of a population, starting at a step; `reader`: see `Position`."""
        kind = Streamed if self.streamed else Resident
        return kind(self, population, schedule, step, reader)

    def shapes(self, population: Population, schedule: Schedule) -> tuple[Any, Any]:
        """Shapes and shardings of (examples, order) of a stretch."""
        num_members, batch = population.num_members, schedule.images_per_step
        if self.streamed:
            shape = (num_members, self.stretch_steps, batch, *self.train.shape[1:])
            sharding = population.layout.batch_sharding(shape)
            return jax.ShapeDtypeStruct(shape, jnp.uint8, sharding=sharding), None
        order = (loop.MAX_STRETCH, num_members, batch)
        sharding = self.train.sharding
        return self.train, jax.ShapeDtypeStruct(order, jnp.int32, sharding=sharding)

    def first_batches(
        self, population: Population, batch_size: int, num_batches: int
    ) -> tuple[jax.Array, jax.Array]:
        """The first batches of every run, for saliencies that use images.

        Returns:
          (images, rows): uint8 [N, H, W, C] and int32 [R, num_batches, batch_size].
        """
        num_images = len(self.train)
        orders = [
            dataset_lib.order(
                population.seed, run, num_images, batch_size, 0, num_batches
            )
            for run in population.runs
        ]
        images, rows = self.train, np.stack(orders)
        if self.streamed:
            images = population.layout.copies(images[rows.reshape(-1)])
            rows = np.arange(rows.size, dtype=np.int32).reshape(rows.shape)
        return images, population.layout.members(rows)


def place(
    dataset: dataset_lib.Dataset,
    layout: Layout,
    schedule: Schedule,
    batch_size: int,
    num_shown: int,
    num_members: int,
    streamed: bool,
) -> Data:
    """Places the images of an experiment on its devices.

    Args:
      dataset: its training and held-out images.
      layout: the devices.
      schedule: of the training.
      batch_size: images per evaluation batch.
      num_shown: images in a grid.
      num_members: of the largest population, which bounds a stretch.
      streamed: whether the training images stay on disk.
    """
    images, heldout = dataset.train.images, dataset.heldout.images
    batch_shape = (schedule.images_per_step, *images.shape[1:])
    # As many training as held-out images, so that their losses are comparable.
    probe = _spread(images, len(heldout))
    return Data(
        dataset=dataset,
        train=images if streamed else layout.copies(images),
        streamed=streamed,
        stretch_steps=(
            _stretch_steps(num_members, batch_shape, schedule.evaluation_interval)
            if streamed
            else loop.MAX_STRETCH
        ),
        heldout=layout.copies(loop.in_batches(heldout, batch_size)),
        probe=layout.copies(loop.in_batches(probe, batch_size)),
        shown=jnp.asarray(_spread(heldout, num_shown)),
    )


def _spread(images: Any, count: int) -> Any:
    """`count` images, evenly spread over a set that may be sorted by class."""
    num = len(images)
    return images[np.arange(min(count, num)) * max(count, num) // count]


def _stretch_steps(
    num_members: int, batch_shape: tuple[int, ...], evaluation_interval: int
) -> int:
    """Steps per stretch, equal in all rounds, so that the loop compiles once."""
    steps = _STRETCH_BYTES // (num_members * math.prod(batch_shape))
    return max(1, min(steps, loop.MAX_STRETCH, evaluation_interval))


class Resident:
    """The batches of a round, as rows of the training images on the devices."""

    def __init__(
        self,
        data: Data,
        population: Population,
        schedule: Schedule,
        step: int,
        reader: Any,
    ) -> None:
        del reader  # determined by the step
        self._images, self._population = data.train, population
        self._schedule, self._step = schedule, step

    def take(self, num_steps: int) -> tuple[jax.Array, jax.Array]:
        """(examples, order) of the next `num_steps`, for `Loop.stretch`.

        The order is int32 [MAX_STRETCH, M, batch]; rows beyond num_steps are 0.
        """
        population, batch_size = self._population, self._schedule.images_per_step
        rows = {
            noise: np.zeros(
                (loop.MAX_STRETCH, population.num_runs, batch_size), np.int32
            )
            for noise in population.arm_noise
        }
        for noise, i in itertools.product(rows, range(population.num_runs)):
            rows[noise][:num_steps, i] = dataset_lib.order(
                population.seed,
                population.runs[i],
                len(self._images),
                batch_size,
                self._step,
                num_steps,
                noise,
            )
        self._step += num_steps
        order = np.concatenate([rows[x] for x in population.arm_noise], axis=1)
        return self._images, population.layout.copies(order)

    def state(self) -> None:
        """None, because the step determines the position."""
        return None


class _Steps:
    """Element s: the images of all runs in step s, uint8 [R, batch, H, W, C]."""

    def __init__(
        self,
        images: Any,
        population: Population,
        schedule: Schedule,
        needed: np.ndarray,
    ) -> None:
        """Reads images where `needed`, bool [R, batch]; all others are 0."""
        self._images, self._needed = images, needed
        self._runs, self._schedule = population.runs, schedule
        batch_size, per_epoch = schedule.images_per_step, schedule.steps_per_epoch
        self._shape = (len(self._runs), batch_size, *images.shape[1:])

        # Keeps two epochs; otherwise each step would draw its whole epoch again.
        @functools.lru_cache(maxsize=2 * len(self._runs))
        def order(run: int, epoch: int) -> np.ndarray:
            first_step = epoch * per_epoch
            return dataset_lib.order(
                population.seed, run, len(images), batch_size, first_step, per_epoch
            )

        self._order = order

    def __len__(self) -> int:
        return self._schedule.num_steps

    def __getitem__(self, step: int) -> np.ndarray:
        epoch, place = divmod(step, self._schedule.steps_per_epoch)
        rows = np.stack([self._order(run, epoch)[place] for run in self._runs])
        images = np.zeros(self._shape, np.uint8)
        images[self._needed] = self._images[rows[self._needed]]
        return images


class Streamed:
    """The batches of a round, read by Grain while devices train on earlier ones."""

    def __init__(
        self,
        data: Data,
        population: Population,
        schedule: Schedule,
        step: int,
        reader: Any,
    ) -> None:
        import grain

        self._population = population
        batch_shape = (schedule.images_per_step, *data.train.shape[1:])
        self._shape = (population.num_runs, data.stretch_steps, *batch_shape)
        options = grain.ReadOptions(
            num_threads=os.cpu_count() or 1, prefetch_buffer_size=data.stretch_steps
        )
        needed = _needed(population, schedule.images_per_step)
        steps = _Steps(data.train, population, schedule, needed)
        source = grain.MapDataset.source(steps)
        self._iterator = iter(source.to_iter_dataset(options))
        # A new round, or one that was not streamed before, starts at its step.
        self._iterator.set_state(reader or {"next_index": step})

    def take(self, num_steps: int) -> tuple[jax.Array, None]:
        """(batches, None) of the next `num_steps`, for `Loop.stretch`.

        The batches are uint8 [M, stretch_steps, batch, H, W, C], 0 beyond num_steps.
        """
        batches = np.zeros(self._shape, np.uint8)
        for step in range(num_steps):
            batches[:, step] = next(self._iterator)
        batches = np.concatenate([batches] * len(self._population.arms))
        return self._population.layout.batches(batches), None

    def state(self) -> Any:
        """JSON position of the iterator; prefetched batches are read again."""
        return self._iterator.get_state()


def _needed(population: Population, batch_size: int) -> np.ndarray:
    """The images of a step that devices of this process use, bool [R, batch]."""
    shape = (population.num_members, 1, batch_size)
    needed = np.zeros(shape, bool)
    sharding = population.layout.batch_sharding(shape)
    for index in sharding.addressable_devices_indices_map(shape).values():
        needed[index] = True
    by_arm = needed.reshape(len(population.arms), population.num_runs, -1)
    return np.any(by_arm, axis=0)
