"""Draws the figures and the self-contained page of a workdir, from its files alone.

- python -m gen_tickets.report WORKDIR: redraws WORKDIR/report.html.
- python -m gen_tickets.report WORKDIR WORKDIR ...: compares them in comparison.html.

Reads config.json, results.csv and, if they exist, columns.json, layers.csv, curves.csv,
searches/ and samples/; for an instability analysis, stability.csv; for a sweep over
rewind steps, the workdirs of its experiments. Runs may be
unfinished: the page omits what does not exist yet. Writes only the page and the folder
of its figures.
"""

import os
import pathlib
from collections.abc import Iterable, Sequence

import pandas as pd

from gen_tickets.errors import UserError
from gen_tickets.report import (
    charts,
    figures,
    heatmaps,
    learning,
    outcomes,
    page,
    rewinds,
    sections,
    sparsity,
    stability,
    statistics,
)
from gen_tickets.report.charts import Chart, Figure, Heatmap
from gen_tickets.report.outcomes import Outcome
from gen_tickets.report.verdict import Verdict
from gen_tickets.workdir import columns as columns_lib
from gen_tickets.workdir import paths, searches


def draw(
    workdir: str | pathlib.Path,
    output: str | pathlib.Path | None = None,
    metric: str = "",
) -> pathlib.Path:
    """Draws the page of one workdir and its figures; returns the page's path.

    Args:
      workdir: of a run or sweep that has finished at least one round, or of an
        instability analysis.
      output: path of the page, or its folder; None: the workdir. The figures are next
        to it, as PNG, SVG, PDF and CSV.
      metric: see `outcomes.load`, of an analysis `stability.load`.

    Raises:
      UserError: there is no such workdir, it is damaged, or the page cannot be written.
    """
    workdir = pathlib.Path(workdir)
    if output is None and workdir.is_dir() and not os.access(workdir, os.W_OK):
        raise UserError(workdir, "is read-only", "give --output=FOLDER for the page")
    name = paths.report_path(workdir).name
    output = _page_path(workdir if output is None else output, name)
    if paths.stability_path(workdir).exists():
        content = _stability(workdir, output, metric)
    elif rewinds.is_sweep(workdir):
        content = _sweep(workdir, output, metric)
    else:
        content = _report(outcomes.load(workdir, metric), output)
    paths.write_atomically(output, content)
    return output


def _page_path(output: str | pathlib.Path, name: str) -> pathlib.Path:
    path = paths.expanded(output)
    return path if path.suffix.lower() in (".html", ".htm") else path / name


def figures_dir(page_path: pathlib.Path) -> pathlib.Path:
    """The folder of a page's figures, next to the page."""
    stem = page_path.stem
    return page_path.with_name("figures" if stem == "report" else f"{stem}_figures")


def _write_figures(folder: pathlib.Path, drawn: Iterable[Figure]) -> None:
    for figure in drawn:
        files = {**figures.draw_files(figure), "csv": charts.to_csv(figure)}
        for suffix, content in files.items():
            paths.write_atomically(folder / f"{figure.name}.{suffix}", content)


def _report(run: Outcome, output: pathlib.Path) -> bytes:
    judged = run.judge()
    against = sparsity.charts([run], [""], judged)
    of_learning = _learning(run)
    layers = (
        heatmaps.layers(statistics.layer_sparsity(run.layers)) if run.layers else None
    )
    searched = _searches(run)
    analysis = _rewind_point(run)
    drawn: list[Figure] = [*against, *(x for of in of_learning for x in of), *searched]
    drawn += [layers] if layers else []
    drawn += [analysis.chart] if analysis else []
    folder = figures_dir(output)
    _write_figures(folder, drawn)
    fixed, samples = sections.samples(run)
    return page.render(
        "report.html",
        title=run.workdir.resolve().name,
        subtitle=_subtitle(run.config),
        folder=folder.name,
        verdict=judged,
        notes=_notes(run, judged),
        charts=against,
        learning=of_learning,
        layers=layers,
        searches=searched,
        stability=analysis,
        fixed=fixed,
        samples=samples,
        rounds=sections.rounds([run], [""], [judged]),
        results=sections.results(run.rows),
        parameters=sections.parameters(run.workdir),
        config=sections.facts(run.config),
    )


def _subtitle(options: dict[str, object]) -> str:
    """One line about what was trained."""
    told = (
        ("data.name", "{}"),
        ("model.name", "{}"),
        ("runs", "{} runs"),
        ("prune.rounds", "{} rounds"),
        ("provenance.devices", "{}"),
        ("provenance.time", "{}"),
    )
    return ", ".join(form.format(options[x]) for x, form in told if options.get(x))


def _notes(run: Outcome, judged: Verdict) -> list[str]:
    if run.paper_sparsity <= 0:
        return list(judged.notes)
    share = statistics.percent(run.paper_sparsity)
    return [
        *judged.notes,
        f"The paper found a winning ticket at {share} sparsity here.",
    ]


def _learning(run: Outcome) -> list[list[Chart]]:
    """The learning curves, with a chart per arm; the verdict's metric is first."""
    if not run.curves:
        return []
    shares = pd.DataFrame(run.rows).groupby("round")["sparsity"].mean()
    labels = {n: f"round {n}, {statistics.percent(x)}" for n, x in shares.items()}
    labels[0] = "dense" if 0 in labels else "search"
    found = learning.learning(run.curves, labels)
    first = (columns_lib.metric_of(run.metric), "loss")
    found.sort(key=lambda x: first.index(x.metric) if x.metric in first else len(first))
    return [learning.charts(one) for one in found]


def _searches(run: Outcome) -> list[Heatmap]:
    """The mask distances of every early-bird search."""
    found = []
    for number in sorted({row["run"] for row in run.rows}):
        path = paths.search_path(run.workdir, number)
        if path.exists():
            search = searches.load(path)
            distances = searches.distances(search.drawn)
            found.append(heatmaps.distances(distances, search.found, number))
    return found


def _rewind_point(run: Outcome) -> stability.Stability | None:
    """The analysis that chose the rewind step, if there was one."""
    folder = paths.beside(run.workdir, "-stability")
    if not paths.stability_path(folder).exists():
        return None
    return stability.load(folder)


def _stability(workdir: pathlib.Path, output: pathlib.Path, metric: str) -> bytes:
    """The page of an instability analysis."""
    config = outcomes.config_of(workdir)
    found = stability.load(workdir, metric)
    folder = figures_dir(output)
    _write_figures(folder, [found.chart])
    return page.render(
        "stability.html",
        title=workdir.resolve().name,
        subtitle=_subtitle(config),
        folder=folder.name,
        stability=found,
        steps=sections.steps(found),
        config=sections.facts(config),
    )


def compare(
    folders: Sequence[str | pathlib.Path],
    output: str | pathlib.Path,
    metric: str = "",
) -> pathlib.Path:
    """Compares several workdirs on one page at `output`; returns its path.

    Args:
      folders: of runs, or all of instability analyses.
      output: path of the page, or its folder.
      metric: as in `draw`.

    Raises:
      UserError: as by `draw`, or there are both runs and analyses.
    """
    output = _page_path(output, "comparison.html")
    analyses = [x for x in folders if paths.stability_path(x).exists()]
    if analyses and len(analyses) < len(folders):
        raise UserError(
            analyses[0],
            "is an instability analysis, other folders are not",
            "compare analyses with one another",
        )
    if analyses:
        return _compare_analyses(folders, output, metric)
    runs = [outcomes.load(workdir, metric) for workdir in folders]
    differences = outcomes.differences([run.config for run in runs])
    labels = outcomes.labels([run.workdir for run in runs], differences)
    content = _comparison(runs, labels, output, title="Comparison")
    paths.write_atomically(output, content)
    return output


def _sweep(workdir: pathlib.Path, output: pathlib.Path, metric: str) -> bytes:
    """The page of a sweep over rewind steps: a comparison of their experiments."""
    sweep = rewinds.load(workdir, metric)
    chart, folder = rewinds.chart(sweep), figures_dir(output)
    _write_figures(folder, [chart])
    paths.write_atomically(folder / "rewind_steps.csv", rewinds.csv(sweep))
    return _comparison(
        sweep.runs,
        [f"k = {step}" for step in sweep.steps],
        output,
        title=workdir.resolve().name,
        sweep=sweep,
        of_steps=chart,
        steps=rewinds.table(sweep),
    )


def _comparison(
    runs: Sequence[Outcome],
    labels: Sequence[str],
    output: pathlib.Path,
    **others: object,
) -> bytes:
    """A page about several workdirs; `others`: its title, and those of a sweep."""
    differences = outcomes.differences([run.config for run in runs])
    judged = [run.judge() for run in runs]
    rows = [("folder", *(str(run.workdir) for run in runs))]
    rows += [(name, *map(str, values)) for name, values in differences.items()]
    against = sparsity.charts(runs, labels)
    _write_figures(figures_dir(output), against)
    fixed, samples = sections.compared_samples(runs, labels)
    return page.render(
        "comparison.html",
        folder=figures_dir(output).name,
        verdicts=list(zip(labels, judged)),
        charts=against,
        differences=page.Table(("option", *labels), rows),
        fixed=fixed,
        samples=samples,
        rounds=sections.rounds(runs, labels, judged),
        **others,
    )


def _compare_analyses(
    folders: Sequence[str | pathlib.Path], output: pathlib.Path, metric: str
) -> pathlib.Path:
    found = [stability.load(folder, metric) for folder in folders]
    different = sorted({one.column for one in found})
    if len(different) > 1:
        raise UserError(
            ", ".join(map(str, folders)),
            f"are judged by {', '.join(different)}",
            "give a metric that all have with --config.eval.verdict=",
        )
    configs = [outcomes.config_of(folder) for folder in folders]
    differences = outcomes.differences(configs)
    labels = outcomes.labels([pathlib.Path(x) for x in folders], differences)
    chart = stability.compared(found, labels)
    _write_figures(figures_dir(output), [chart])
    rows = [("folder", *map(str, folders))]
    rows += [(name, *map(str, values)) for name, values in differences.items()]
    content = page.render(
        "analyses.html",
        title="Comparison",
        folder=figures_dir(output).name,
        analyses=[(x, one, sections.steps(one)) for x, one in zip(labels, found)],
        chart=chart,
        differences=page.Table(("option", *labels), rows),
    )
    paths.write_atomically(output, content)
    return output
