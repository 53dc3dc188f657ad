"""Figures as PNG, SVG and PDF by Matplotlib, drawn from numbers in memory."""

from collections.abc import Sequence

from gen_tickets.report.charts import Chart, Figure
from gen_tickets.report.figures import heatmaps, lines, style
from gen_tickets.report.figures.heatmaps import color
from gen_tickets.report.figures.images import draw_images

__all__ = ["color", "draw", "draw_files", "draw_images"]


def draw(figure: Figure) -> bytes:
    """A figure as PNG."""
    return draw_files(figure, ("png",))["png"]


def draw_files(
    figure: Figure, suffixes: Sequence[str] = ("png", "svg", "pdf")
) -> dict[str, bytes]:
    """A figure as {suffix: file}."""
    if isinstance(figure, Chart):
        size = style.SMALL if figure.small else style.WIDE
        with style.figure(style.MIDDLE if figure.named else size) as drawn:
            lines.draw(drawn.add_subplot(), figure)
            return style.to_bytes(drawn, suffixes)
    # A line of text is 0.26 inches high; a table without text is a square.
    height = 1.3 + 0.26 * len(figure.rows)
    with style.figure((9.0, height) if figure.written else style.SMALL) as drawn:
        heatmaps.draw(drawn.add_subplot(), figure)
        return style.to_bytes(drawn, suffixes)
