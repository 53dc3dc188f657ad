"""Human-readable tables of the weights of an experiment's networks."""

import dataclasses
import pathlib
from collections.abc import Collection, Mapping
from typing import Any

from clu import parameter_overview

from gen_tickets import trees
from gen_tickets.workdir import paths


@dataclasses.dataclass(frozen=True)
class _Leaf:
    """A line of the table of weight arrays."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    weights: int
    prunable: str


@dataclasses.dataclass(frozen=True)
class _Component:
    """A line of the table of components."""

    component: str
    arrays: int
    weights: int
    prunable: int


def write(
    workdir: str | pathlib.Path, params: trees.Tree, prunable: Collection[str]
) -> str:
    """Writes parameters.txt, with one line per weight array and per component.

    Args:
      workdir: of the experiment.
      params: weights of one run, or their shapes; the first level is the component.
      prunable: names of the arrays that may be pruned.

    Returns:
      The table of components.
    """
    leaves = trees.named_leaves(params)
    of_leaves = [
        _Leaf(name, x.shape, str(x.dtype), x.size, "yes" if name in prunable else "")
        for name, x in leaves.items()
    ]
    short = parameter_overview.make_table(_components(leaves, prunable))
    text = f"{parameter_overview.make_table(of_leaves)}\n\n{short}\n"
    paths.write_atomically(paths.parameters_path(workdir), text.encode())
    return short


def _components(
    leaves: Mapping[str, Any], prunable: Collection[str]
) -> list[_Component]:
    """One line per component, then one with the sums."""
    groups: dict[str, dict[str, Any]] = {}
    for name, leaf in leaves.items():
        groups.setdefault(name.split("/")[0], {})[name] = leaf
    return [
        _Component(
            component,
            arrays=len(group),
            weights=_count(group),
            prunable=_count({x: group[x] for x in group if x in prunable}),
        )
        for component, group in [*groups.items(), ("total", leaves)]
    ]


def _count(leaves: Mapping[str, Any]) -> int:
    return int(parameter_overview.count_parameters(leaves))
