"""Registries: the choices of an option, each added by a decorated function.

A name is written only in its decorator. The names of built-in entries are read from the
source of their package without importing it; the module of an entry is imported at its
first use. So `--help` and errors for mistyped names do not load JAX.
"""

import ast
import difflib
import functools
import importlib
import importlib.resources
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, NamedTuple, TypeVar

from gen_tickets.errors import UserError

Entry = TypeVar("Entry")
Function = TypeVar("Function", bound=Callable)


def nearest(name: object, names: Iterable[str]) -> str:
    """The remedy for a mistyped name, "did you mean 'adam'?"; "" if none is close."""
    matches = difflib.get_close_matches(str(name), names, n=1)
    return f"did you mean {matches[0]!r}?" if matches else ""


class _Declared(NamedTuple):
    """A built-in entry, as read from its source."""

    module: str
    summary: str


def _first_line(docstring: str | None) -> str:
    return (docstring or "").strip().partition("\n")[0]


class Registry(Generic[Entry]):
    """The choices of one option; calling it returns a decorator that adds one.

    Attributes:
      option: the option whose values are the names, such as "prune.method".
    """

    def __init__(
        self, kind: str, option: str, entry: Callable[..., Entry], package: str
    ):
        """Creates a registry without importing its entries.

        Args:
          kind: the name of this registry in `registries`, used to find its decorators
            in the source.
          option: see the attribute.
          entry: (function, **attributes) -> what `get` returns.
          package: the package or module of gen_tickets with the built-in entries.
        """
        self.option = option
        self._kind, self._make, self._package = kind, entry, package
        self._entries: dict[str, Entry] = {}
        self._summaries: dict[str, str] = {}

    def __call__(
        self, name: str, *, summary: str = "", **attributes: Any
    ) -> Callable[[Function], Function]:
        """Returns a decorator that adds a function under a name.

        A user-defined name may be added again, for instance by a file that is loaded
        twice; the last function wins.

        Args:
          name: the value of the option.
          summary: its help; "": the first line of the function's docstring.
          **attributes: further fields of the entry, see `registries`.

        Raises:
          UserError: a built-in entry has this name.
        """

        def register(function: Function) -> Function:
            built_in = self._built_in.get(name)
            if built_in is not None and built_in.module != function.__module__:
                raise UserError(
                    f"{self.option}={name!r}",
                    "is built in",
                    "choose another name",
                )
            self._entries[name] = self._make(function, **attributes)
            self._summaries[name] = summary or _first_line(function.__doc__)
            return function

        return register

    def names(self) -> tuple[str, ...]:
        """All names, built-in ones first; imports nothing."""
        return tuple(self.summaries())

    def summaries(self) -> dict[str, str]:
        """{name: help in one line}; imports nothing."""
        built_in = {name: found.summary for name, found in self._built_in.items()}
        return built_in | self._summaries

    def get(self, name: str) -> Entry:
        """The entry with a name; imports the module of a built-in one.

        Raises:
          UserError: there is no such entry.
        """
        if name not in self._entries and name in self._built_in:
            importlib.import_module(self._built_in[name].module)
        if name not in self._entries:
            raise UserError(
                f"{self.option}={name!r}",
                f"allowed is one of {', '.join(self.names())}",
                nearest(name, self.names()),
            )
        return self._entries[name]

    def loaded(self) -> tuple[Entry, ...]:
        """The entries whose modules are already imported; imports nothing."""
        return tuple(self._entries.values())

    def items(self) -> list[tuple[str, Entry]]:
        """(name, entry) of all entries; imports their modules."""
        return [(name, self.get(name)) for name in self.names()]

    @functools.cached_property
    def _built_in(self) -> dict[str, _Declared]:
        """The entries that come with gen_tickets."""
        return {
            name: _Declared(module, summary)
            for module, source in _sources(self._package)
            if f"@registries.{self._kind}(" in source
            for name, summary in _decorated(source, self._kind)
        }


def _sources(package: str) -> Iterator[tuple[str, str]]:
    """(name, source) of a module, or of a package's modules; imports neither."""
    root, *path = package.split(".")
    place = importlib.resources.files(root).joinpath(*path)
    if place.is_dir():
        files = sorted(place.iterdir(), key=lambda file: file.name)
        modules = {f"{package}.{file.name.removesuffix('.py')}": file for file in files}
    else:
        modules = {package: importlib.resources.files(root) / f"{'/'.join(path)}.py"}
    for name, file in modules.items():
        if file.name.endswith(".py"):
            yield name, file.read_text(encoding="utf-8")


def _decorated(source: str, kind: str) -> Iterator[tuple[str, str]]:
    """(name, help) of the functions decorated with `@registries.<kind>("name")`."""
    for definition in ast.parse(source).body:
        if not isinstance(definition, ast.FunctionDef):
            continue
        first_line = _first_line(ast.get_docstring(definition))
        for decorator in definition.decorator_list:
            match decorator:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="registries"), attr=attribute),
                    args=[ast.Constant(value=str(name))],
                    keywords=keywords,
                ) if (
                    attribute == kind
                ):
                    given = {x.arg: x.value for x in keywords}.get("summary")
                    summary = given and ast.literal_eval(given)
                    yield name, summary or first_line
