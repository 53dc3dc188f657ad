"""Figures as PNG bytes; what they draw are numbers, no files."""

from gen_tickets.report.figures.heatmaps import draw_distances, draw_layers
from gen_tickets.report.figures.learning import LearningCurve, draw_learning
from gen_tickets.report.figures.points import (
    Point,
    Series,
    draw_images,
    draw_points,
)
from gen_tickets.report.figures.sparsity import Baseline, Curve, draw_metric
from gen_tickets.report.figures.style import BLUE, GREEN, GREY, ORANGE, PALETTE

__all__ = [
    "BLUE",
    "GREEN",
    "GREY",
    "ORANGE",
    "PALETTE",
    "Baseline",
    "Curve",
    "LearningCurve",
    "Point",
    "Series",
    "draw_distances",
    "draw_images",
    "draw_layers",
    "draw_learning",
    "draw_metric",
    "draw_points",
]
