"""Figures and one self-contained page for a workdir, from its files alone.

- python -m gen_tickets.report WORKDIR: redraws WORKDIR/report.html.
- python -m gen_tickets.report WORKDIR WORKDIR ...: lays them over one another in
  comparison.html (see --output).

Read: config.json, results.csv, and where they exist columns.json, layers.csv,
curves.csv and samples/. Anything may be half finished: what is not there yet is left
out of the page.
"""

import pathlib
from typing import NamedTuple, Sequence

from gen_tickets.report import figures, learning, outcomes, page, sections, statistics
from gen_tickets.report.outcomes import Outcome
from gen_tickets.report.page import Picture
from gen_tickets.report.verdict import Verdict
from gen_tickets.workdir import columns as columns_lib
from gen_tickets.workdir import paths, searches

_LOOKS = {
    "dense": ("-", "", figures.GREY),
    "winning": ("-", "o", figures.BLUE),
    "random": ("--", "s", figures.ORANGE),
    "early_bird": ("-", "D", figures.GREEN),
}


class Metrics(NamedTuple):
    """The figures against sparsity, that of the verdict's metric first."""

    name: str
    main: bytes | None
    others: list[Picture]


def draw(
    workdir: str | pathlib.Path,
    output: str | pathlib.Path | None = None,
    metric: str = "",
) -> pathlib.Path:
    """Draws the figures/*.png and the page of one workdir; returns the page's path.

    Args:
      workdir: of a run that has finished a round or more.
      output: where the page goes; None: report.html in the workdir.
      metric: see `outcomes.load`.
    """
    run = outcomes.load(workdir, metric)
    judged = run.judge()
    output = paths.report_path(workdir) if output is None else pathlib.Path(output)
    paths.write_atomically(output, _report(run, judged))
    return output


def _report(run: Outcome, judged: Verdict) -> bytes:
    against_sparsity = draw_metrics([run], [""])
    of_learning = _draw_learning(run)
    searched = _draw_searches(run)
    pngs = {**against_sparsity, **{f"learning_{k}": v for k, v in of_learning.items()}}
    pngs |= {f"mask_distance_{number}": png for number, (png, _) in searched.items()}
    layers = None
    if run.layers:
        layers = figures.draw_layers(statistics.layer_sparsity(run.layers))
        pngs["layers"] = layers
    for name, png in pngs.items():
        paths.write_atomically(paths.figures_dir(run.workdir) / f"{name}.png", png)
    notes = [*judged.notes]
    if run.paper_sparsity > 0:
        share = statistics.percent(run.paper_sparsity)
        notes.append(f"The paper found a winning ticket at {share} sparsity here.")
    return page.render(
        "report.html",
        title=run.workdir.resolve().name,
        verdict=judged,
        notes=notes,
        metrics=_metrics(against_sparsity, run.metric),
        learning=[(png, name) for name, png in of_learning.items()],
        layers=layers,
        searches=list(searched.values()),
        rounds=sections.rounds(run, judged),
        samples=sections.samples(run),
        results=sections.results(run.rows),
        parameters=sections.parameters(run.workdir),
        config=sections.facts(run.config),
    )


def axis_label(name: str) -> str:
    """What a figure writes beside an axis: a column, and which side is better."""
    column = columns_lib.find(name)
    better = f"{column.better} is better" if column.better else ""
    return f"{column.title}\n{better}".strip()


def draw_metrics(runs: list[Outcome], labels: list[str]) -> dict[str, bytes]:
    """Returns {column: PNG}: the first run's verdict metric, then all others.

    Args:
      runs: of one or more workdirs; with several, each has a colour of its own.
      labels: a name for each in the legend.
    """
    names = [runs[0].metric]
    for role in ("metric", "progress"):
        names += [x for run in runs for x in statistics.of_role(run.rows, role)]
    pngs = {}
    for name in dict.fromkeys(names):
        curves, baselines = _curves(runs, labels, name)
        drawn = [b.summary for b in baselines] + [p for c in curves for p in c.points]
        if any(summary.values for summary in drawn):
            pngs[name] = figures.draw_metric(
                curves,
                baselines,
                axis_label(name),
                runs[0].paper_sparsity,
                small=name != runs[0].metric,
            )
    return pngs


def _curves(
    runs: list[Outcome], labels: list[str], metric: str
) -> tuple[list[figures.Curve], list[figures.Baseline]]:
    """Returns what `figures.draw_metric` draws of one column: curves and baselines.

    One run has a colour for each arm. Several have a colour each, and one line each
    in the legend, that of the winning arm where there is one.
    """
    curves, baselines = [], []
    several = len(runs) > 1
    for index, (run, label) in enumerate(zip(runs, labels)):
        own = figures.PALETTE[index % len(figures.PALETTE)]
        arms = statistics.summarize(run.rows, metric)
        lead = next((arm for arm in arms if arm != "dense"), "dense")
        for arm, of in arms.items():
            points = tuple(of.values())
            runs_told = f"(n = {max(point.num_runs for point in points)})"
            is_told = arm == lead or not several
            name = f"{label or arm} {runs_told}" if is_told else None
            line, marker, color = _LOOKS.get(arm, (":", "^", figures.GREEN))
            color = own if several else color
            if arm == "dense":
                baselines.append(figures.Baseline(name, color, points[0]))
            else:
                curves.append(figures.Curve(name, color, line, marker, points))
    return curves, baselines


def _metrics(pngs: dict[str, bytes], main: str) -> Metrics:
    others = [(png, name) for name, png in pngs.items() if name != main]
    return Metrics(main, pngs.get(main), others)


def _draw_learning(run: Outcome) -> dict[str, bytes]:
    """{metric: PNG} of the learning curves, the verdict's metric first."""
    if not run.curves:
        return {}
    sparsity = {row["round"]: row["sparsity"] for row in run.rows}
    labels = {n: f"round {n}, {statistics.percent(x)}" for n, x in sparsity.items()}
    found = learning.learning(run.curves, labels)
    first = (columns_lib.metric_of(run.metric), "loss")
    found.sort(key=lambda x: first.index(x.metric) if x.metric in first else len(first))
    return {
        x.metric: figures.draw_learning(x.arms, x.dense, axis_label(x.metric))
        for x in found
    }


def _draw_searches(run: Outcome) -> dict[int, Picture]:
    """{run: mask distances} of every early-bird search that there is."""
    pictures = {}
    for number in sorted({row["run"] for row in run.rows}):
        path = paths.search_path(run.workdir, number)
        if path.exists():
            search = searches.load(path)
            distances = searches.distances(search.drawn)
            told = f"found at epoch {search.found}" if search.found else "none found"
            png = figures.draw_distances(distances, search.found)
            pictures[number] = (png, f"run {number}: {told}")
    return pictures


def compare(
    folders: Sequence[str | pathlib.Path],
    output: str | pathlib.Path,
    metric: str = "",
) -> pathlib.Path:
    """Lays several workdirs over one another in one page at `output`; returns it."""
    runs = [outcomes.load(workdir, metric) for workdir in folders]
    differences = outcomes.differences([run.config for run in runs])
    labels = outcomes.labels(runs, differences)
    judged = [run.judge() for run in runs]
    rows = [("folder", *(str(run.workdir) for run in runs))]
    rows += [(name, *map(str, values)) for name, values in differences.items()]
    content = page.render(
        "comparison.html",
        title="Comparison",
        verdicts=list(zip(labels, judged)),
        metrics=_metrics(draw_metrics(runs, labels), runs[0].metric),
        differences=page.Table(("option", *labels), rows),
    )
    paths.write_atomically(output, content)
    return pathlib.Path(output)
