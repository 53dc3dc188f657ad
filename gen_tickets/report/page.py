"""Self-contained HTML pages, from the templates of this package (Jinja2).

Templates lay a page out and escape every text; pictures, numbers and the script that
draws them are inside the page. Charts are SVG by 17 kB of templates/page.js: Plotly's
basic bundle would add 1 MB to every page, and a canvas does not print as lines, nor
does it take the colours of a dark page. The macros of templates/macros.html are
functions here, too, for a page that is put together in Python: each returns a piece,
and `document` makes a page of pieces.
"""

import base64
import math
import re
from typing import Any, Iterable, NamedTuple, Sequence

import jinja2
import numpy as np

from gen_tickets.report import charts, figures


class Cell(NamedTuple):
    """A cell whose text is not what the column is sorted by."""

    text: str
    value: float


class Table(NamedTuple):
    """A table of a page."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    styles: Sequence[str] = ()  #: of the rows: "", "found" or "bad"
    titles: Sequence[str] = ()  #: shown when the pointer is over a heading
    arms: Sequence[str] = ()  #: of the rows, which are hidden with their arm


class Sample(NamedTuple):
    """A grid of images."""

    png: bytes
    caption: str
    arm: str = ""


def number(value: Any) -> str:
    """Returns a float with six significant digits, anything else as it is."""
    if isinstance(value, Cell):
        return value.text
    if not isinstance(value, float):
        return str(value)
    return f"{value:.6g}" if math.isfinite(value) else "–"


def slug(text: str) -> str:
    """A heading as the target of a link."""
    return re.sub(r"\W+", "-", text.lower()).strip("-")


def figure_json(figure: charts.Figure) -> dict[str, Any]:
    """A figure as the script of a page draws it; a heat map with its colours."""
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
    """Returns the page, UTF-8, that a template makes of values."""
    text = _ENVIRONMENT.get_template(template).render(**values)
    return text.encode("utf-8", "replace")


def document(title: str, pieces: Iterable[str]) -> bytes:
    """Returns a page of pieces that the macros returned, from top to bottom."""
    return render("base.html", title=title, pieces=pieces)
