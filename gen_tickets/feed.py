"""What a stretch of training eats: rows of a set on the devices, or read batches.

Both give the same images in the same order (`data.order`), so a training is the same
either way.
"""

import numpy as np

from gen_tickets import data, train


class Resident:
    """A round's batches as rows of the training images, which the devices hold."""

    max_steps = train.MAX_STRETCH

    def __init__(self, lottery, position):
        self._lottery, self._step = lottery, position.step
        self._num_arms = len(lottery.arms(position.round))

    def take(self, num_steps: int):
        """-> (examples, order) of the next `num_steps`, as `Loop.stretch` wants them.

        The order is int32 [MAX_STRETCH, M, batch]; rows beyond num_steps are 0.
        """
        lottery = self._lottery
        runs, per_step = lottery.run_numbers, lottery.images_per_step
        rows = np.zeros((train.MAX_STRETCH, len(runs), per_step), np.int32)
        for i, run in enumerate(runs):
            rows[:num_steps, i] = data.order(
                *(lottery.config.seed, run, lottery.num_images, per_step),
                *(self._step, num_steps),
            )
        self._step += num_steps
        order = np.tile(rows, (1, self._num_arms, 1))
        return lottery.images, lottery.layout.copies(order)

    def state(self):
        """Nothing that the position does not tell."""
        return None
