"""Schedule of a training: its length, rewind step and evaluation steps."""

import dataclasses
from itertools import pairwise

from ml_collections import ConfigDict

from gen_tickets.errors import UserError


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The steps of one training; every round of an experiment has the same."""

    num_steps: int  #: training steps from the initial weights
    steps_per_epoch: int
    images_per_step: int  #: over all discriminator updates of a step
    #: k: tickets are rewound to the dense weights of this step; the first of a sweep
    rewind_step: int
    evaluation_interval: int  #: steps between two evaluations on held-out images

    @property
    def convergence_step(self) -> int:
        """The last evaluated step before the last tenth of the training; 0: none."""
        return self.last_evaluation(self.num_steps * 9 // 10 + 1)

    def is_evaluated(self, step: int) -> bool:
        """Whether held-out images are evaluated after this step."""
        return step % self.evaluation_interval == 0 or step == self.num_steps

    def next_evaluation(self, step: int) -> int:
        """The first evaluated step after `step`."""
        interval = self.evaluation_interval
        return min(self.num_steps, (step // interval + 1) * interval)

    def last_evaluation(self, step: int) -> int:
        """The last multiple of the evaluation interval before `step`."""
        return (step - 1) // self.evaluation_interval * self.evaluation_interval


def parse_steps(text: str, steps_per_epoch: int) -> int:
    """The step of a `rewind.step`: "10" is a step, "2ep" two epochs, or "auto".

    "auto" is step 0 until an instability analysis has chosen the step.
    """
    if text == "auto":
        return 0
    if text.endswith("ep"):
        return round(float(text.removesuffix("ep")) * steps_per_epoch)
    return int(text)


def make(config: ConfigDict, num_images: int) -> Schedule:
    """The schedule of an experiment.

    Args:
      config: validated options.
      num_images: training images.

    Raises:
      UserError: a step needs more images than there are, a rewind step is outside of
        the training, or those of a sweep do not increase.
    """
    images_per_step = config.data.batch_size * config.task.discriminator_steps
    if images_per_step > num_images:
        raise UserError(
            f"data.batch_size={config.data.batch_size}",
            f"a step takes {config.task.discriminator_steps} batches, more than the "
            f"{num_images} training images",
            "give a smaller batch, or more images",
        )
    steps_per_epoch = num_images // images_per_step
    num_steps = config.train.steps or config.train.epochs * steps_per_epoch
    _check_rewind(config, steps_per_epoch, num_steps)
    first = (*config.rewind.sweep, config.rewind.step)[0]
    return Schedule(
        num_steps=num_steps,
        steps_per_epoch=steps_per_epoch,
        images_per_step=images_per_step,
        rewind_step=parse_steps(first, steps_per_epoch),
        evaluation_interval=config.eval.every_steps or steps_per_epoch,
    )


def _check_rewind(config: ConfigDict, steps_per_epoch: int, num_steps: int) -> None:
    """Refuses steps k outside of the training, and a sweep that does not increase."""
    sweep = config.rewind.sweep
    name = "rewind.sweep" if sweep else "rewind.step"
    texts = sweep or (config.rewind.step,)
    steps = [parse_steps(text, steps_per_epoch) for text in texts]
    for text, step in zip(texts, steps):
        if step >= num_steps:
            raise UserError(
                f"{name}={text}",
                f"must be below the {num_steps} training steps",
                "give an earlier step, or train longer",
            )
    for i, (before, step) in enumerate(pairwise(steps)):
        if step <= before:
            raise UserError(
                f"{name}={sweep}",
                f"{sweep[i]!r} is step {before}, and {sweep[i + 1]!r} is step {step}",
                "give each step once, in increasing order",
            )
