"""A data set of your own: stripes along rows or columns.

python -m gen_tickets.main --config=examples/own_data.py
"""

import numpy as np

from gen_tickets.config import registries
from gen_tickets.data import readers
from gen_tickets.experiments import quickstart

SIDE = 16
COUNTS = {"train": 2000, "heldout": 400}


def draw(split, index):
    """Image `index`: stripes along rows (label 0) or columns (1), uint8 [S, S, 1]."""
    random = np.random.default_rng((split == "train", index))
    waves = np.sin(np.arange(SIDE) * random.uniform(0.3, 2) + random.uniform(0, 6))
    image = np.tile(np.uint8(127.5 * (waves + 1)), (SIDE, 1))
    return (image if index % 2 else image.T)[..., None]


@registries.data_set("stripes")
def stripes(options):
    """Stripes along rows or columns."""

    def read(split, indices, crop, size):
        images = np.stack([draw(split, index) for index in indices])
        labels = np.int32(indices % 2)
        return readers.resize(images, crop, size), labels, set()

    about = {"reader": "own_data.py", "set": "stripes, version 1"}
    return readers.Reader(COUNTS, "heldout", read, about)


def get_config(size="full"):
    config = quickstart.get_config(size)
    config.data.name = "stripes"
    return config
