"""The table of weights: counts against NumPy, the file that is written."""

import re

import networks
import numpy as np
import pytest

from gen_tickets import trees
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.workdir import parameters, paths

TREE = {
    "encoder": {
        "dense_0": {"kernel": np.zeros((3, 4), "f4"), "bias": np.zeros(4, "f4")},
        "temperature": np.zeros((), "f4"),
    },
    "decoder": {"dense_0": {"kernel": np.zeros((2, 5, 6), "f4")}},
}


def lines(table):
    """Cells of every line of a table but the head, numbers as int."""
    found = [[x.strip() for x in line.split("|")[1:-1]] for line in table.split("\n")]
    rows = [cells for cells in found if cells][1:]
    return [
        [int(x.replace(",", "")) if re.fullmatch(r"[\d,]+", x) else x for x in cells]
        for cells in rows
    ]


def test_write_small_tree_lists_arrays_and_components(tmp_path):
    short = parameters.write(tmp_path, TREE, ["encoder/dense_0/kernel"])
    assert lines(short) == [
        ["decoder", 1, 60, 0],
        ["encoder", 3, 17, 12],
        ["total", 4, 77, 12],
    ]
    full, again = paths.parameters_path(tmp_path).read_text().split("\n\n")
    assert again == f"{short}\n"
    assert lines(full) == [
        ["decoder/dense_0/kernel", "(2, 5, 6)", "float32", 60, ""],
        ["encoder/dense_0/bias", "(4,)", "float32", 4, ""],
        ["encoder/dense_0/kernel", "(3, 4)", "float32", 12, "yes"],
        ["encoder/temperature", "()", "float32", 1, ""],
    ]


@pytest.mark.parametrize("name", networks.MODELS)
def test_write_model_counts_equal_numpy_counts(name, tmp_path):
    params = networks.make(name).shapes.params
    prunable = masks_lib.prunable_names(params)
    *components, total = lines(parameters.write(tmp_path, params, prunable))
    sizes = {x: np.prod(leaf.shape) for x, leaf in trees.named_leaves(params).items()}
    for component, arrays, weights, pruned in components:
        of = {x: size for x, size in sizes.items() if x.startswith(f"{component}/")}
        assert (arrays, weights) == (len(of), sum(of.values()))
        assert pruned == sum(size for x, size in of.items() if x in prunable)
    assert [row[0] for row in components] == sorted(params)
    assert total[1:] == np.sum([row[1:] for row in components], axis=0).tolist()
