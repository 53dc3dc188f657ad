"""Common style of all figures: sizes, fonts and file formats."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

WIDE, MIDDLE, SMALL = (9.0, 4.4), (5.6, 4.0), (4.4, 2.9)  # inches
_DPI = 130
_STYLE: Any = {
    "font.size": 9,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": "#222222",
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "pdf.fonttype": 42,  # text stays editable
    "svg.fonttype": "none",
    "svg.hashsalt": "gen_tickets",  # the same numbers give the same file
}
# Files contain no date, so that the same numbers give the same file.
_METADATA: Any = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": None}


@contextlib.contextmanager
def figure(size: tuple[float, float]) -> Iterator[Figure]:
    """A new figure of this size in inches, in the common style."""
    with matplotlib.rc_context(_STYLE):
        yield Figure(figsize=size, dpi=_DPI)


def to_bytes(of: Figure, suffixes: Sequence[str]) -> dict[str, bytes]:
    """Returns {suffix: file} of a figure, cropped to its contents: png, svg, pdf."""
    box = of.get_tightbbox(FigureCanvasAgg(of).get_renderer()).padded(0.06)
    return {suffix: _to_bytes(of, suffix, box) for suffix in suffixes}


def _to_bytes(of: Figure, suffix: str, box: Bbox) -> bytes:
    data = io.BytesIO()
    of.savefig(data, format=suffix, bbox_inches=box, metadata=_METADATA[suffix])
    return data.getvalue()
