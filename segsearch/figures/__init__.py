"""Figures: each is computed as data first, then drawn. The only room with Plotly."""

from __future__ import annotations

from segsearch.figures.front import as_page, explore_figure, figure
from segsearch.figures.marks import hover
from segsearch.figures.model import architecture_figure
from segsearch.figures.profile import profile_figure, profile_page
from segsearch.figures.scores import class_iou_figure, confusion_figure, losses_figure
from segsearch.figures.search import (
    coordinates_figure,
    hypervolume_figure,
    importance_figure,
    outcomes_figure,
    throughput_figure,
)
from segsearch.figures.theme import DARK, LIGHT, OTHER_STYLE, PALETTE, STYLES, Theme, empty_figure, theme

__all__ = [
    "DARK",
    "LIGHT",
    "OTHER_STYLE",
    "PALETTE",
    "STYLES",
    "Theme",
    "architecture_figure",
    "as_page",
    "class_iou_figure",
    "confusion_figure",
    "coordinates_figure",
    "empty_figure",
    "explore_figure",
    "figure",
    "hover",
    "hypervolume_figure",
    "importance_figure",
    "losses_figure",
    "outcomes_figure",
    "profile_figure",
    "profile_page",
    "theme",
    "throughput_figure",
]
