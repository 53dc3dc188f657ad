"""baselines.json: the metrics of trivial models and of real images.

{column of results.csv: {baseline: value}}, such as
{"fd_classifier": {"held-out images": 0.9, "mean training image": 95.0, ...}}.
"""

import json
import math
import pathlib
from collections.abc import Mapping

from gen_tickets.workdir import paths, reading

REAL = "held-out images"  #: no model: a bound for the metric
MEAN = "mean training image"  #: the output for every image
NOISE = "noise images"  #: independent uniform pixels

Baselines = Mapping[str, Mapping[str, float]]


def write(workdir: str | pathlib.Path, found: Baselines) -> None:
    """Writes the finite baselines."""
    finite = {
        column: {name: value for name, value in of.items() if math.isfinite(value)}
        for column, of in found.items()
    }
    text = json.dumps(finite, indent=1) + "\n"
    paths.write_atomically(paths.baselines_path(workdir), text.encode())


def read(workdir: str | pathlib.Path) -> Baselines:
    """Returns the baselines of a workdir; {} if it has none.

    Raises:
      UserError: the file is damaged.
    """
    path = paths.baselines_path(workdir)
    remedy = "restore it, or remove it and run the experiment's command again"
    with reading.explained(path, "table of baselines", remedy):
        if not reading.is_there(path):
            return {}
        found = json.loads(path.read_text(encoding="utf-8"))
        return {
            str(column): {str(name): float(value) for name, value in of.items()}
            for column, of in found.items()
        }
