"""Self-contained HTML pages, from the templates of this package (Jinja2).

Templates lay a page out and escape every text; pictures are inside the page. The
macros of templates/macros.html are functions here, too, for a page that is put together
in Python: each returns a piece, and `document` makes a page of pieces.
"""

import base64
import math
from typing import Any, Iterable, NamedTuple, Sequence

import jinja2

Picture = tuple[bytes, str]  #: PNG and caption


class Table(NamedTuple):
    """A table of a page; `styles` of the rows are "", "found" or "bad"."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    styles: Sequence[str] = ()


def number(value: Any) -> str:
    """Returns a float with six significant digits, anything else as it is."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.6g}" if math.isfinite(value) else "–"


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
    environment.filters["number"] = number
    environment.tests["word"] = _is_word
    return environment


_ENVIRONMENT = _environment()
_macros: Any = _ENVIRONMENT.get_template("macros.html").module

heading, paragraph = _macros.heading, _macros.paragraph
verdict, table = _macros.verdict, _macros.table
picture, grid = _macros.picture, _macros.grid


def render(template: str, **values: Any) -> bytes:
    """Returns the page, UTF-8, that a template makes of values."""
    text = _ENVIRONMENT.get_template(template).render(**values)
    return text.encode("utf-8", "replace")


def document(title: str, pieces: Iterable[str]) -> bytes:
    """Returns a page of pieces that the macros returned, from top to bottom."""
    return render("base.html", title=title, pieces=pieces)
