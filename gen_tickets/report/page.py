"""Self-contained HTML pages, from the templates of this package (Jinja2).

Templates define the layout and escape every text. Images, numbers and the script that
draws them are inside the page. Charts are SVG drawn by templates/page.js (17 kB):
Plotly's basic bundle would add 1 MB to every page, and a canvas does not print as
vectors or adapt to dark mode. The macros of templates/macros.html are also functions
here, for pages built in Python: each returns a piece, and `document` joins pieces.
"""

import base64
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import jinja2
import numpy as np

from gen_tickets.report import charts, figures


class Cell(NamedTuple):
    """A cell whose text differs from its sort key."""

    text: str
    value: float


class Table(NamedTuple):
    """A table on a page."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    styles: Sequence[str] = ()  #: of each row: "", "found" or "bad"
    titles: Sequence[str] = ()  #: tooltips of the headings
    arms: Sequence[str] = ()  #: of each row, which is hidden with its arm


class Sample(NamedTuple):
    """A grid of images."""

    png: bytes
    caption: str
    arm: str = ""


def number(value: Any) -> str:
    """Returns a float with six significant digits, anything else unchanged."""
    if isinstance(value, Cell):
        return value.text
    if not isinstance(value, float):
        return str(value)
    return f"{value:.6g}" if math.isfinite(value) else "–"


def slug(text: str) -> str:
    """The link anchor of a heading."""
    return re.sub(r"\W+", "-", text.lower()).strip("-")


def figure_json(figure: charts.Figure) -> dict[str, Any]:
    """A figure in the form that the page's script draws; heat maps with colours."""
    found = charts.to_json(figure)
    if isinstance(figure, charts.Heatmap):
        found["colors"] = [[figures.color(x) for x in row] for row in figure.shades]
        found["bar_colors"] = [figures.color(x) for x in np.linspace(0, 1, 24)]
    return found


def _is_word(value: Any) -> bool:
    return isinstance(value, str) and value[:1] not in "-–0123456789"


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gen_tickets.report"),
        autoescape=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["base64"] = lambda png: base64.b64encode(png).decode()
    environment.filters["figure_json"] = (
        lambda figure: jinja2.utils.htmlsafe_json_dumps(
            figure_json(figure), separators=(",", ":"), ensure_ascii=False
        )
    )
    environment.filters["number"] = number
    environment.filters["slug"] = slug
    environment.filters["sort_key"] = lambda value: f"{value:.9g}"
    environment.tests["word"] = _is_word
    return environment


_ENVIRONMENT = _environment()
_macros: Any = _ENVIRONMENT.get_template("macros.html").module

heading, paragraph = _macros.heading, _macros.paragraph
verdict, table = _macros.verdict, _macros.table
picture = _macros.picture


def render(template: str, **values: Any) -> bytes:
    """Renders a template; returns the page as UTF-8."""
    text = _ENVIRONMENT.get_template(template).render(**values)
    return text.encode("utf-8", "replace")


def document(title: str, pieces: Iterable[str]) -> bytes:
    """Returns a page made of the pieces, from top to bottom."""
    return render("base.html", title=title, pieces=pieces)
