"""Rules for combinations of options.

Rules of a single model, saliency, loss, metric or task are the `check` of its entry in
`config.registries`, next to its definition.
"""

from collections.abc import Mapping, Set
from typing import Any

from gen_tickets.config import registries
from gen_tickets.errors import UserError

Options = Mapping[str, Any]

_CHOSEN = (
    registries.model,
    registries.task,
    registries.loss,
    registries.saliency,
)


def check(options: Options, changed: Set[str]) -> None:
    """Raises UserError on the first options that contradict each other.

    Args:
      options: {"prune.method": value, ...} from `defaults.flatten`, each valid
        by itself.
      changed: names of those that are not at their defaults.
    """
    _check_steps(options)
    _check_pruning(options)
    _check_early_bird(options, changed)
    _check_stability(options, changed)
    _check_critic(options)
    _check_evaluation(options)
    # From here on the chosen entries are imported.
    _check_task(options, changed)
    for registry in _CHOSEN:
        registry.get(options[registry.option]).check(options)
    for name in options[registries.metric.option]:
        _check_metric(name, options)
    _check_columns(options)


def _check_steps(options: Options) -> None:
    epochs, steps = options["train.epochs"], options["train.steps"]
    rewind = options["rewind.step"]
    if (epochs > 0) == (steps > 0):
        raise UserError(
            f"train.epochs={epochs}, train.steps={steps}",
            "one of them says how long a training is",
            "give one and leave the other 0",
        )
    if rewind.isdecimal() and 0 < steps <= int(rewind):
        raise UserError(f"rewind.step={rewind}", f"must be below train.steps={steps}")


def _check_pruning(options: Options) -> None:
    schedule, rewind = options["prune.schedule"], options["rewind.step"]
    if schedule in ("at_initialization", "early_bird") and rewind != "0":
        raise UserError(
            f"rewind.step={rewind}",
            f"prune.schedule={schedule!r} does not rewind",
            "give 0",
        )


def _check_early_bird(options: Options, changed: Set[str]) -> None:
    """Options that only early-bird tickets use, and those that they do not use."""
    if options["prune.schedule"] == "early_bird":
        unused = changed & {"prune.method", "prune.exclude", "ticket.path"}
        if options["prune.rounds"] != 1:
            unused |= {"prune.rounds"}
        for name in sorted(unused):
            raise UserError(
                f"{name}={options[name]!r}",
                "prune.schedule='early_bird' prunes channels by their batch-norm "
                "scales, and once",
                "give 1" if name == "prune.rounds" else "leave it out",
            )
    else:
        for name in sorted(changed):
            if name.startswith("early_bird."):
                raise UserError(
                    f"{name}={options[name]}",
                    "only for prune.schedule='early_bird', not "
                    f"{options['prune.schedule']!r}",
                )


def _check_stability(options: Options, changed: Set[str]) -> None:
    """Options that only the instability analysis uses, and its masks."""
    is_analysed = options["procedure"] == "stability"
    if not is_analysed and options["rewind.step"] != "auto":
        for name in sorted(changed):
            if name.startswith("stability."):
                raise UserError(
                    f"{name}={options[name]!r}",
                    "only for procedure='stability' or rewind.step='auto'",
                    "leave it out",
                )
    if is_analysed and options["rewind.step"] == "auto":
        raise UserError(
            "rewind.step='auto'", "is what the analysis finds out", "leave it out"
        )
    if bool(options["stability.tickets"]) != (options["stability.round"] > 0):
        raise UserError(
            f"stability.tickets={options['stability.tickets']!r}, "
            f"stability.round={options['stability.round']}",
            "together they say which masks the copies have",
            "give both, or none",
        )


def _check_critic(options: Options) -> None:
    clip, penalty = options["task.weight_clip"], options["task.gradient_penalty"]
    if clip > 0 and penalty > 0:
        raise UserError(
            f"task.weight_clip={clip}, task.gradient_penalty={penalty}",
            "two ways to bound a critic",
            "give one",
        )


def _check_evaluation(options: Options) -> None:
    if options["eval.metrics"] and not options["data.resident"]:
        raise UserError(
            f"eval.metrics={tuple(options['eval.metrics'])}",
            "compare with all training images, which data.resident=False leaves on "
            "the disk",
            "give one of them",
        )


def _check_task(options: Options, changed: Set[str]) -> None:
    """Options that only other tasks read."""
    tasks = dict(registries.task.items())
    chosen = options["task.name"]
    for name in sorted(changed - set(tasks[chosen].options)):
        readers = [other for other, task in tasks.items() if name in task.options]
        if readers:
            raise UserError(
                f"{name}={options[name]!r}",
                f"only for task.name={' or '.join(readers)}, not {chosen}",
            )


def _check_metric(name: str, options: Options) -> None:
    metric, count = registries.metric.get(name), options["eval.num_samples"]
    if count < metric.minimum:
        raise UserError(
            f"eval.num_samples={count}",
            f"{name} needs {metric.minimum} or more",
            "give more, or leave that metric out",
        )
    metric.check(options)


def _check_columns(options: Options) -> None:
    """Two metrics with one column; a verdict on a metric that is not measured."""
    verdict, names = options["eval.verdict"], options["eval.metrics"]
    owners: dict[str, str] = {}
    for name, metric in registries.metric.items():
        for column in metric.columns:
            owner = owners.setdefault(column.name, name)
            if owner != name and name in names:
                raise UserError(
                    f"eval.metrics={tuple(names)}",
                    f"{name} has the column {column.name!r} of {owner}",
                    "give it another name",
                )
    if verdict in owners and owners[verdict] not in names:
        raise UserError(
            f"eval.verdict={verdict!r}",
            f"is measured by eval.metrics={owners[verdict]!r} only, not by "
            f"{tuple(names)}",
            "add it, or compare another column",
        )
