"""What a model scores on each class, and how it was trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go

from segsearch.evidence.types import Confusion
from segsearch.figures.theme import dress, empty_figure, label_pixels, theme


@dataclass(frozen=True)
class ClassScore:
    """One class: its IoU (None where the truth lacks it), its share of the labelled pixels, and of the predicted."""

    name: str
    iou: float | None
    share: float
    predicted: float


def class_scores(confusion: Confusion, names: Sequence[str]) -> tuple[ClassScore, ...]:
    """The classes by their IoU, the best first; those that the truth lacks last."""
    total = sum(map(sum, confusion.counts)) or 1
    found = [
        ClassScore(name, iou, truth / total, predicted / total)
        for name, iou, (_, truth, predicted) in zip(
            _named(confusion, names), confusion.class_iou, confusion.sums, strict=True
        )
    ]
    return tuple(sorted(found, key=lambda one: (one.iou is None, -(one.iou or 0.0))))


def _seen(absent: ClassScore) -> str:
    """How much is taken for a class that the truth lacks: its own classes miss those pixels."""
    return f"; {absent.predicted:.2g} of the pixels are taken for it" if absent.predicted else ""


def _named(confusion: Confusion, names: Sequence[str]) -> list[str]:
    """A name for every class, whatever is known of the data set."""
    return [names[index] if index < len(names) else f"class {index}" for index in range(len(confusion.counts))]


def class_iou_figure(confusion: Confusion, names: Sequence[str], *, dark: bool = False) -> Any:
    """IoU of each class as bars, the best first, with the mean as a line; what the truth lacks is said."""
    look = theme(dark)
    scores = class_scores(confusion, names)
    here = [one for one in scores if one.iou is not None]
    chart = go.Figure(
        go.Bar(
            orientation="h",
            x=[one.iou for one in here],
            y=[escape(one.name) for one in here],
            marker={"color": look.palette[0], "line": {"width": 0}},
            text=[f"{one.iou:.3f}" for one in here],
            textposition="outside",
            cliponaxis=False,
            textfont={"size": 12, "color": look.ink},
            hovertext=[f"{escape(one.name)}: IoU {one.iou:.4f}, {one.share:.2%} of the pixels" for one in here],
            hoverinfo="text",
        )
    )
    absent = [one for one in scores if one.iou is None]
    if absent:
        chart.add_trace(
            go.Scatter(
                x=[0.0] * len(absent),
                y=[escape(one.name) for one in absent],
                mode="text",
                text=[f"\u00a0absent from the truth{_seen(one)}" for one in absent],
                textposition="middle right",
                textfont={"size": 12, "color": look.muted},
                hoverinfo="skip",
            )
        )
    if here:
        mean = sum(one.iou or 0.0 for one in here) / len(here)
        chart.add_vline(x=mean, line_dash="dot", line_color=look.muted, line_width=1.5, layer="below")
        text = {"text": f"mean {mean:.3f}", "showarrow": False, "font": {"size": 11, "color": look.muted}}
        chart.add_annotation(x=mean, y=1, yref="paper", yanchor="bottom", **text)
    dress(
        chart,
        look,
        height=26 * len(scores) + 70,
        margin={"l": label_pixels(one.name for one in scores), "r": 48, "t": 24, "b": 40, "autoexpand": False},
        bargap=0.3,
        showlegend=False,
        dragmode=False,
    )
    chart.update_xaxes(range=[0, 1], title_text="intersection over union", fixedrange=True)
    order = [escape(one.name) for one in reversed(scores)]
    chart.update_yaxes(fixedrange=True, showgrid=False, categoryorder="array", categoryarray=order, type="category")
    return chart


def confusion_shares(confusion: Confusion) -> tuple[tuple[float, ...], ...]:
    """Each row of the counts over its sum: what became of the pixels of a class; 0 for a class without any."""
    return tuple(tuple(count / (sum(row) or 1) for count in row) for row in confusion.counts)


def confusion_figure(confusion: Confusion, names: Sequence[str], *, dark: bool = False) -> Any:
    """What became of the pixels of each class: rows are truth and sum to 1, columns prediction; counts on hover."""
    look = theme(dark)
    shares = np.asarray(confusion_shares(confusion), dtype=np.float32)
    labels = [escape(name) for name in _named(confusion, names)]
    few = len(labels) <= 14
    chart = go.Figure(
        go.Heatmap(
            z=np.round(shares, 4),
            x=labels,
            y=labels,
            customdata=np.asarray(confusion.counts, dtype=np.float64),
            zmin=0,
            zmax=1,
            colorscale=list(map(list, look.heat)),
            xgap=1 if few else 0,
            ygap=1 if few else 0,
            text=[[f"{share:.0%}" if share >= 0.005 else "" for share in row] for row in shares] if few else None,
            texttemplate="%{text}" if few else None,
            textfont={"size": 10},
            hovertemplate="%{y} taken for %{x}<br>%{z:.2%} of its pixels (%{customdata:,d})<extra></extra>",
            showscale=False,
        )
    )
    side = label_pixels(labels)
    dress(
        chart,
        look,
        height=max(320, 30 * len(labels) + side + 30) if few else 640,
        margin={"l": side + 24, "r": 8, "t": 8, "b": side + 24, "autoexpand": False},
        dragmode=False,
    )
    chart.update_xaxes(title_text="predicted", tickangle=-45, fixedrange=True, showgrid=False)
    chart.update_yaxes(title_text="truth", autorange="reversed", fixedrange=True, showgrid=False, title_standoff=4)
    return chart


# ---- training


def loss_rows(losses: Mapping[str, Sequence[float]]) -> Mapping[str, tuple[tuple[int, float], ...]]:
    """(epoch, loss) of each stage of training; a stage carries on where the one before it stopped."""
    found, begun = {}, 0
    for stage, values in losses.items():
        found[stage] = tuple((begun + epoch, value) for epoch, value in enumerate(values, start=1))
        begun += len(values)
    return found


def losses_figure(losses: Mapping[str, Sequence[float]], *, dark: bool = False) -> Any:
    """The training curve: the mean loss of each epoch, one line for each stage (`train`, `fine-tune`)."""
    look = theme(dark)
    rows = {stage: points for stage, points in loss_rows(losses).items() if points}
    if not rows:
        return empty_figure("no losses were kept of this model", dark=dark)
    chart = go.Figure()
    dashes = ("solid", "dash", "dot", "dashdot")
    for index, (stage, points) in enumerate(rows.items()):
        chart.add_trace(
            go.Scatter(
                x=[epoch for epoch, _ in points],
                y=[value for _, value in points],
                name=escape(stage),
                mode="lines+markers" if len(points) <= 60 else "lines",
                line={"color": look.palette[index % 6], "width": 2, "dash": dashes[index % 4]},
                marker={"size": 6},
                hovertemplate=f"{escape(stage)}, epoch %{{x}}: %{{y:.4g}}<extra></extra>",
            )
        )
    dress(
        chart,
        look,
        height=280,
        showlegend=len(rows) > 1,
        legend={"x": 1, "y": 1, "xanchor": "right", "yanchor": "top"},
        margin={"l": 60, "r": 16, "t": 12, "b": 48, "autoexpand": False},
    )
    chart.update_xaxes(title_text="epoch", tickformat="d")
    chart.update_yaxes(title_text="mean loss", rangemode="tozero")
    return chart


def look_rows(looks: Sequence[tuple[int, float, float]], epochs: int) -> tuple[tuple[float, float], ...]:
    """(epoch, mIoU) of each look (step, loss, mIoU) at a training of so many epochs; the last look is at its end."""
    return tuple((step * epochs / looks[-1][0], miou) for step, _, miou in looks)


def looks_figure(
    curves: Mapping[str, Sequence[tuple[float, float]]], *, proxy: float | None = None, dark: bool = False
) -> Any:
    """The mIoU on the validation images over the epochs, a line for each name, and that of the `proxy` beneath."""
    look = theme(dark)
    rows = {name: points for name, points in curves.items() if points}
    if not rows:
        return empty_figure("nobody looked at the validation images on the way", dark=dark)
    chart = go.Figure()
    for index, (name, points) in enumerate(rows.items()):
        chart.add_trace(
            go.Scatter(
                x=[epoch for epoch, _ in points],
                y=[miou for _, miou in points],
                name=escape(name),
                mode="lines+markers",
                line={"color": look.palette[index % 6], "width": 2},
                marker={"size": 6},
                hovertemplate=f"{escape(name)}, epoch %{{x:.3~g}}: mIoU %{{y:.3f}}<extra></extra>",
            )
        )
    if proxy is not None:
        chart.add_hline(y=proxy, line_dash="dot", line_color=look.muted, line_width=1.5, layer="below")
        text = {"text": f"as a proxy {proxy:.3f}", "showarrow": False, "font": {"size": 11, "color": look.muted}}
        chart.add_annotation(y=proxy, x=1, xref="paper", xanchor="right", yanchor="bottom", **text)
    dress(
        chart,
        look,
        height=280,
        showlegend=len(rows) > 1,
        legend={"x": 1, "y": 0, "xanchor": "right", "yanchor": "bottom"},
        margin={"l": 60, "r": 16, "t": 12, "b": 48, "autoexpand": False},
    )
    chart.update_xaxes(title_text="epoch", rangemode="tozero")
    chart.update_yaxes(title_text="mIoU", tickformat=".2f")
    return chart
