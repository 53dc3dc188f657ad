"""Pieces of a self-contained HTML page: every text is escaped, every picture inside.

A piece is a `str` of HTML; arguments are plain text or numbers unless they are called
`pieces` or `body`.
"""

import base64
import html
import math
from typing import Iterable, Mapping, Sequence

_CSS = """
:root { color-scheme: light; }
body { margin: 0; background: #f6f6f4; color: #222;
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 26px; font-weight: 650; margin: 0 0 16px; overflow-wrap: anywhere; }
h2 { font-size: 18px; font-weight: 650; margin: 40px 0 10px; }
h3 { font-size: 14px; font-weight: 650; margin: 22px 0 6px; }
p { margin: 0 0 8px; max-width: 80ch; }
.verdict { background: #fff; border-left: 4px solid #888; padding: 14px 20px;
  border-radius: 0 6px 6px 0; box-shadow: 0 1px 2px #0001; }
.verdict.found { border-color: #0072B2; }
.verdict strong { display: block; font-size: 18px; margin-bottom: 4px; }
.note { color: #666; font-size: 13px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px;
  font-size: 13px; margin: 20px 0 0; }
dt { color: #666; }
dd { margin: 0; overflow-wrap: anywhere; }
dd span { white-space: nowrap; margin-right: 14px; }
dd i { font-style: normal; color: #666; }
figure { margin: 0; background: #fff; border-radius: 6px; padding: 10px;
  box-shadow: 0 1px 2px #0001; }
figure img { display: block; width: 100%; height: auto; }
figcaption { font-size: 12px; color: #555; margin-top: 6px; line-height: 1.35; }
.grid { display: grid; gap: 14px; }
.two { grid-template-columns: repeat(2, minmax(0, 1fr)); }
.four { grid-template-columns: repeat(4, minmax(0, 1fr)); }
.pixels img { image-rendering: pixelated; }
.scroll { overflow: auto; max-height: 620px; background: #fff; border-radius: 6px;
  box-shadow: 0 1px 2px #0001; }
table { border-collapse: collapse; font-size: 12.5px; width: 100%;
  font-variant-numeric: tabular-nums; }
th, td { padding: 4px 10px; text-align: right; white-space: nowrap;
  border-bottom: 1px solid #eee; }
th { position: sticky; top: 0; background: #fafafa; font-weight: 600; color: #444; }
td.text, th.text { text-align: left; }
tr.found td { background: #e8f2f9; }
tr.bad td { color: #a33; }
summary { cursor: pointer; margin: 26px 0 8px; font-size: 14px; color: #333; }
@media (max-width: 760px) { .two, .four { grid-template-columns: 1fr; } }
@media print { body { background: #fff; } .scroll { max-height: none; } }
"""


def document(title: str, pieces: Iterable[str]) -> bytes:
    """Returns the whole page, UTF-8."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n"
        f"<main>\n<h1>{escape(title)}</h1>\n" + "\n".join(pieces) + "\n</main>\n"
        "</body>\n</html>\n"
    ).encode("utf-8", "replace")


def escape(text) -> str:
    return html.escape(str(text), quote=True)


def heading(text: str, level: int = 2) -> str:
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, style: str = "") -> str:
    return f'<p class="{style}">{escape(text)}</p>'


def verdict(sentence: str, notes: Iterable[str], found: bool) -> str:
    """Returns the box at the top: the first sentence large, the others below it."""
    first, _, rest = sentence.partition(". ")
    first = first if first.endswith(".") else f"{first}."
    body = f"<strong>{escape(first)}</strong>"
    body += f"<p>{escape(rest)}</p>" if rest else ""
    body += "".join(paragraph(note, "note") for note in notes)
    return f'<div class="verdict{" found" if found else ""}">{body}</div>'


def facts(groups: Mapping[str, Mapping[str, object]]) -> str:
    """Returns a list with a line a group, each {name: value} in it side by side."""
    lines = []
    for group, values in groups.items():
        cells = " ".join(
            f"<span><i>{escape(name)}</i> {escape(value)}</span>"
            for name, value in values.items()
        )
        lines.append(f"<dt>{escape(group)}</dt><dd>{cells}</dd>")
    return f"<dl>{''.join(lines)}</dl>"


def picture(png: bytes, caption: str, captioned: bool = True) -> str:
    """Returns a figure with the PNG inside the page; the caption always as `alt`."""
    data = base64.b64encode(png).decode()
    below = f"<figcaption>{escape(caption)}</figcaption>" if captioned else ""
    return (
        f'<figure><img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        f"{below}</figure>"
    )


def grid(pieces: Iterable[str], style: str) -> str:
    """Returns pieces side by side; `style` is "two" or "four", and "pixels"."""
    return f'<div class="grid {style}">{"".join(pieces)}</div>'


def table(
    columns: Sequence[str], rows: Iterable[Sequence], styles: Sequence[str] = ()
) -> str:
    """Returns a table that scrolls by itself; `styles` are "", "found" or "bad"."""
    rows = list(rows)
    first = rows[0] if rows else columns
    head = "".join(
        f"<th{_text_class(cell)}>{escape(name)}</th>"
        for name, cell in zip(columns, first, strict=True)
    )
    lines = []
    for row, style in zip(rows, styles or [""] * len(rows), strict=True):
        cells = "".join(
            f"<td{_text_class(like)}>{escape(number(cell))}</td>"
            for cell, like in zip(row, first, strict=True)
        )
        lines.append(f'<tr class="{style}">{cells}</tr>')
    return (
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def _text_class(value) -> str:
    """A column that begins with a word stands at the left, else at the right."""
    is_text = isinstance(value, str) and value[:1] not in "-–0123456789"
    return ' class="text"' if is_text else ""


def details(summary: str, body: str) -> str:
    """Returns a part that is closed until it is clicked."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def number(value) -> str:
    """Returns a float with six significant digits, anything else as it is."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.6g}" if math.isfinite(value) else "–"
