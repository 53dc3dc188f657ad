"""The page of a figure: its claims, its panels and its experiments.

A figure has a folder with index.html, its images and numbers.csv. The page says what is
not there yet.
"""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas

from gen_tickets.paper import panels
from gen_tickets.paper.figures import FIGURES
from gen_tickets.paper.results import NOT_TRIED, SCALES, Experiment, Results
from gen_tickets.report import outcomes, page
from gen_tickets.workdir import paths


def write_table(path: pathlib.Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a CSV with all columns of the rows; missing values are empty."""
    paths.write_atomically(path, pandas.DataFrame(rows).to_csv(index=False).encode())


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    frame = pandas.DataFrame(rows).fillna("").astype(object)
    return page.table(list(frame), frame.to_numpy().tolist())


def _verdict(line: Mapping[str, str]) -> str:
    """A box for a claim, or a line if it was not tried."""
    if line["outcome"] == NOT_TRIED:
        text = f"Not tried: {line['claim']} ({line['found']})"
        return page.paragraph(text, "note")
    notes = [note for note in (line["gates"], line["found"]) if note]
    if line["instead"]:
        notes.append(f"Here: {line['instead']}.")
    sentence = f"{line['outcome'].capitalize()}: {line['claim']}"
    return page.verdict(sentence, notes, line["outcome"] == "reproduced")


def _experiment(one: Experiment) -> dict[str, str]:
    """The options of an experiment, its progress and its cost."""
    row = {"workdir": one.folder.name, "state": one.state()}
    row["trains"] = one.description()
    if paths.results_path(one.folder).exists():
        run = outcomes.load(one.folder)
        flops, seconds = run.cost()
        row |= {"FLOPs": f"{flops:.3g}", "training seconds": f"{seconds:.0f}"}
        row["machine"] = str(run.config.get("provenance.devices", ""))
    return row


def left_out(name: str, results: Results) -> str:
    """A line that names the curves of a figure that this scale does not run."""
    curves = [curve for panel in FIGURES[name].panels for curve in panel.curves]
    missing = [curve for curve in curves if results.experiment(curve) is None]
    files = {curve.file for curve in missing if not curve.only_full}
    names = dict.fromkeys(
        curve.file if curve.file in files else f"{curve.file} ({curve.label})"
        for curve in missing
    )
    return f"Not at this scale: {', '.join(names)}." if names else ""


def draw(
    name: str, results: Results, judged: Sequence[Mapping[str, str]]
) -> pathlib.Path:
    """Draws a figure from the results of its experiments so far.

    Args:
      name: of the figure, such as "fig4".
      results: of the scale.
      judged: from `results.judge_all`.

    Returns:
      The path of its page, in a folder with its name below the results' folder.
    """
    figure, folder = FIGURES[name], pathlib.Path(results.root) / name
    pieces = [page.paragraph(f"Scale {results.scale}: {SCALES[results.scale]}.")]
    notes = [left_out(name, results)]
    pieces += [_verdict(line) for line in judged if line["figure"] == name]
    numbers: list[dict[str, Any]] = []
    for i, panel in enumerate(figure.panels, start=1):
        drawn = panels.DRAW[panel.kind](panel, results)
        if drawn is None:
            if any(results.experiment(curve) for curve in panel.curves):
                names = " or ".join(panel.columns)
                notes.append(f"Not measured (yet): {names} of {panel.title}.")
            continue
        pieces.append(
            page.heading(": ".join(filter(None, (panel.title, drawn.measure))), 3)
        )
        for j, (png, caption) in enumerate(drawn.pictures, start=1):
            paths.write_atomically(folder / f"panel_{i:02d}_{j}.png", png)
            pieces.append(page.picture(png, caption))
        if drawn.is_table:
            pieces.append(_table(drawn.numbers))
        numbers += drawn.numbers
    pieces += [page.paragraph(note, "note") for note in notes if note]
    if numbers:
        write_table(folder / "numbers.csv", numbers)
    if ran := [_experiment(one) for one in results.experiments([name])]:
        pieces += [page.heading("Experiments"), _table(ran)]
    kind = "Figure" if name.startswith("fig") else "Table"
    heading = f"{kind} {name[-1]}" if name[-1].isdigit() else "Beyond the paper"
    document = page.document(f"{heading}: {figure.title}", pieces)
    paths.write_atomically(folder / "index.html", document)
    return folder / "index.html"
