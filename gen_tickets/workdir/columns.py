"""The columns of all tables in a workdir, declared once: type, role, unit, direction.

Readers and writers of CSV files, figures, the verdict and the paper's claims look
columns up here. A metric of a user's own adds its columns with `declare`.

Some columns come in families whose members need no declaration of their own:

- a metric X of a task is measured as `train_X` (on training images, as the network is
  evaluated), as `heldout_X` (on held-out images) and as `interval_X` (mean over the
  training steps since the last evaluation);
- `X_std` is the standard deviation of an estimate X;
- `sparsity_C` is the sparsity of a component C.

A column that is neither declared nor of a family, as in a table of another version, is
a number without a direction.
"""

from typing import Literal, NamedTuple

from gen_tickets.errors import UserError

Type = Literal["int", "float", "bool", "str"]
Role = Literal[
    "key",  # says which row it is
    "pruning",  # what the masks keep
    "training",  # how the training went
    "progress",  # after how many steps a loss is lowest
    "search",  # how the search for an early-bird ticket went
    "cost",  # time and operations
    "metric",  # how good the network is, or what it does
    "spread",  # standard deviation of a metric
    "provenance",  # what a metric was measured on
]
Better = Literal["lower", "higher"]


class Column(NamedTuple):
    """What a column of a table is."""

    name: str
    dtype: Type = "float"
    role: Role = "metric"
    better: Better | None = None  #: which values are better; None: neither
    unit: str = ""
    label: str = ""  #: in words, for figures

    @property
    def sign(self) -> int:
        """+1 if higher is better, -1 if lower is, 0 if neither."""
        return {"higher": 1, "lower": -1, None: 0}[self.better]

    @property
    def title(self) -> str:
        """The label, or the name where there is none, and the unit."""
        return (self.label or self.name) + (f" ({self.unit})" if self.unit else "")


_BUILT_IN = (
    Column("round", "int", "key"),
    Column("run", "int", "key"),
    Column("arm", "str", "key"),
    Column("layer", "str", "key"),
    Column("step", "int", "key", label="training step"),
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
    # Metrics of the tasks; see `find` for their families. Neither a KL term nor the
    # losses of two networks that play against each other say how good a model is.
    Column("loss", better="lower", label="loss"),
    Column("reconstruction", better="lower", label="reconstruction error"),
    Column("kl", unit="nats", label="KL divergence"),
    Column("accuracy", better="higher", label="accuracy"),
    Column("discriminator_loss", label="discriminator loss"),
    Column("generator_loss", label="generator loss"),
    Column("discriminator_accuracy_real", label="discriminator accuracy, real"),
    Column("discriminator_accuracy_fake", label="discriminator accuracy, generated"),
    Column("gradient_penalty", label="gradient penalty"),
    Column("sample_spread", label="spread of the samples"),
    # Metrics of samples and reconstructions: `evaluation.scores`.
    Column("fid", better="lower", label="FID"),
    Column("kid", better="lower", label="KID"),
    Column("inception_score", better="higher", label="Inception Score"),
    Column("precision", better="higher", label="precision"),
    Column("recall", better="higher", label="recall"),
    Column("fd_classifier", better="lower", label="Fréchet distance (classifier)"),
    Column("kid_classifier", better="lower", label="kernel distance (classifier)"),
    Column("precision_classifier", better="higher", label="precision (classifier)"),
    Column("recall_classifier", better="higher", label="recall (classifier)"),
    Column(
        "sample_class_entropy", unit="nats", label="entropy of the samples' classes"
    ),
    Column("sample_confidence", label="confidence on samples"),
    Column(
        "accuracy_reconstructions",
        better="higher",
        label="classifier accuracy on reconstructions",
    ),
    Column("num_samples", "int", "provenance", label="samples"),
    Column("evaluation", "str", "provenance", label="hash of the evaluation"),
)
_BUILT_IN_NAMES = frozenset(column.name for column in _BUILT_IN)

#: {name: Column} of all that are declared, in this package or by a user.
TABLE = {column.name: column for column in _BUILT_IN}

# {prefix: label} of the families of a task's metric.
_FAMILIES = {
    "train_": "{} on training images",
    "heldout_": "held-out {}",
    "interval_": "training {}",
}


def declare(*new: Column) -> None:
    """Adds columns, such as those of a metric of a user's own.

    A name may be declared again, as a file that is loaded twice does; the last
    declaration counts.

    Raises:
      UserError: the name is one of gen_tickets' own, or `better` is no direction.
    """
    for column in new:
        if column.name in _BUILT_IN_NAMES:
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


def is_known(name: str) -> bool:
    """Whether a column is declared, or of a family."""
    return name in TABLE or find(name) != Column(name)


def find(name: str) -> Column:
    """Returns what a column is: as declared, as its family's, or a plain number."""
    if name in TABLE:
        return TABLE[name]
    if name.endswith("_std"):
        label = f"{find(name.removesuffix('_std')).title}, standard deviation"
        return Column(name, role="spread", label=label)
    if name.startswith("sparsity_"):
        label = f"sparsity of the {name.removeprefix('sparsity_')}"
        return Column(name, role="pruning", label=label)
    for prefix, label in _FAMILIES.items():
        base = TABLE.get(name.removeprefix(prefix))
        if name.startswith(prefix) and base is not None and base.role == "metric":
            label = label.format(base.label or base.name)
            return base._replace(name=name, label=label)
    return Column(name)
