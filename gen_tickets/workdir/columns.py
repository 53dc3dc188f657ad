"""The columns of all tables in a workdir: type, role, unit, direction, label.

Readers and writers of CSV files, figures, the verdict and the paper's claims look
columns up here. Metrics and tasks declare their own columns, see `config.registries`;
all others are declared below.

Columns of these families need no declaration:

- a metric X of a task is measured as `train_X` (on training images, in evaluation
  mode), `heldout_X` (on held-out images) and `interval_X` (mean over the training steps
  since the last evaluation);
- `X_std` is the standard deviation of an estimate X;
- `sparsity_C` is the sparsity of a component C.

A column that is neither declared nor in a family, as in a table of another version, is
a number without a direction.
"""

from collections.abc import Callable, Iterable
from typing import Any, get_args

from gen_tickets.config import registries
from gen_tickets.config.column import Better, Column, Role, Type

_OF_NO_ENTRY = (
    Column("round", "int", "key"),
    Column("run", "int", "key"),
    Column("arm", "str", "key"),
    Column("layer", "str", "key"),
    Column("step", "int", "key", label="training step"),
    Column("copy_a", "int", "key", label="one copy"),
    Column("copy_b", "int", "key", label="the other copy"),
    Column("point", role="key", label="point between two copies"),
    Column("sparsity", role="pruning"),
    Column("remaining", role="pruning", label="remaining weights"),
    Column("total", "int", "pruning", label="weights"),
    Column("kept", "int", "pruning", label="weights kept"),
    Column("floored_layers", "int", "pruning", label="layers at the floor"),
    Column("steps", "int", "training", label="training steps"),
    Column("diverged", "bool", "training"),
    Column("early_stop_step", "int", "progress", label="early-stopping step"),
    Column("found_epoch", "int", "search", label="epoch of the ticket"),
    Column("search_epochs", "int", "search", label="epochs of the search"),
    Column("seconds", "float", "cost", "lower", "s", "training time"),
    Column("flops_dense", "float", "cost", "lower", "FLOPs", "dense training"),
    Column("flops_masked", "float", "cost", "lower", "FLOPs", "masked training"),
    Column("flops_compact", "float", "cost", "lower", "FLOPs", "compact training"),
    # Metrics of every task and of a classifier.
    Column("loss", better="lower", label="loss"),
    Column("accuracy", better="higher", label="accuracy"),
    Column("num_samples", "int", "provenance", label="samples"),
    Column("evaluation", "str", "provenance", label="hash of the evaluation"),
)
_TABLE = {column.name: column for column in _OF_NO_ENTRY}

# Columns described by columns.json of a workdir.
_remembered: dict[str, Column] = {}

# {prefix: label} of the families of task metrics.
_FAMILIES = {
    "train_": "training {}",
    "heldout_": "held-out {}",
    "interval_": "mean {} of training steps",
}


def find(name: str) -> Column:
    """Returns a column: declared, from its family, or a plain number.

    Imports modules that declare columns only for unknown names, so that a report of a
    workdir with columns.json does not need JAX.
    """
    column = _resolve(name, _without_import) or _resolve(name, _of_any_entry)
    if column is None and name.endswith("_std"):
        return Column(name.removesuffix("_std")).spread
    return column or Column(name)


def metric_of(name: str) -> str:
    """The task metric that a column measures: "loss" for "heldout_loss"."""
    for prefix in _FAMILIES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return name


def remember(*described: Column) -> None:
    """Adds the columns described by a workdir, for names unknown to this process."""
    _remembered.update({column.name: column for column in described})


def is_valid(column: Column) -> bool:
    """Whether every field has an allowed value."""
    return (
        column.dtype in get_args(Type)
        and column.role in get_args(Role)
        and column.better in (*get_args(Better), None)
        and all(isinstance(x, str) for x in (column.name, column.unit, column.label))
    )


def _resolve(name: str, look_up: Callable[[str], Column | None]) -> Column | None:
    """A declared column, or one in the family of a declared one; else None."""
    column = look_up(name)
    if column is not None:
        return column
    if name.endswith("_std"):
        base = _resolve(name.removesuffix("_std"), look_up)
        return None if base is None else base.spread
    if name.startswith("sparsity_"):
        label = f"sparsity of the {name.removeprefix('sparsity_')}"
        return Column(name, role="pruning", label=label)
    for prefix, label in _FAMILIES.items():
        base = look_up(name.removeprefix(prefix))
        if name.startswith(prefix) and base is not None and base.role == "metric":
            label = label.format(base.label or base.name)
            return base._replace(name=name, label=label)
    return None


def _without_import(name: str) -> Column | None:
    """The column declared in this process so far, else described by a workdir."""
    entries = (*registries.metric.loaded(), *registries.task.loaded())
    return _TABLE.get(name) or _among(entries, name) or _remembered.get(name)


def _of_any_entry(name: str) -> Column | None:
    """The column declared by any metric or task, else a plain number."""
    entries = [x for _, x in (*registries.metric.items(), *registries.task.items())]
    return _TABLE.get(name) or _among(entries, name)


def _among(entries: Iterable[Any], name: str) -> Column | None:
    return next((x for of in entries for x in of.columns if x.name == name), None)
