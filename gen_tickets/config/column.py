"""Description of a table column: type, role, direction, unit and label."""

from typing import Literal, NamedTuple

Type = Literal["int", "float", "bool", "str"]
Role = Literal[
    "key",  # identifies the row
    "pruning",  # sparsity of the masks
    "training",  # outcome of the training
    "progress",  # step at which a loss is lowest
    "search",  # outcome of an early-bird search
    "cost",  # time and operations
    "metric",  # quality or behaviour of the network
    "spread",  # standard deviation of a metric
    "provenance",  # conditions of the measurement
]
Better = Literal["lower", "higher"]


class Column(NamedTuple):
    """The description of a column."""

    name: str
    dtype: Type = "float"
    role: Role = "metric"
    better: Better | None = None  #: which values are better; None: neither
    unit: str = ""
    label: str = ""  #: readable name, for figures

    @property
    def sign(self) -> int:
        """+1 if higher is better, -1 if lower is, 0 if neither."""
        return {"higher": 1, "lower": -1, None: 0}[self.better]

    @property
    def wording(self) -> str:
        """The label, or the name if there is none."""
        return self.label or self.name

    @property
    def title(self) -> str:
        """The wording with the unit."""
        return self.wording + (f" ({self.unit})" if self.unit else "")

    @property
    def spread(self) -> "Column":
        """The column of this estimate's standard deviation."""
        label = f"{self.title}, standard deviation"
        return Column(f"{self.name}_std", role="spread", label=label)
