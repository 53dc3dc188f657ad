"""Tables 1 and 2 of the paper, each row beside what the paper prints."""

import pathlib
from typing import Any

import jax

from gen_tickets import tasks
from gen_tickets.paper import experiment as experiments
from gen_tickets.paper import published
from gen_tickets.paper.claims import Evidence
from gen_tickets.paper.figures import Panel
from gen_tickets.paper.results import Results, column
from gen_tickets.report import statistics, verdict
from gen_tickets.report.statistics import percent

# (H, W, C) of the images, where no option says another size.
_SHAPES = {"mnist": (28, 28, 1), "cifar10": (32, 32, 3), "celeb_a": (64, 64, 3)}


def num_weights(file: str) -> int:
    """Weights of the full-size networks of an experiment file, built without data."""
    variant = experiments.Variant()
    config = experiments.build("full", pathlib.Path(), file, variant).config
    *sides, channels = _SHAPES[config.data.name]
    side = config.data.image_size or sides[0]
    task = tasks.build(config, (side, side, channels), 1)
    params = jax.eval_shape(task.init, jax.random.key(0)).params
    return sum(leaf.size for leaf in jax.tree.leaves(params))


def models(panel: Panel, results: Results) -> list[dict[str, Any]]:
    """Table 1: every model with its weights and the winning sparsity found."""
    lines = []
    for curve in panel.curves:
        model, share = published.find(curve.file)
        found = results.unfinished(curve)
        if not found:
            evidence = results.evidence(curve)
            name = column(panel.measure, [evidence])
            sparsity = verdict.verdict(evidence.rows, name).sparsity
            found = "none" if sparsity is None else percent(sparsity)
        lines.append(
            {
                "model": published.title(curve.file),
                "weights, paper": f"{model.weights:.3g}",
                "weights": num_weights(curve.file),
                "winning sparsity, paper": percent(share),
                "winning sparsity": found,
                "found with": results.instead(curve),
            }
        )
    return lines


def methods(panel: Panel, results: Results) -> list[dict[str, Any]]:
    """Table 2: what each way to a sparse DCGAN costs, and how good it is.

    FLOPs and seconds are of one member's whole training, pruning or search included.
    """
    evidence = [results.evidence(curve) for curve in panel.curves]
    evidence = [one for one in evidence if one is not None]
    name = column(panel.measure, evidence)
    return [_method(one, name) for one in evidence] if name else []


def _method(one: Evidence, name: str) -> dict[str, Any]:
    rows, (*_, quality) = one.last_rows(), one.summaries(name).values()
    last = rows[0]["round"]
    kept = sum(layer["kept"] for layer in one.layers if layer["round"] == last)
    paper = published.TABLE2.get(one.label)
    return {
        "row": one.label,
        "runs": quality.num_runs,
        "diverged": quality.num_diverged,
        name: statistics.mean_std(quality),
        "sparsity": percent(one.mean("sparsity")),
        "weights": f"{kept / len(rows):.0f}",
        "FLOPs": f"{one.flops():.4g}",
        "FLOPs, masked": f"{one.mean('flops_masked'):.4g}",
        "seconds": f"{one.mean('seconds'):.2f}",
        "paper: FID": paper.fid if paper else "",
        "paper: FLOPs": f"{paper.flops:.3g}" if paper else "",
        "paper: seconds": paper.seconds if paper else "",
    }


ROWS = {"table1": models, "table2": methods}
