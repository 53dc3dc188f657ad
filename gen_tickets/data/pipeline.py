"""What a stretch of training eats: rows of a set on the devices, or read batches.

Both give the same images in the same order (`data.order`), so a training is the same
either way.
"""

import functools
import math
import os

import jax
import jax.numpy as jnp
import numpy as np

from gen_tickets.data import dataset
from gen_tickets.training import loop

# Batches on their way to the devices: a stretch of them, and as many read ahead.
_STRETCH_BYTES = 2**27


class Resident:
    """A round's batches as rows of the training images, which the devices hold."""

    max_steps = loop.MAX_STRETCH

    def __init__(self, lottery, position):
        self._lottery, self._step = lottery, position.step
        self._num_arms = len(lottery.arms(position.round))

    @staticmethod
    def shapes(lottery, num_members: int):
        """Shapes of what `take` returns."""
        order = (loop.MAX_STRETCH, num_members, lottery.images_per_step)
        images = lottery.images
        return images, jax.ShapeDtypeStruct(order, jnp.int32, sharding=images.sharding)

    @staticmethod
    def first(lottery, num_batches: int):
        """-> (images, rows) of the first batches of every run, as `Pruner` wants them.

        The images are uint8 [N, H, W, C], the rows int32 [R, num_batches, batch].
        """
        rows = _first_rows(lottery, num_batches)
        return lottery.images, lottery.layout.members(rows)

    def take(self, num_steps: int):
        """-> (examples, order) of the next `num_steps`, as `Loop.stretch` wants them.

        The order is int32 [MAX_STRETCH, M, batch]; rows beyond num_steps are 0.
        """
        lottery = self._lottery
        runs, per_step = lottery.run_numbers, lottery.images_per_step
        rows = np.zeros((loop.MAX_STRETCH, len(runs), per_step), np.int32)
        for i, run in enumerate(runs):
            rows[:num_steps, i] = dataset.order(
                *(lottery.config.seed, run, lottery.num_images, per_step),
                *(self._step, num_steps),
            )
        self._step += num_steps
        order = np.tile(rows, (1, self._num_arms, 1))
        return lottery.images, lottery.layout.copies(order)

    def state(self):
        """Nothing that the position does not tell."""
        return None


class _Steps:
    """Element s is what all runs train on in step s, uint8 [R, batch, H, W, C]."""

    def __init__(self, lottery, needed):
        """Reads the images where `needed`, bool [R, batch]; the others are 0."""
        self._needed = needed
        self._images, self._num_steps = lottery.images, lottery.num_steps
        self._runs, self._per_epoch = lottery.run_numbers, lottery.steps_per_epoch
        self._shape = (len(self._runs), lottery.images_per_step, *lottery.image_shape)

        # The orders of an epoch and the next: a step alone would draw its whole epoch.
        @functools.lru_cache(maxsize=2 * len(self._runs))
        def order(run, epoch):
            return dataset.order(
                *(lottery.config.seed, run, lottery.num_images),
                *(lottery.images_per_step, epoch * self._per_epoch, self._per_epoch),
            )

        self._order = order

    def __len__(self):
        return self._num_steps

    def __getitem__(self, step):
        epoch, place = divmod(step, self._per_epoch)
        rows = np.stack([self._order(run, epoch)[place] for run in self._runs])
        images = np.zeros(self._shape, np.uint8)
        images[self._needed] = self._images[rows[self._needed]]
        return images


class Streamed:
    """A round's batches, read by Grain while the devices train on those before."""

    def __init__(self, lottery, position):
        import grain

        self._lottery = lottery
        self._num_arms = len(lottery.arms(position.round))
        self.max_steps = _stretch_steps(lottery)
        options = grain.ReadOptions(
            num_threads=os.cpu_count() or 1, prefetch_buffer_size=self.max_steps
        )
        needed = _needed(lottery, self._num_arms)
        steps = grain.MapDataset.source(_Steps(lottery, needed))
        self._iterator = iter(steps.to_iter_dataset(options))
        # A round that begins, or was not streamed so far, goes on from its step.
        self._iterator.set_state(position.feed or {"next_index": position.step})

    @staticmethod
    def shapes(lottery, num_members: int):
        """Shapes of what `take` returns."""
        shape = (num_members, _stretch_steps(lottery), *_batch_shape(lottery))
        sharding = lottery.layout.batch_sharding(shape)
        return jax.ShapeDtypeStruct(shape, jnp.uint8, sharding=sharding), None

    @staticmethod
    def first(lottery, num_batches: int):
        """As `Resident.first`, of images read for it alone."""
        rows = _first_rows(lottery, num_batches)
        images = lottery.layout.copies(lottery.images[rows.reshape(-1)])
        places = np.arange(rows.size, dtype=np.int32).reshape(rows.shape)
        return images, lottery.layout.members(places)

    def take(self, num_steps: int):
        """-> (batches, None) of the next `num_steps`, as `Loop.stretch` wants them.

        The batches are uint8 [M, max_steps, batch, H, W, C]; beyond num_steps 0.
        """
        runs = self._lottery.config.runs
        shape = (runs, self.max_steps, *_batch_shape(self._lottery))
        batches = np.zeros(shape, np.uint8)
        for step in range(num_steps):
            batches[:, step] = next(self._iterator)
        batches = np.concatenate([batches] * self._num_arms)
        return self._lottery.layout.batches(batches), None

    def state(self):
        """Where the iterator stands, JSON-able; what was read ahead is read again."""
        return self._iterator.get_state()


def _first_rows(lottery, num_batches: int):
    """Rows of the first batches of every run, int32 [R, num_batches, batch]."""
    config, num_images = lottery.config, lottery.num_images
    orders = [
        dataset.order(
            config.seed, run, num_images, config.data.batch_size, 0, num_batches
        )
        for run in lottery.run_numbers
    ]
    return np.stack(orders)


def _needed(lottery, num_arms: int):
    """Which images of a step the devices of this process train on, bool [R, batch]."""
    runs = lottery.config.runs
    shape = (runs * num_arms, 1, lottery.images_per_step)
    needed = np.zeros(shape, bool)
    sharding = lottery.layout.batch_sharding(shape)
    for index in sharding.addressable_devices_indices_map(shape).values():
        needed[index] = True
    return needed.reshape(num_arms, runs, -1).any(0)


def _batch_shape(lottery):
    return lottery.images_per_step, *lottery.image_shape


def _stretch_steps(lottery) -> int:
    """Steps of a stretch: the same in all rounds, so that the loop compiles for one."""
    members = lottery.config.runs * len(lottery.arms(1))
    steps = _STRETCH_BYTES // (members * math.prod(_batch_shape(lottery)))
    return max(1, min(steps, loop.MAX_STRETCH, lottery.evaluation_steps))
