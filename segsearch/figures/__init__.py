"""Figures: each is computed as data first, then drawn. The only room with Plotly."""

from __future__ import annotations

from segsearch.figures.front import as_page, explore_figure, figure
from segsearch.figures.marks import hover
from segsearch.figures.profile import profile_figure, profile_page
from segsearch.figures.theme import DARK, LIGHT, OTHER_STYLE, PALETTE, STYLES, Theme, empty_figure, theme

__all__ = [
    "DARK",
    "LIGHT",
    "OTHER_STYLE",
    "PALETTE",
    "STYLES",
    "Theme",
    "as_page",
    "empty_figure",
    "explore_figure",
    "figure",
    "hover",
    "profile_figure",
    "profile_page",
    "theme",
]
