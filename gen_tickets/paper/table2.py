"""The paper's Table 2: one GAN unpruned, by four kinds of tickets, and in 16 bits.

Behind the rows are experiments, each in a folder of its own under the workdir, which go
on where they were stopped; then one table is printed, and kept as table2.csv and
table2.html. Quality is the FID where Inception's weights are at hand, else the Fréchet
distance in the features of a classifier (`fd_classifier`, no FID).
"""

import csv
import io
import pathlib
from typing import Any, NamedTuple

import numpy as np

from gen_tickets.config import defaults
from gen_tickets.distributed import processes
from gen_tickets.errors import UserError
from gen_tickets.evaluation import metrics
from gen_tickets.evaluation.scores import check_counts
from gen_tickets.report import page, statistics
from gen_tickets.workdir import paths, tables


class Published(NamedTuple):
    """What the paper prints of a row."""

    fid: float
    flops: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.fid}, {self.flops / 1e16:.2f}e16, {self.seconds:.1f} s"


class Row(NamedTuple):
    """A line of the table: which rows of which experiment."""

    label: str
    experiment: str
    arm: str
    flops: str  #: the column of what it costs on a machine without sparse kernels
    paper: Published | None = None


_EARLY_BIRD = ("early_bird", "flops_compact")

ROWS = (
    Row("unpruned", "imp", "dense", "flops_dense", Published(37.71, 1.12e16, 4590.5)),
    Row(
        *("IMP, winning", "imp", "winning", "flops_dense"),
        Published(37.77, 1.16e16, 4477.7),
    ),
    Row("IMP mask, random weights", "imp", "random", "flops_dense"),
    Row("early-bird", "early_bird", *_EARLY_BIRD, Published(33.49, 0.13e16, 2417.07)),
    Row(
        *("early-bird, bfloat16", "early_bird_bfloat16", *_EARLY_BIRD),
        Published(34.28, 0.13e16, 2131.09),
    ),
    Row("SNIP", "snip", "winning", "flops_dense", Published(56.02, 1.12e16, 4689.5)),
    Row("GraSP", "grasp", "winning", "flops_dense", Published(65.53, 1.12e16, 4603.3)),
)


def experiments(config) -> dict[str, Any]:
    """{name: config} of the experiments behind the rows, the folder of each as name.

    Args:
      config: that of iterative magnitude pruning; all others are changes of it.

    Raises:
      UserError: one of them is not valid.
    """
    config = config.copy_and_resolve_references()
    config.eval.verdict = distance(config)
    config.eval.metrics = tuple(
        dict.fromkeys((*config.eval.metrics, config.eval.verdict))
    )
    rounds = config.prune.rounds
    sparsity = 1 - (1 - config.prune.fraction) ** rounds
    at_start = {
        "arms": ("winning",),
        "prune.schedule": "at_initialization",
        "prune.rounds": 1,
        "prune.fraction": sparsity,
        "rewind.step": 0,
    }
    in_channels = {
        "prune.schedule": "early_bird",
        "prune.rounds": 1,
        "prune.fraction": defaults.EARLY_BIRD_CHANNELS,
        "rewind.step": 0,
    }
    changes = {
        "imp": {},
        "early_bird": in_channels,
        "early_bird_bfloat16": {**in_channels, "precision": "bfloat16"},
        "snip": {**at_start, "prune.method": "snip"},
        "grasp": {**at_start, "prune.method": "grasp"},
    }
    found = {}
    for name, changed in changes.items():
        found[name] = config.copy_and_resolve_references()
        found[name].update_from_flattened_dict({"suite": "", **changed})
        if changed.get("prune.schedule") != "early_bird":
            found[name].early_bird.update(defaults.get_config().early_bird)
        defaults.validate(found[name])
    return found


def distance(config) -> str:
    """The Fréchet distance that this machine, with so many images, can measure."""
    options = config.eval
    counts = {"eval.num_samples": options.num_samples}
    if config.data.limit:
        counts["data.limit"] = config.data.limit
    try:
        metrics.find_inception(options.inception_weights, options.download_weights)
        check_counts(("fid",), counts)
    except UserError:
        return "fd_classifier"
    return "fid"


def rows_of(row: Row, workdir) -> list[dict[str, Any]]:
    """The rows of results.csv behind a line; `seconds` are those of one member."""
    folder = pathlib.Path(workdir) / row.experiment
    everything = tables.read_rows(paths.results_path(folder))
    last = max(x["round"] for x in everything if x["arm"] == row.arm)
    # A round's seconds are those of all its members; early-bird runs are alone.
    alone = row.arm == "early_bird"
    members = 1 if alone else sum(x["round"] == last for x in everything)
    return [
        {**x, "seconds": x["seconds"] / members}
        for x in everything
        if (x["arm"], x["round"]) == (row.arm, last)
    ]


def _line(row: Row, workdir, column: str) -> dict[str, str]:
    """One line of the table, from the files of its experiment."""
    rows = rows_of(row, workdir)
    last = rows[0]["round"]
    folder = pathlib.Path(workdir) / row.experiment
    layers = tables.read_rows(paths.layers_path(folder))
    kept = [x["kept"] for x in layers if x["round"] == last]
    quality = statistics.summarize(rows, column)[row.arm][last]
    return {
        "row": row.label,
        "runs": str(len(rows)),
        "diverged": str(quality.num_diverged),
        column: statistics.mean_std(quality),
        "sparsity": statistics.percent(float(np.mean([x["sparsity"] for x in rows]))),
        "weights": f"{sum(kept) / len(rows):.0f}",
        "FLOPs": f"{np.mean([x[row.flops] for x in rows]):.4g}",
        "FLOPs, masked": f"{np.mean([x['flops_masked'] for x in rows]):.4g}",
        "seconds": f"{np.mean([x['seconds'] for x in rows]):.2f}",
        "paper: FID, FLOPs, seconds": str(row.paper or ""),
    }


def table(workdir, column: str) -> list[dict[str, str]]:
    """The lines of the table, from the files of all its experiments.

    Args:
      workdir: of `run`.
      column: what quality is, `distance` of the config.
    """
    return [_line(row, workdir, column) for row in ROWS]


def _text(lines: list[dict[str, str]]) -> str:
    """The table with columns of even width."""
    table = [list(lines[0]), *(list(line.values()) for line in lines)]
    widths = [max(map(len, column)) for column in zip(*table)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths)).rstrip()
        for cells in table
    )


def _write(workdir, lines: list[dict[str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, lines[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    paths.write_atomically(paths.table2_path(workdir, "csv"), text.getvalue().encode())
    note = (
        "Weights: kernel weights that are kept. FLOPs and seconds: of a whole training "
        "(pruning or search included; convention: evaluation/flops.py); those of one "
        "member where several train together."
    )
    pieces = [
        page.paragraph(note, "note"),
        page.table(list(lines[0]), [list(line.values()) for line in lines]),
    ]
    document = page.document("Table 2", pieces)
    paths.write_atomically(paths.table2_path(workdir, "html"), document)


def run(config, workdir, run_one) -> None:
    """Runs all experiments of the table, or goes on with them, and prints it.

    Args:
      config: validated options of iterative magnitude pruning.
      workdir: folder of all the experiments' folders and of the table.
      run_one: (config, workdir) runs one of them, as `procedures.run` does.

    Raises:
      UserError, errors.Interrupted: as `run_one`.
    """
    for name, one in experiments(config).items():
        run_one(one, pathlib.Path(workdir) / name)
    if processes.is_first():
        lines = table(workdir, distance(config))
        _write(workdir, lines)
        print(_text(lines))
        print(f"table: {paths.table2_path(workdir, 'html')}")
