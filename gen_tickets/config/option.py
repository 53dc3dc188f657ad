"""Kinds of options: which values are allowed, as a test and as text."""

import abc
import dataclasses
import os
import re
from itertools import pairwise
from typing import Any

from gen_tickets.config.registry import Registry, nearest
from gen_tickets.errors import UserError

# The longest possible array axis: larger numbers are refused before an array is made.
_MOST = 2**31 - 1
_STEPS = r"\d{1,9}|\d{1,6}(\.\d+)?ep"  # a number of steps or epochs


def _bounds(low: int, high: int) -> str:
    """The bounds as text, without the upper bound of all numbers."""
    return f">= {low}" if high == _MOST else f"from {low} to {high}"


def _names(choices: Registry | tuple[Any, ...]) -> tuple[Any, ...]:
    return choices.names() if isinstance(choices, Registry) else choices


def _summaries(choices: Registry | tuple[Any, ...]) -> dict[str, str]:
    return choices.summaries() if isinstance(choices, Registry) else {}


@dataclasses.dataclass(frozen=True)
class Option(abc.ABC):
    """An option; subclasses define `allowed` and `is_allowed`."""

    default: Any
    meaning: str  #: with its unit

    @property
    @abc.abstractmethod
    def allowed(self) -> str:
        """The allowed values, as text."""

    @abc.abstractmethod
    def is_allowed(self, value: Any) -> bool:
        """Whether a value is allowed."""

    def summaries(self) -> dict[str, str]:
        """{name: summary} of the entries of a registry."""
        return {}

    def normalize(self, value: Any) -> Any:
        """A value in the form that is stored."""
        return value

    def remedy(self, value: Any) -> str:
        """Suggests an allowed value instead of the given one; "" = unknown."""
        if not hasattr(value, "tolist"):
            return ""
        plain = value.tolist()  # of NumPy or JAX
        return f"give {tuple(plain) if isinstance(plain, list) else plain!r}"

    def refusal(self, name: str, value: Any) -> UserError:
        """The error for a value that is not allowed.

        Args:
          name: of the option, such as "data.batch_size".
        """
        problem = f"allowed is {self.allowed} ({self.meaning})"
        return UserError(f"{name}={value!r}", problem, self.remedy(value))


@dataclasses.dataclass(frozen=True)
class Whole(Option):
    """A whole number from `low` to `high`."""

    low: int = 0
    high: int = _MOST

    @property
    def allowed(self) -> str:
        return f"a whole number {_bounds(self.low, self.high)}"

    def is_allowed(self, value: Any) -> bool:
        return type(value) is int and self.low <= value <= self.high

    def remedy(self, value: Any) -> str:
        if isinstance(value, float) and value.is_integer():  # as 1e3
            value = int(value)
            return f"give {value}" if self.is_allowed(value) else ""
        if type(value) is int and value > self.high:
            return f"give at most {self.high}"
        return super().remedy(value)


@dataclasses.dataclass(frozen=True)
class Steps(Option):
    """A number of steps ("10") or epochs ("2ep"), or "auto"; stored as text."""

    allowed = 'a whole number of steps, a number of epochs as "2ep", or "auto"'

    def normalize(self, value: Any) -> Any:
        return str(value) if type(value) is int else value

    def is_allowed(self, value: Any) -> bool:
        return re.fullmatch(f"{_STEPS}|auto", str(value)) is not None


@dataclasses.dataclass(frozen=True)
class StepsList(Option):
    """A tuple of numbers of steps ("10") or epochs ("2ep"); stored as texts."""

    allowed = 'a tuple of whole numbers of steps, or of epochs as "2ep"'

    def normalize(self, value: Any) -> Any:
        if not isinstance(value, (tuple, list)):
            return value
        return type(value)(str(x) if type(x) is int else x for x in value)

    def is_allowed(self, value: Any) -> bool:
        return isinstance(value, (tuple, list)) and all(
            re.fullmatch(_STEPS, str(x)) is not None for x in value
        )

    def remedy(self, value: Any) -> str:
        listed = tuple(value.split(",")) if isinstance(value, str) else (value,)
        return f"give {listed!r}" if self.is_allowed(listed) else super().remedy(value)


@dataclasses.dataclass(frozen=True)
class Number(Option):
    """A number from `low` to `high`.

    Attributes:
      is_open: whether `low` is excluded.
      is_closed: whether `high` is included.
    """

    low: float = 0.0
    high: float = float("inf")
    is_open: bool = False
    is_closed: bool = False

    @property
    def allowed(self) -> str:
        below, above = "<" if self.is_open else "<=", "<=" if self.is_closed else "<"
        top = "" if self.high == float("inf") else f" {above} {self.high:g}"
        return f"a number x with {self.low:g} {below} x{top}"

    def is_allowed(self, value: Any) -> bool:
        return (
            type(value) in (int, float)
            and (self.low < value if self.is_open else self.low <= value)
            and (value <= self.high if self.is_closed else value < self.high)
        )


@dataclasses.dataclass(frozen=True)
class Switch(Option):
    """True or False."""

    allowed = "True or False"

    def is_allowed(self, value: Any) -> bool:
        return type(value) is bool


@dataclasses.dataclass(frozen=True)
class Text(Option):
    """A string."""

    may_be_empty: bool = True

    @property
    def allowed(self) -> str:
        return "a string" if self.may_be_empty else "a nonempty string"

    def is_allowed(self, value: Any) -> bool:
        return isinstance(value, str) and (self.may_be_empty or value != "")

    def remedy(self, value: Any) -> str:
        return f"give {str(value)!r}" if isinstance(value, os.PathLike) else ""


@dataclasses.dataclass(frozen=True)
class Texts(Option):
    """A tuple of distinct strings."""

    @property
    def allowed(self) -> str:
        return "a tuple of distinct strings"

    def is_allowed(self, value: Any) -> bool:
        return (
            isinstance(value, (tuple, list))
            and all(isinstance(x, str) for x in value)
            and len(set(value)) == len(value)
        )

    def remedy(self, value: Any) -> str:
        return f"give ({value!r},)" if isinstance(value, str) else ""


@dataclasses.dataclass(frozen=True)
class Wholes(Option):
    """A tuple of whole numbers from `low` to `high`; not empty by default."""

    high: int = _MOST
    low: int = 1
    may_be_empty: bool = False

    @property
    def allowed(self) -> str:
        return f"a tuple of whole numbers {_bounds(self.low, self.high)}"

    def is_allowed(self, value: Any) -> bool:
        return (
            isinstance(value, (tuple, list))
            and (self.may_be_empty or len(value) > 0)
            and all(type(x) is int and self.low <= x <= self.high for x in value)
        )


@dataclasses.dataclass(frozen=True)
class Numbers(Option):
    """A tuple of numbers above 0 and below `high`; it may be empty."""

    high: float = float("inf")
    is_increasing: bool = False

    @property
    def allowed(self) -> str:
        increasing = "increasing " if self.is_increasing else ""
        top = "" if self.high == float("inf") else f" < {self.high:g}"
        return f"a tuple of {increasing}numbers x with 0 < x{top}"

    def is_allowed(self, value: Any) -> bool:
        return (
            isinstance(value, (tuple, list))
            and all(type(x) in (int, float) and 0 < x < self.high for x in value)
            and not (self.is_increasing and any(x >= y for x, y in pairwise(value)))
        )

    def remedy(self, value: Any) -> str:
        is_number = type(value) in (int, float)
        return f"give ({value!r},)" if is_number else super().remedy(value)


@dataclasses.dataclass(frozen=True)
class Choice(Option):
    """One value from a registry or from a list.

    Attributes:
      choices: the registry, or the values.
      others: description of other values, which may be any nonempty string; "" = none.
    """

    choices: Registry | tuple[Any, ...]
    others: str = ""

    @property
    def names(self) -> tuple[Any, ...]:
        """The values that are known by name."""
        return _names(self.choices)

    @property
    def allowed(self) -> str:
        listed = ", ".join(map(str, self.names))
        return f"one of {listed}" + (f", or {self.others}" if self.others else "")

    def is_allowed(self, value: Any) -> bool:
        value = tuple(value) if isinstance(value, list) else value
        other = bool(self.others) and isinstance(value, str) and value != ""
        return other or (isinstance(value, (str, tuple)) and value in self.names)

    def summaries(self) -> dict[str, str]:
        others = {"NAME": f"{self.others}."} if self.others else {}
        return _summaries(self.choices) | others

    def remedy(self, value: Any) -> str:
        return nearest(value, self.names) if isinstance(value, str) else ""


@dataclasses.dataclass(frozen=True)
class Choices(Texts):
    """A tuple of values from a registry or from a list."""

    choices: Registry | tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The values that are known by name."""
        return _names(self.choices)

    @property
    def allowed(self) -> str:
        return f"a tuple of some of {', '.join(self.names)}"

    def is_allowed(self, value: Any) -> bool:
        return super().is_allowed(value) and set(value) <= set(self.names)

    def summaries(self) -> dict[str, str]:
        return _summaries(self.choices)

    def remedy(self, value: Any) -> str:
        if not super().is_allowed(value):
            return super().remedy(value)
        unknown = next(name for name in value if name not in self.names)
        if "," in unknown:
            return f"give {tuple(unknown.split(','))!r}"
        return nearest(unknown, self.names)
