"""Figures and one self-contained page for a workdir, from its files alone.

- python -m gen_tickets.report WORKDIR: redraws WORKDIR/report.html.
- python -m gen_tickets.report WORKDIR WORKDIR ...: lays them over one another in
  comparison.html (see --output).

Read: config.json, results.csv, and where they exist layers.csv and samples/. Anything
may be half finished: what is not there yet is left out of the page.
"""

import pathlib
from typing import Any

from gen_tickets.report import figures, outcomes, page, statistics, verdict
from gen_tickets.workdir import columns as columns_lib
from gen_tickets.workdir import paths, searches, tables

_LOOKS = {
    "dense": ("-", "", figures.GREY),
    "winning": ("-", "o", figures.BLUE),
    "random": ("--", "s", figures.ORANGE),
    "early_bird": ("-", "D", figures.GREEN),
}
_COST = ("flops_dense", "flops_masked", "flops_compact", "seconds")
# What a figure is drawn of beside the metrics; the first is the paper's figure 2.
_COURSE = {"early_stop_step": "early-stopping step"}


def draw(workdir, output=None) -> pathlib.Path:
    """Draws the figures/*.png and the page of one workdir; returns the page's path.

    Args:
      workdir: of a run that has finished a round or more.
      output: where the page goes; None: report.html in the workdir.
    """
    run = outcomes.load(workdir)
    judged = verdict.verdict(run.rows, run.metric)
    output = paths.report_path(workdir) if output is None else pathlib.Path(output)
    paths.write_atomically(output, _report(run, judged))
    return output


def _report(run: outcomes.Outcome, judged: verdict.Verdict) -> bytes:
    pngs = draw_metrics([run], [""])
    if run.layers:
        pngs["layers"] = figures.draw_layers(statistics.layer_sparsity(run.layers))
    for name, png in pngs.items():
        paths.write_atomically(paths.figures_dir(run.workdir) / f"{name}.png", png)
    notes = [*judged.notes]
    if run.paper_sparsity > 0:
        share = statistics.percent(run.paper_sparsity)
        notes.append(f"The paper found a winning ticket at {share} sparsity here.")
    pieces = [
        page.verdict(judged.sentence, notes, judged.sparsity is not None),
        *metric_pieces(pngs, run.metric),
        *_layer_pieces(pngs),
        *_search_pieces(run),
        page.heading("Every round"),
        page.paragraph(
            "Mean ± standard deviation over the runs that did not diverge; blue: a "
            "winning ticket is found; red: runs diverged.",
            "note",
        ),
        _round_table(run, judged),
        *_sample_pieces(run),
        page.details(f"All {len(run.rows)} rows of results.csv", _full_table(run.rows)),
        page.details("Configuration", page.facts(_facts(run.config))),
    ]
    return page.document(run.workdir.resolve().name, pieces)


def draw_metrics(runs: list[outcomes.Outcome], labels: list[str]) -> dict[str, bytes]:
    """Returns {column: PNG}: the first run's verdict metric, then all others.

    Args:
      runs: of one or more workdirs; with several, each has a colour of its own.
      labels: a name for each in the legend.
    """
    measured = [name for run in runs for name in statistics.metrics(run.rows)]
    columns = dict.fromkeys([runs[0].metric, *measured])
    pngs = {}
    for name in (*columns, *_COURSE):
        curves, baselines = _curves(runs, labels, name)
        drawn = [b.summary for b in baselines] + [p for c in curves for p in c.points]
        if any(summary.values for summary in drawn):
            better = columns_lib.find(name).better
            better = f"{better} is better" if better else ""
            pngs[name] = figures.draw_metric(
                curves,
                baselines,
                f"{_COURSE.get(name, name)}\n{better}".strip(),
                runs[0].paper_sparsity,
                small=name != runs[0].metric,
            )
    return pngs


def _curves(runs: list[outcomes.Outcome], labels: list[str], metric: str):
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
            name = f"{label or arm} (n = {max(point.num_runs for point in points)})"
            name = name if arm == lead or not several else None
            line, marker, color = _LOOKS.get(arm, (":", "^", figures.GREEN))
            color = own if several else color
            if arm == "dense":
                baselines.append(figures.Baseline(name, color, points[0]))
            else:
                curves.append(figures.Curve(name, color, line, marker, points))
    return curves, baselines


def metric_pieces(pngs: dict[str, bytes], main: str, styles: str = "") -> list[str]:
    """Returns the figures of the page: the verdict's large, the others in a grid."""
    pieces = [page.heading("Against sparsity")]
    if styles:
        pieces.append(page.paragraph(styles, "note"))
    if main in pngs:
        caption = (
            f"{main}: mean over runs, band = one standard deviation. A cross marks a "
            "round with diverged runs, which no mean contains; the table counts them."
        )
        pieces.append(page.picture(pngs[main], caption))
    others = [name for name in pngs if name not in (main, "layers")]
    if others:
        pieces.append(page.heading("Other measures", 3))
        small = (page.picture(pngs[name], name, captioned=False) for name in others)
        pieces.append(page.grid(small, "two"))
    return pieces


def _layer_pieces(pngs: dict[str, bytes]) -> list[str]:
    if "layers" not in pngs:
        return []
    caption = "Sparsity of each layer in percent, mean over runs."
    return [page.heading("Where it prunes"), page.picture(pngs["layers"], caption)]


def _search_pieces(run: outcomes.Outcome) -> list[str]:
    """Returns the mask distances of every early-bird search that there is."""
    pictures = []
    for number in sorted({row["run"] for row in run.rows}):
        path = paths.search_path(run.workdir, number)
        if path.exists():
            search = searches.load(path)
            far = searches.distances(search.drawn)
            png = figures.draw_distances(far, search.found)
            figure = paths.figures_dir(run.workdir) / f"mask_distance_{number}.png"
            paths.write_atomically(figure, png)
            told = f"found at epoch {search.found}" if search.found else "none found"
            pictures.append(page.picture(png, f"run {number}: {told}"))
    if not pictures:
        return []
    note = (
        "Share of channels in which the masks of two epochs differ. A ticket is found "
        "when a mask is near to all of the five before it."
    )
    heading = page.heading("When the channels stand still")
    return [heading, page.paragraph(note, "note"), page.grid(pictures, "two")]


def _sample_pieces(run: outcomes.Outcome) -> list[str]:
    """Returns the image grids: what was to be learned, then each round's arms."""
    arms = statistics.summarize(run.rows, run.metric)
    originals = paths.originals_path(run.workdir)
    first = [_image(originals, "originals")] if originals.exists() else []
    pieces = []
    for number in sorted({row["round"] for row in run.rows}):
        images = first
        for kind in ("reconstructions", "samples"):
            for arm in tables.ARMS:
                path = paths.sample_path(run.workdir, number, arm, kind)
                if path.exists():
                    summary = arms.get(arm, {}).get(number)
                    caption = _caption(arm, kind, run.metric, summary)
                    images = [*images, _image(path, caption)]
        first = []
        if images:
            sparsity = next(r["sparsity"] for r in run.rows if r["round"] == number)
            title = f"Round {number}, {statistics.percent(sparsity)} sparsity"
            pieces += [page.heading(title, 3), page.grid(images, "four pixels")]
    return [page.heading("Images"), *pieces] if pieces else []


def _image(path: pathlib.Path, caption: str) -> str:
    return page.picture(path.read_bytes(), caption)


def _caption(arm: str, kind: str, metric: str, summary) -> str:
    if summary is None:
        return f"{arm}, {kind}"
    sparsity = statistics.percent(summary.sparsity)
    return f"{arm}, {kind}, {sparsity}: {metric} {statistics.mean_std(summary)}"


def _facts(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns all options by group; those of no group are the runs'."""
    groups: dict[str, dict[str, Any]] = {}
    for name, value in config.items():
        group, _, leaf = name.rpartition(".")
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else value
        groups.setdefault(group or "runs", {})[leaf] = "–" if shown == "" else shown
    return groups


def _round_table(run: outcomes.Outcome, judged: verdict.Verdict) -> str:
    names = (*statistics.metrics(run.rows), *_COURSE, *_COST)
    names = sorted(names, key=lambda name: name != run.metric)
    of_column = {name: statistics.summarize(run.rows, name) for name in names}
    columns = [name for name in names if of_column[name]]
    found = {of_round.round for of_round in judged.rounds if of_round.found}
    places = dict.fromkeys((row["round"], row["arm"]) for row in run.rows)
    lines, styles = [], []
    for number, arm in places:
        rows = [r for r in run.rows if (r["round"], r["arm"]) == (number, arm)]
        num_diverged = sum(row["diverged"] for row in rows)
        cells = [of_column[name].get(arm, {}).get(number) for name in columns]
        sparsity = statistics.percent(rows[0]["sparsity"])
        texts = ["" if cell is None else statistics.mean_std(cell) for cell in cells]
        lines.append([number, arm, sparsity, len(rows), num_diverged, *texts])
        is_found = arm == "winning" and number in found
        styles.append("bad" if num_diverged else "found" if is_found else "")
    names = ["round", "arm", "sparsity", "runs", "diverged", *columns]
    return page.table(names, lines, styles)


def _full_table(rows) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [[row.get(name, "") for name in names] for row in rows]
    return page.table(names, lines, ["bad" if row["diverged"] else "" for row in rows])


def compare(folders, output) -> pathlib.Path:
    """Lays several workdirs over one another in one page at `output`; returns it."""
    runs = [outcomes.load(workdir) for workdir in folders]
    differences = outcomes.differences([run.config for run in runs])
    labels = outcomes.labels(runs, differences)
    pieces = []
    for run, label in zip(runs, labels):
        judged = verdict.verdict(run.rows, run.metric)
        box = page.verdict(judged.sentence, judged.notes, judged.sparsity is not None)
        pieces += [page.heading(label, 3), box]
    styles = "A colour is a workdir: solid winning, dashed random, horizontal dense."
    pieces += metric_pieces(draw_metrics(runs, labels), runs[0].metric, styles)
    pieces.append(page.heading("What differs"))
    folders = ("folder", *(str(run.workdir) for run in runs))
    rows = [(name, *map(str, values)) for name, values in differences.items()]
    pieces.append(page.table(("option", *labels), [folders, *rows]))
    paths.write_atomically(output, page.document("Comparison", pieces))
    return pathlib.Path(output)
