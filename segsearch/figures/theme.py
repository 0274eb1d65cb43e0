"""What all figures share: colours that every kind of eye tells apart, a light and a dark ground, and the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

# Plotly's own script with the traces that are drawn here, a third of the whole; `tools/plotly` makes it.
PLOTLY = Path(__file__).with_name("plotly.min.js")

# Okabe and Ito's palette, told apart with every kind of colour vision; the marker's shape says the same again.
# These markers are drawn in three dimensions, too.
STYLES: dict[str, tuple[str, str]] = {
    "fp32": ("#0072B2", "circle"),
    "int8": ("#D55E00", "diamond"),
    "w4": ("#CC79A7", "cross"),
}
OTHER_STYLE = ("#009E73", "square")
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#777777", "#222222")
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


@dataclass(frozen=True)
class Theme:
    """One ground to draw on. The ground itself is the page's: a figure is transparent.

    `ink` writes, `muted` writes what matters less, `line` draws grids, `panel` fills what floats above the figure,
    `faint` is the opacity of what stands back, `styles` are the colour and marker of
    each precision, `palette` is for everything else, `heat` colours shares from 0 to 1,
    `ramp` colours models from the worst, who stand back, to the best.
    """

    name: str
    ink: str
    muted: str
    line: str
    panel: str
    gold: str
    faint: float
    styles: dict[str, tuple[str, str]]
    other: tuple[str, str]
    palette: tuple[str, ...]
    heat: tuple[tuple[float, str], ...]
    ramp: tuple[tuple[float, str], ...]

    def style(self, ships: str) -> tuple[str, str]:
        """Colour and marker of what ships in that precision; int8 but for a few layers is drawn as int8."""
        return self.styles.get("int8" if ships == "mixed" else ships, self.other)


LIGHT = Theme(
    name="light",
    ink="#1f2328",
    muted="#667078",
    line="#e3e6e9",
    panel="#ffffff",
    gold="#F0C419",
    faint=0.3,
    styles=STYLES,
    other=OTHER_STYLE,
    palette=PALETTE,
    heat=((0.0, "#ffffff"), (0.001, "#eef5fa"), (0.25, "#a6cde4"), (0.6, "#3d93c5"), (1.0, "#00466f")),
    ramp=((0.0, "#fde725"), (0.25, "#5ec962"), (0.5, "#21918c"), (0.75, "#3b528b"), (1.0, "#440154")),
)
# The same hues, lighter: the blue and the vermilion of the palette are too dark on a dark ground.
DARK = Theme(
    name="dark",
    ink="#e6e8ea",
    muted="#9aa3ab",
    line="#373b40",
    panel="#25282c",
    gold="#F0E442",
    faint=0.42,
    styles={"fp32": ("#56B4E9", "circle"), "int8": ("#F28E4B", "diamond"), "w4": ("#D99BBD", "cross")},
    other=("#2BC79B", "square"),
    palette=("#56B4E9", "#F28E4B", "#2BC79B", "#D99BBD", "#E6B422", "#8FD0F5", "#A0A6AC", "#E6E8EA"),
    heat=((0.0, "#202327"), (0.001, "#23303a"), (0.25, "#1f5575"), (0.6, "#3d93c5"), (1.0, "#bfe4f8")),
    ramp=((0.0, "#4d5863"), (0.5, "#3d93c5"), (1.0, "#F0E442")),
)


def theme(dark: bool) -> Theme:
    return DARK if dark else LIGHT


def axis_style(look: Theme) -> dict[str, Any]:
    """How an axis is drawn, as plain data."""
    return {
        "gridcolor": look.line,
        "linecolor": look.line,
        "zeroline": False,
        "ticks": "",
        "title": {"font": {"size": 13}, "standoff": 10},
        "tickfont": {"size": 12},
    }


def layout_style(look: Theme) -> dict[str, Any]:
    """The ground, the font and margins that no legend pushes, as plain data."""
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 13, "color": look.ink},
        "hoverlabel": {
            "bgcolor": look.panel,
            "bordercolor": look.muted,
            "font": {"family": FONT, "size": 13, "color": look.ink},
            "align": "left",
        },
        "margin": {"l": 64, "r": 16, "t": 16, "b": 56, "autoexpand": False},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": look.muted, "activecolor": look.ink},
        "uirevision": "kept",
    }


def dress(chart: Any, look: Theme, **layout: Any) -> Any:
    """Give a figure the style of the house, and `layout` on top of it; return it."""
    chart.update_xaxes(**axis_style(look))
    chart.update_yaxes(**axis_style(look))
    return chart.update_layout(**({"template": "none"} | layout_style(look) | layout))


def label_pixels(names: Iterable[str]) -> int:
    """The width that an axis of names takes."""
    return min(170, 20 + 7 * max((len(name) for name in names), default=0))


def empty_figure(words: str, *, dark: bool = False) -> Any:
    """A figure that has nothing to show yet, and says so."""
    import plotly.graph_objects as go

    look = theme(dark)
    chart = dress(go.Figure(), look)
    chart.add_annotation(
        text=escape(words), x=0.5, y=0.5, xref="paper", yref="paper", showarrow=False, font={"color": look.muted}
    )
    chart.update_xaxes(visible=False)
    chart.update_yaxes(visible=False)
    return chart


CONFIG = {"displaylogo": False, "responsive": True}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }}
body {{ color: #222; background: #fff }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .3rem .7rem; border-bottom: 1px solid #ddd; vertical-align: top }}
td.number, th.number {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }}
</style></head><body>
<h1>{title}</h1><p>{summary}</p>
<script>{script}</script>
{chart}
<table><thead><tr>{head}</tr></thead><tbody>
{body}
</tbody></table></body></html>
"""


def page(title: str, summary: str, chart: Any, *, name: str, head: str, body: str) -> str:
    """A web page of one chart and one table that needs no other file and asks nothing of a network.

    `title` and `summary` are plain text; `head` and `body` are HTML of the table, already escaped.
    """
    drawn = chart.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=CONFIG)
    script = PLOTLY.read_text(encoding="utf-8")
    return _PAGE.format(title=escape(title), summary=escape(summary), script=script, chart=drawn, head=head, body=body)
