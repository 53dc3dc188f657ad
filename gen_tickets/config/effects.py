"""Refuses options that have no effect in combination with others, by one table.

Options of a single task, model or optimizer are not in the table: they are the
`options` of its entry in `config.registries`.
"""

from collections.abc import Callable, Mapping, Set
from typing import Any, NamedTuple

from gen_tickets.config import registries
from gen_tickets.config.registry import Registry
from gen_tickets.errors import UserError

Options = Mapping[str, Any]


class _Rule(NamedTuple):
    """Options that have an effect only together with another one."""

    names: tuple[str, ...]  #: "early_bird." = the whole group
    other: str  #: the option on which their effect depends
    counts: Callable[[Options], bool]
    needed: Callable[[], str]  #: values of `other` with which they have an effect


def _entries(
    names: tuple[str, ...], registry: Registry[Any], counts: Callable[[Any], bool]
) -> _Rule:
    """Options that have an effect only with some entries of a registry."""

    def needed() -> str:
        found = (name for name, entry in registry.items() if counts(entry))
        return f"{registry.option}={' or '.join(found)}"

    return _Rule(
        names,
        registry.option,
        lambda options: counts(registry.get(options[registry.option])),
        needed,
    )


def _values(names: tuple[str, ...], other: str, *values: str) -> _Rule:
    """Options that have an effect only with some values of another option."""
    *first, last = values
    needed = f"{other}={', '.join(first)} or {last}" if first else f"{other}={last!r}"
    return _Rule(names, other, lambda x: x[other] in values, lambda: needed)


def _is_tfds(options: Options) -> bool:
    return options["data.name"] not in registries.data_set.names()


def _reads_dir(options: Options) -> bool:
    return _is_tfds(options) or registries.data_set.get(options["data.name"]).reads_dir


def _has_scales(model: registries.Model) -> bool:
    return model.normalizes_batches or model.normalizes_examples


def _measures_by_inception(options: Options) -> bool:
    found = (registries.metric.get(name) for name in options["eval.metrics"])
    return any(metric.network == "inception" for metric in found)


# Exceptions: an instability analysis may have all options of its tickets, and an
# experiment may set options of metrics (such as eval.num_samples) that one of its
# smaller sizes does not measure.
_RULES = (
    _Rule(
        ("data.dir",),
        "data.name",
        _reads_dir,
        lambda: "data.name=folder, arrays or the name of a TFDS set",
    ),
    _Rule(
        ("data.download",),
        "data.name",
        _is_tfds,
        lambda: "data.name=NAME of a TFDS set",
    ),
    _entries(("eval.batch_norm",), registries.model, lambda x: x.normalizes_batches),
    _entries(("optimizer.scale_l1",), registries.model, _has_scales),
    _entries(("prune.batches",), registries.saliency, lambda x: x.of_images),
    _values(("early_bird.",), "prune.schedule", "early_bird"),
    _values(
        (
            *("arms", "prune.method", "prune.batches", "prune.exclude"),
            *("prune.sparsities", "prune.rates", "ticket."),
        ),
        "prune.schedule",
        *("iterative", "one_shot", "at_initialization"),
    ),
    _values(("rewind.sweep",), "procedure", "tickets"),
    _values(("rewind.sweep",), "prune.schedule", "iterative", "one_shot"),
    _Rule(
        ("rewind.sweep",),
        "rewind.step",
        lambda options: options["rewind.step"] != "auto",
        lambda: "a rewind.step of steps or epochs",
    ),
    _values(("prune.rates",), "prune.scope", "component", "layer"),
    _values(("dynamic.",), "procedure", "dynamic"),
    _values(
        ("arms", "prune.method", "prune.batches", "prune.schedule", "ticket."),
        "procedure",
        *("tickets", "stability"),
    ),
    _Rule(
        ("stability.",),
        "procedure",
        lambda x: x["procedure"] == "stability" or x["rewind.step"] == "auto",
        lambda: "procedure='stability' or rewind.step='auto'",
    ),
    _Rule(
        ("stability.reset_optimizer",),
        "stability.tickets",
        lambda options: not options["stability.tickets"],
        lambda: "stability.tickets='', as masked copies always begin with a new one",
    ),
    _Rule(
        ("eval.inception_weights", "eval.download_weights"),
        "eval.metrics",
        _measures_by_inception,
        lambda: "eval.metrics by Inception, such as fid",
    ),
)


def without_effect(options: Options, names: Set[str]) -> set[str]:
    """Those of `names` that have no effect by the table.

    Args:
      options: as in `validation.check`.
      names: of options, whether or not they are at their defaults.
    """
    idle = [rule.names for rule in _RULES if not rule.counts(options)]
    return {name for name in names if any(map(name.startswith, idle))}


def check(options: Options, changed: Set[str]) -> None:
    """Refuses options without effect; reports all options of a rule together.

    Args:
      options: as in `validation.check`.
      changed: names of the options that are not at their defaults.

    Raises:
      UserError: names the options, and the values with which they have an effect.
    """
    for rule in _RULES:
        idle = [name for name in sorted(changed) if name.startswith(rule.names)]
        if idle and not rule.counts(options):
            raise UserError(
                ", ".join(f"{name}={options[name]!r}" for name in idle),
                f"only for {rule.needed()}, not {options[rule.other]!r}",
                "leave it out" if len(idle) == 1 else "leave them out",
            )
    for registry in (registries.task, registries.model, registries.optimizer):
        _check_owners(registry, options, changed)


def _check_owners(registry: Registry[Any], options: Options, changed: Set[str]) -> None:
    """Refuses options that only other entries of the registry use."""
    entries, chosen = dict(registry.items()), options[registry.option]
    for name in sorted(changed - set(entries[chosen].options)):
        owners = [other for other, entry in entries.items() if name in entry.options]
        if owners:
            raise UserError(
                f"{name}={options[name]!r}",
                f"only for {registry.option}={' or '.join(owners)}, not {chosen}",
                "leave it out",
            )
