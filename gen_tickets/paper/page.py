"""The page of a figure: its claims, its panels, and what was run for them.

A figure has a folder with index.html, a PNG of each panel and numbers.csv. What is not
there yet is left out, and said.
"""

import csv
import io
import pathlib
from typing import Any, Mapping, Sequence

from gen_tickets.paper import panels
from gen_tickets.paper.experiment import SCALES, Experiment
from gen_tickets.paper.figures import Figure, Panel
from gen_tickets.paper.results import NOT_TRIED, REPRODUCED, Results, judged
from gen_tickets.report import outcomes, page
from gen_tickets.workdir import paths


def write_table(path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a CSV of all columns that the rows have; an absent one is empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _columns(rows), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    paths.write_atomically(path, text.getvalue().encode())


def _columns(rows) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    names = _columns(rows)
    return page.table(names, [[row.get(name, "") for name in names] for row in rows])


def _verdicts(lines: Sequence[Mapping[str, str]]) -> list[str]:
    """A box for each claim that was tried, and a line for each that was not."""
    boxes, others = [], []
    for line in lines:
        if line["outcome"] == NOT_TRIED:
            text = f"Not tried: {line['claim']} ({line['found']})"
            others.append(page.paragraph(text, "note"))
            continue
        notes = [line["found"]]
        if line["instead"]:
            notes.append(f"Here: {line['instead']}.")
        sentence = f"{line['outcome'].capitalize()}: {line['claim']}"
        boxes.append(page.verdict(sentence, notes, line["outcome"] == REPRODUCED))
    return boxes + others


def _experiment(one: Experiment) -> dict[str, str]:
    """What was run, how far it is, and what it took."""
    line = {
        "workdir": f"experiments/{one.name}",
        "state": one.state(),
        "trains": one.description(),
    }
    if paths.results_path(one.folder).exists():
        run = outcomes.load(one.folder)
        flops, seconds = run.cost()
        line["machine"] = str(run.config.get("provenance.devices", ""))
        line |= {"FLOPs": f"{flops:.3g}", "training seconds": f"{seconds:.0f}"}
    return line


def left_out(figure: Figure, results: Results) -> list[str]:
    """The curves that this scale has nothing for."""
    curves = [curve for panel in figure.panels for curve in panel.curves]
    missing = [c for c in curves if results.experiment(c) is None]
    return list(dict.fromkeys(f"{curve.file} ({curve.label})" for curve in missing))


def _panel(folder, number: int, panel: Panel, drawn: panels.Drawn) -> list[str]:
    """Writes the pictures of a panel; its pieces of the page."""
    for j, (png, _) in enumerate(drawn.pictures, start=1):
        paths.write_atomically(folder / f"panel_{number:02d}_{j}.png", png)
    pictures = [page.picture(png, caption) for png, caption in drawn.pictures]
    pieces = [page.grid(pictures, "two")] if len(pictures) > 1 else pictures
    if drawn.is_table:
        pieces.append(_table(drawn.numbers))
    name = panel.title
    if panel.kind == "sparsity":
        name += f": {panel.measure.label}"
    return [page.heading(name, 3), *pieces]


def draw(figure: Figure, results: Results) -> pathlib.Path:
    """Draws a figure from what its experiments have found so far.

    Returns:
      The path of its page, in a folder of its name below the results' folder.
    """
    folder = pathlib.Path(results.root) / figure.name
    pieces = [page.paragraph(f"Scale {results.scale}: {SCALES[results.scale]}.")]
    if missing := left_out(figure, results):
        text = f"Not at this scale: {', '.join(missing)}."
        pieces.append(page.paragraph(text, "note"))
    pieces += _verdicts(judged(figure, results))
    numbers = []
    for number, panel in enumerate(figure.panels, start=1):
        drawn = panels.DRAW[panel.kind](panel, results)
        if drawn is not None:
            pieces += _panel(folder, number, panel, drawn)
            numbers += drawn.numbers
    if numbers:
        write_table(folder / "numbers.csv", numbers)
    if ran := [_experiment(one) for one in results.experiments([figure])]:
        pieces += [page.heading("Experiments"), _table(ran)]
    kind = "Figure" if figure.name.startswith("fig") else "Table"
    document = page.document(f"{kind} {figure.name[-1]}: {figure.title}", pieces)
    paths.write_atomically(folder / "index.html", document)
    return folder / "index.html"
