"""What a person zoomed to: Dash writes it into the figure, where the next figure would take it back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

ZOOMED = ("xaxis", "yaxis")


def zoomed(before: Mapping[str, Any] | None, told: Mapping[str, Any] | None, axes: str) -> dict[str, Any]:
    """The zoom after one event of the plot; `axes` names what is on the axes, and another choice begins anew."""
    zoom: dict[str, Any] = dict(before) if before and before.get("axes") == axes else {"axes": axes}
    for name in ZOOMED:
        found = (told or {}).get(f"{name}.range")
        ends = [(told or {}).get(f"{name}.range[{end}]") for end in (0, 1)]
        if isinstance(found, list) or None not in ends:
            zoom[name] = found or ends
        elif f"{name}.autorange" in (told or {}):
            zoom.pop(name, None)
    if "scene.camera" in (told or {}):
        zoom["camera"] = (told or {})["scene.camera"]
    return zoom


def keep_zoom(chart: Mapping[str, Any], zoom: Mapping[str, Any] | None, axes: str) -> dict[str, Any]:
    """A figure (as plain data) at the zoom that was chosen for its axes."""
    if not zoom or zoom.get("axes") != axes:
        return dict(chart)
    layout = dict(chart["layout"])
    for name in ZOOMED:
        if name in zoom:
            layout[name] = {**layout.get(name, {}), "range": zoom[name], "autorange": False}
    if "camera" in zoom:
        layout["scene"] = {**layout.get("scene", {}), "camera": zoom["camera"]}
    return {**chart, "layout": layout}
