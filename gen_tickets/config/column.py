"""What a column of a table is: type, role, direction, unit, label."""

from typing import Literal, NamedTuple

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

    @property
    def spread(self) -> "Column":
        """The column of this estimate's standard deviation."""
        label = f"{self.title}, standard deviation"
        return Column(f"{self.name}_std", role="spread", label=label)
