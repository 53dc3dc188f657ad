"""Options that are allowed each by itself, but not together."""

from typing import Any, Mapping, Set

from gen_tickets.errors import UserError

# Options that only some tasks read; elsewhere they must be left at their defaults.
_ONLY_FOR = {
    "task.beta": ("vae",),
    "task.loss": ("gan",),
    "task.discriminator_steps": ("gan",),
    "task.weight_clip": ("gan",),
    "task.gradient_penalty": ("gan",),
    "eval.average_decay": ("gan",),
}

# What an early-bird ticket has no use for, and the value that says so.
_NOT_EARLY_BIRD = {
    "prune.method": "magnitude",
    "prune.rounds": 1,
    "prune.exclude": [],
    "ticket.path": "",
}


def check(options: Mapping[str, Any], changed: Set[str]) -> None:
    """Raises UserError on the first options that contradict each other.

    Args:
      options: {"prune.method": value, ...} as `defaults.flatten` gives them, each
        allowed by itself.
      changed: names of those that are not at their defaults.
    """
    _check_task(options, changed)
    _check_evaluation(options)
    _check_pruning(options)
    _check_early_bird(options, changed)
    _check_steps(options)


def _check_task(options, changed) -> None:
    for name, tasks in _ONLY_FOR.items():
        if options["task.name"] not in tasks and name in changed:
            raise UserError(
                f"{name}={options[name]!r}: only for task.name={' or '.join(tasks)}, "
                f"not {options['task.name']}"
            )
    clip, penalty = options["task.weight_clip"], options["task.gradient_penalty"]
    if clip > 0 and penalty > 0:
        raise UserError(
            f"task.weight_clip={clip}, task.gradient_penalty={penalty}: two ways to "
            "bound a critic, give one"
        )


def _check_evaluation(options) -> None:
    if options["eval.metrics"] and not options["data.resident"]:
        raise UserError(
            f"eval.metrics={tuple(options['eval.metrics'])}: compare with all training "
            "images, which data.resident=False leaves on the disk; give one of them"
        )


def _check_pruning(options) -> None:
    """Method, schedule and rewind step of pruning."""
    method, schedule = options["prune.method"], options["prune.schedule"]
    rewind = options["rewind.step"]
    if schedule in ("at_initialization", "early_bird") and rewind > 0:
        raise UserError(
            f"rewind.step={rewind}: prune.schedule={schedule!r} does not rewind, give 0"
        )
    if method in ("snip", "grasp") and schedule != "at_initialization":
        raise UserError(
            f"prune.method={method!r}: scores initial weights, give "
            f"prune.schedule='at_initialization' (and rewind.step=0), not {schedule!r}"
        )
    if method == "synflow" and options["model.name"] == "sngan":
        raise UserError(
            "prune.method='synflow': model.name='sngan' divides kernels by their norm, "
            "so that no flow through them is defined; give magnitude, snip or grasp"
        )


def _check_early_bird(options, changed) -> None:
    """Options of early-bird tickets alone, and those of all others alone."""
    if options["prune.schedule"] == "early_bird":
        for name, only in _NOT_EARLY_BIRD.items():
            if options[name] != only:
                raise UserError(
                    f"{name}={options[name]!r}: prune.schedule='early_bird' cuts "
                    f"channels by their batch-norm scales, and once; give {only!r}"
                )
    else:
        for name in options:
            if name.startswith("early_bird.") and name in changed:
                raise UserError(
                    f"{name}={options[name]}: only for prune.schedule='early_bird', "
                    f"not {options['prune.schedule']!r}"
                )


def _check_steps(options) -> None:
    epochs, steps = options["train.epochs"], options["train.steps"]
    if (epochs > 0) == (steps > 0):
        raise UserError(
            f"train.epochs={epochs}, train.steps={steps}: give one of them and leave "
            "the other 0"
        )
    if 0 < steps <= options["rewind.step"]:
        raise UserError(
            f"rewind.step={options['rewind.step']}: must be below train.steps={steps}"
        )
