"""The pages of the paper's figures, from the files of their experiments alone.

A figure has a folder with index.html, a PNG of each panel and numbers.csv. What is not
there yet is left out, and said.
"""

import csv
import io
import pathlib
from typing import Any, Mapping, Sequence

from gen_tickets.paper import claims
from gen_tickets.paper import experiment as experiments
from gen_tickets.paper import panels
from gen_tickets.paper.declared import Figure, Panel
from gen_tickets.paper.experiment import Experiment
from gen_tickets.paper.results import Results, judged, needed
from gen_tickets.paper.scales import Scale
from gen_tickets.report import outcomes, page
from gen_tickets.workdir import paths


def write_table(path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes a CSV of all columns that the rows have; an absent one is empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    paths.write_atomically(path, text.getvalue().encode())


def _experiment_lines(experiment: Experiment, results: Results) -> list[dict[str, str]]:
    """What was run: options, how far, on which data and machine, how long."""
    lines = []
    for training in experiment.trainings(results.root, results.how_to_run):
        line = {
            "experiment": str(training.folder.relative_to(results.root)),
            "file": f"experiments/{experiment.file}.py",
            "changes": ", ".join(f"{k}={v!r}" for k, v in experiment.changes),
            "state": str(experiments.state(training)),
        }
        if paths.results_path(training.folder).exists():
            run = outcomes.load(training.folder)
            line |= _origin(run.config) | _cost(run)
        lines.append(line)
    return lines


def _origin(stored: Mapping[str, Any]) -> dict[str, str]:
    """Data and machine, as config.json keeps them."""
    told = {
        "data": ("data.name", "data.num_train", "data.encoding"),
        "machine": ("devices", "packages.jax"),
    }
    found = {
        name: [stored.get(f"provenance.{x}") for x in keys]
        for name, keys in told.items()
    }
    return {
        "seed": str(stored["seed"]),
        "data": "{} ({} training images, encoding: {})".format(*found["data"]),
        "machine": "{}, jax {}".format(*found["machine"]),
    }


def _cost(run: outcomes.Outcome) -> dict[str, str]:
    count, seconds = run.cost()
    if not count:  # results of a version that did not count
        return {}
    return {"FLOPs": f"{count:.3g}", "training seconds": f"{seconds:.0f}"}


def _number(name: str) -> str:
    """fig4 -> "Figure 4", table1 -> "Table 1"."""
    return f"{'Figure' if name.startswith('fig') else 'Table'} {name[-1]}"


def _verdicts(lines: Sequence[Mapping[str, str]]) -> list[str]:
    """A box for each claim that was tried, and a line for each that was not."""
    boxes, others = [], []
    for line in lines:
        if line["outcome"] == claims.NOT_TRIED:
            told = f"Not tried: {line['claim']} ({line['found']})"
            others.append(page.paragraph(told, "note"))
            continue
        notes = [line["found"]]
        if line["instead"]:
            notes.append(f"Here: {line['instead']}.")
        sentence = f"{line['outcome'].capitalize()}: {line['claim']}"
        is_found = line["outcome"] == claims.REPRODUCED
        boxes.append(page.verdict(sentence, notes, is_found))
    return boxes + others


def standing_in(figure: Figure, scale: Scale) -> list[str]:
    """In words, what is other than in the paper, and what is left out."""
    curves = dict.fromkeys(c for panel in figure.panels for c in panel.curves)
    stands: dict[str, dict[str, None]] = {}  # {words: settings}
    missing: dict[str, list[str]] = {}  # {setting: labels}
    there = set()
    for curve in curves:
        if scale.experiment(curve.setting, curve.changes) is None:
            missing.setdefault(curve.setting, []).append(curve.label)
            continue
        there.add(curve.setting)
        if words := scale.instead(curve.setting):
            stands.setdefault(words, {})[curve.setting] = None
    told = [f"{', '.join(settings)}: {words}." for words, settings in stands.items()]
    if missing:
        left_out = [
            f"{setting} ({', '.join(labels)})" if setting in there else setting
            for setting, labels in missing.items()
        ]
        told.append(f"Not at this scale: {', '.join(left_out)}.")
    return told


def _name(panel) -> str:
    """Its title, and the measure where one title has several."""
    of_measure = isinstance(panel, Panel)
    return f"{panel.title}: {panel.measure.label}" if of_measure else panel.title


def draw(figure: Figure, results: Results) -> pathlib.Path:
    """Draws a figure from what its experiments have found so far.

    Returns:
      The path of its page, in a folder of its name below the results' folder.
    """
    folder = pathlib.Path(results.root) / figure.name
    pictures, numbers, missing = [], [], []
    for i, panel in enumerate(figure.panels, start=1):
        drawn = panels.draw(panel, results)
        if drawn is None:
            if any(results.experiment(curve) for curve in panel.curves):
                missing.append(_name(panel))
            continue
        for j, (png, _) in enumerate(drawn.pictures, start=1):
            paths.write_atomically(folder / f"panel_{i:02d}_{j}.png", png)
        on_page = [page.picture(*picture) for picture in drawn.pictures]
        pieces = on_page if len(on_page) == 1 else [page.grid(on_page, "two")]
        pictures += [page.heading(_name(panel), 3), *pieces, drawn.table]
        numbers += drawn.numbers
    if numbers:
        write_table(folder / "numbers.csv", numbers)
    ran = [
        line
        for experiment in needed(figure, results.scale)
        for line in _experiment_lines(experiment, results)
    ]
    pieces = [
        page.paragraph(f"Scale {results.scale.name}: {results.scale.words}."),
        *(page.paragraph(text, "note") for text in standing_in(figure, results.scale)),
        *_verdicts(judged(figure, results)),
        *pictures,
    ]
    if missing:
        told = f"Not measured (yet): {'; '.join(missing)}."
        pieces.append(page.paragraph(told, "note"))
    if ran:
        names = list(dict.fromkeys(name for line in ran for name in line))
        cells = [[line.get(name, "") for name in names] for line in ran]
        pieces += [page.heading("Experiments"), page.table(names, cells)]
        write_table(folder / "experiments.csv", ran)
    document = page.document(f"{_number(figure.name)}: {figure.title}", pieces)
    paths.write_atomically(folder / "index.html", document)
    return folder / "index.html"
