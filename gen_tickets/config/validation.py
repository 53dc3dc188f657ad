"""Rules for combinations of options.

`config.effects` lists options that have an effect only together with others. Rules of a
single model, saliency, loss, metric or task are the `check` of its entry in
`config.registries`, next to its definition.
"""

from collections.abc import Mapping, Set
from typing import Any

from gen_tickets.config import effects, registries
from gen_tickets.config.registry import nearest
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
      changed: names of the options that are not at their defaults.
    """
    _check_steps(options)
    _check_pruning(options)
    _check_stability(options)
    _check_dynamic(options)
    _check_critic(options)
    _check_evaluation(options)
    # The checks below import the chosen entries.
    _check_kind(options)
    effects.check(options, changed)
    for registry in _CHOSEN:
        registry.get(options[registry.option]).check(options)
    for name in options[registries.metric.option]:
        _check_metric(name, options)
    _check_columns(options)
    _check_verdict(options, changed)


def _check_steps(options: Options) -> None:
    epochs, steps = options["train.epochs"], options["train.steps"]
    if (epochs > 0) == (steps > 0):
        raise UserError(
            f"train.epochs={epochs}, train.steps={steps}",
            "exactly one of them sets the length of training",
            "give one and leave the other 0",
        )
    name = "rewind.sweep" if options["rewind.sweep"] else "rewind.step"
    for rewind in options["rewind.sweep"] or [options["rewind.step"]]:
        if rewind.isdecimal() and 0 < steps <= int(rewind):
            problem = f"must be below train.steps={steps}"
            raise UserError(f"{name}={rewind}", problem)


def _check_pruning(options: Options) -> None:
    schedule, rewind = options["prune.schedule"], options["rewind.step"]
    if schedule in ("at_initialization", "early_bird") and rewind != "0":
        raise UserError(
            f"rewind.step={rewind}",
            f"prune.schedule={schedule!r} does not rewind",
            "give 0",
        )
    listed = options["prune.sparsities"]
    if listed and options["prune.rounds"] > len(listed):
        raise UserError(
            f"prune.rounds={options['prune.rounds']}",
            f"prune.sparsities has {len(listed)}, one per round",
            f"give at most {len(listed)}, or more sparsities",
        )
    if schedule == "early_bird" and options["prune.rounds"] != 1:
        raise UserError(
            f"prune.rounds={options['prune.rounds']}",
            "prune.schedule='early_bird' prunes once",
            "give 1",
        )


def _check_stability(options: Options) -> None:
    """Checks the rewind step and the masks of an instability analysis."""
    is_analysed = options["procedure"] == "stability"
    if is_analysed and options["rewind.step"] == "auto":
        raise UserError(
            "rewind.step='auto'", "is the result of the analysis", "leave it out"
        )
    if bool(options["stability.tickets"]) != (options["stability.round"] > 0):
        raise UserError(
            f"stability.tickets={options['stability.tickets']!r}, "
            f"stability.round={options['stability.round']}",
            "together they select the masks of the copies",
            "give both, or none",
        )


def _check_dynamic(options: Options) -> None:
    """Refuses dynamic sparse training without a method, or with rewinding."""
    if options["procedure"] != "dynamic":
        return
    if options["rewind.step"] != "0":
        raise UserError(
            f"rewind.step={options['rewind.step']}",
            "procedure='dynamic' trains sparse from the first step",
            "give 0",
        )
    if not options["dynamic.methods"]:
        raise UserError("dynamic.methods=()", "none is trained", "give one or more")


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


def _check_kind(options: Options) -> None:
    """Refuses a task that needs other networks than those of the model."""
    task, name = options["task.name"], options["model.name"]
    kind = registries.task.get(task).kind
    if registries.model.get(name).kind != kind:
        fitting = [x for x, model in registries.model.items() if model.kind == kind]
        raise UserError(
            f"model.name={name!r}",
            f"task.name={task!r} trains a {kind}, which this model is not",
            f"give {' or '.join(fitting)}",
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
    """Refuses two metrics with the same column, or an unmeasured verdict metric."""
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
    if verdict in ("train_loss", "heldout_loss"):
        _check_loss(options)
    if verdict in owners and owners[verdict] not in names:
        raise UserError(
            f"eval.verdict={verdict!r}",
            f"is measured by eval.metrics={owners[verdict]!r} only, not by "
            f"{tuple(names)}",
            "add it, or compare another column",
        )


def _check_loss(options: Options) -> None:
    """Refuses the loss as a verdict if it does not measure the quality of a model."""
    task = options["task.name"]
    if not registries.task.get(task).loss_is_quality:
        raise UserError(
            f"eval.verdict={options['eval.verdict']!r}",
            f"with task.name={task!r} the loss says how two networks play against each "
            "other, not how good the samples are",
            "compare a metric of samples, as eval.metrics='fd_classifier' and "
            "eval.verdict='fd_classifier', or 'swd', which needs no classes",
        )


def _check_verdict(options: Options, changed: Set[str]) -> None:
    """Refuses a verdict on a column that is not measured."""
    task = registries.task.get(options["task.name"])
    metrics = (registries.metric.get(name) for name in options["eval.metrics"])
    directed = [x.name for of in metrics for x in of.columns if x.better]
    losses = ["loss", *(column.name for column in task.columns)]
    allowed = directed + [f"{of}_{x}" for of in ("heldout", "train") for x in losses]
    verdict = options["eval.verdict"]
    if "eval.verdict" in changed and verdict not in allowed:
        raise UserError(
            f"eval.verdict={verdict!r}",
            f"measured here are {', '.join(allowed)}",
            nearest(verdict, allowed),
        )
