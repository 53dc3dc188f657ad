"""The columns of all tables in a workdir, declared once: type, role, unit, direction.

Readers and writers of CSV files, figures, the verdict and the paper's claims look
columns up here. Metrics and tasks declare columns of their own, see
`config.registries`.

Some columns come in families whose members need no declaration of their own:

- a metric X of a task is measured as `train_X` (on training images, as the network is
  evaluated), as `heldout_X` (on held-out images) and as `interval_X` (mean over the
  training steps since the last evaluation);
- `X_std` is the standard deviation of an estimate X;
- `sparsity_C` is the sparsity of a component C.

A column that is neither declared nor of a family, as in a table of another version, is
a number without a direction.
"""

from gen_tickets.config import registries
from gen_tickets.config.column import Column
from gen_tickets.errors import UserError

_BUILT_IN = (
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
    # Metrics of every task, and of a classifier.
    Column("loss", better="lower", label="loss"),
    Column("accuracy", better="higher", label="accuracy"),
    Column("num_samples", "int", "provenance", label="samples"),
    Column("evaluation", "str", "provenance", label="hash of the evaluation"),
)
_BUILT_IN_NAMES = frozenset(column.name for column in _BUILT_IN)

#: {name: Column} of those that are no metric's or task's own, and of those that
#: `declare` added.
TABLE = {column.name: column for column in _BUILT_IN}

# {prefix: label} of the families of a task's metric.
_FAMILIES = {
    "train_": "{} on training images",
    "heldout_": "held-out {}",
    "interval_": "training {}",
}


def declare(*new: Column) -> None:
    """Adds columns that no metric or task of this process declares.

    A name may be declared again; the last declaration counts.

    Raises:
      UserError: the name is taken, or `better` is no direction.
    """
    for column in new:
        if column.name in _BUILT_IN_NAMES or _of_an_entry(column.name):
            raise UserError(
                f"column {column.name!r}",
                "is one of gen_tickets' own",
                "give yours another name",
            )
        if column.better not in ("lower", "higher", None):
            raise UserError(
                f"column {column.name!r}: better={column.better!r}",
                "says no direction",
                "give 'lower', 'higher' or None",
            )
    TABLE.update({column.name: column for column in new})


def _of_an_entry(name: str) -> Column | None:
    """The column that a metric or a task declares."""
    for registry in (registries.metric, registries.task):
        for _, entry in registry.items():
            for column in entry.columns:
                if column.name == name:
                    return column
    return None


def _declared(name: str) -> Column | None:
    return TABLE.get(name) or _of_an_entry(name)


def is_known(name: str) -> bool:
    """Whether a column is declared, or of a family."""
    return find(name) != Column(name) or _declared(name) is not None


def find(name: str) -> Column:
    """Returns what a column is: as declared, as its family's, or a plain number."""
    declared = _declared(name)
    if declared is not None:
        return declared
    if name.endswith("_std"):
        return find(name.removesuffix("_std")).spread
    if name.startswith("sparsity_"):
        label = f"sparsity of the {name.removeprefix('sparsity_')}"
        return Column(name, role="pruning", label=label)
    for prefix, label in _FAMILIES.items():
        base = _declared(name.removeprefix(prefix))
        if name.startswith(prefix) and base is not None and base.role == "metric":
            label = label.format(base.label or base.name)
            return base._replace(name=name, label=label)
    return Column(name)
