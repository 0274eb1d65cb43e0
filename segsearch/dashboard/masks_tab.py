"""The third tab: image, truth and what up to four exported files answer, side by side."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import dash_mantine_components as dmc
import flask
from dash import dcc, html, no_update

from segsearch.dashboard.files import seen_of
from segsearch.dashboard.parts import card, heading, note
from segsearch.dashboard.reading import Reader, Seen
from segsearch.dashboard.scene import Scene
from segsearch.dashboard.state import State as View
from segsearch.dashboard.state import to_address
from segsearch.errors import SegsearchError
from segsearch.judging.fronts import Row
from segsearch.latency.room import machine_room
from segsearch.masks import (
    Gallery,
    MaskCache,
    Shown,
    answer,
    choose_images,
    classes_png,
    errors_png,
    known,
    legend_of,
    open_gallery,
    picture_png,
    predict,
    spread,
)
from segsearch.workshop import cache_of


@dataclass
class Galleries:
    """The opened data sets and the images chosen from them; one thread at a time computes."""

    cache: MaskCache = field(default_factory=MaskCache)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _open: dict[str, Gallery] = field(default_factory=dict)
    _chosen: dict[tuple[str, int], tuple[Shown, ...]] = field(default_factory=dict)

    def of(self, seen: Seen) -> Gallery:
        """The validation images of a study. Raises `DataError` where they are gone or changed."""
        key = f"{seen.study.artifacts.folder}|{seen.study.name}|{seen.study.created}"
        with self.lock:
            if key not in self._open:
                self._open.clear()
                self._open[key] = open_gallery(seen.study, cache=cache_of(seen.study.artifacts.folder.parent))
            return self._open[key]

    def images(self, scene: Scene, gallery: Gallery, seed: int, give_way: Any) -> tuple[Shown, ...]:
        """The images to look at: chosen once, so that they stay the same while the front moves."""
        key = (f"{scene.seen.study.name}|{scene.seen.study.created}|{scene.report.machine}", seed)
        if key not in self._chosen:
            files = [row.artifact.name for row in scene.report.front or scene.report.rows]
            self._chosen[key] = choose_images(
                gallery, files, self.cache, seed=seed, progress=lambda stage, done, total: give_way()
            )
        return self._chosen[key]


def masks_panel() -> Any:
    """The tab with its controls; the pictures come when it is looked at."""
    controls = html.Div(
        [
            heading("What each model sees"),
            dmc.SegmentedControl(
                id="mask-kind",
                data=[{"value": "classes", "label": "Classes"}, {"value": "errors", "label": "Errors"}],
                value="classes",
                size="sm",
            ),
            html.Div(
                [
                    dmc.Text("Opacity", size="sm", id="opacity-name"),
                    dmc.Slider(
                        id="opacity", min=0, max=100, value=65, w=180, label=None, thumbLabel="Opacity of the masks"
                    ),
                ],
                className="opacity",
            ),
            dmc.Button("Other images", id="other-images", variant="default", size="compact-md"),
        ],
        className="line",
    )
    waiting = dmc.Text("The models answer ...", size="sm", c="dimmed")
    box = html.Div(html.Div(waiting, id="masks", className="panel"), id="masks-box", className="masks")
    return html.Div(card(controls, dcc.Loading(box, delay_show=400, type="dot")), className="panel")


def masks_of(scene: Scene, galleries: Galleries, *, others: int, shown: str | None) -> tuple[Any, Any]:
    """The comparison and its version; neither where this very one is shown already."""
    rows = compared(scene)
    version = "|".join(map(str, [scene.seen.study.name, others, *(row.sha256 for row in rows)]))
    if version == shown:
        return no_update, no_update
    if not rows:
        return note("No models to compare yet", "Masks come with the first trained models."), version
    try:
        return _comparison(scene, galleries, rows, others), version
    except SegsearchError as error:
        return note("The masks cannot be compared", str(error), kind="wrong"), None


def compared(scene: Scene) -> list[Row]:
    """The selected models; where nobody selected any, a few from end to end of the front."""
    if not scene.suggested:
        return list(scene.selected)
    by_name = {row.artifact.name: row for row in scene.report.front}
    return [by_name[name] for name in spread([row.artifact.name for row in scene.report.front], 3)]


def _comparison(scene: Scene, galleries: Galleries, rows: Sequence[Row], seed: int) -> Any:
    gallery = galleries.of(scene.seen)
    # A measurement on this machine goes first; who waits for it holds up nobody else.
    with machine_room().working() as give_way, galleries.lock:
        images = galleries.images(scene, gallery, seed, give_way)
        found = []
        for image in images:
            captions = []
            for row in rows:
                captions.append(_caption(gallery, row, image, galleries.cache))
                give_way()
            found.append(_line(scene, gallery, image, rows, captions))
    missing = "You selected none: these stand from end to end of the front. " if scene.suggested else ""
    words = f"{missing}The hardest images first, where the front's models disagree; then some drawn at random."
    return [dmc.Text(words, size="sm", c="dimmed"), *found]


def _caption(gallery: Gallery, row: Row, image: Shown, cache: MaskCache) -> str:
    said = answer(gallery, row.artifact.name, image.index, cache)
    iou = f"IoU {said.iou:.3f}" if said.iou is not None else "nothing labelled"
    return f"Trial {row.trial} · {iou}" + (f" · {said.right:.1%} right" if said.right is not None else "")


def _line(scene: Scene, gallery: Gallery, image: Shown, rows: Sequence[Row], captions: Sequence[str]) -> Any:
    """One image: itself, its truth, then each model."""
    where = to_address(View(study=scene.state.study))
    why = (
        f"models disagree on {image.score:.0%}"
        if image.why == "hard" and image.score is not None
        else "drawn at random"
    )
    picture = f"masks/picture/{image.index}.png{where}"
    cells = [
        _cell(image.name, picture, []),
        _cell("truth", picture, [("classes", f"masks/truth/{image.index}.png{where}")]),
    ]
    for row, caption in zip(rows, captions, strict=True):
        files = [(kind, f"masks/{kind}/{image.index}/{row.sha256}.png{where}") for kind in ("classes", "errors")]
        cells.append(_cell(caption, picture, files))
    legend = [
        html.Span([html.Span(className="swatch", style={"background": one.colour}), one.name], className="legend")
        for one in legend_of(gallery, image.index)
    ]
    style = {"gridTemplateColumns": f"repeat({len(cells)}, minmax(9rem, 1fr))"}
    return html.Div(
        [
            html.Div([dmc.Text(why, size="sm", fw=600), html.Div(legend, className="legends")], className="line"),
            html.Div(html.Div(cells, className="strip", style=style), className="scroll"),
        ]
    )


def _cell(caption: str, picture: str, layers: Sequence[tuple[str, str]]) -> Any:
    base = html.Img(src=picture, alt=caption, className="base")
    over = [html.Img(src=address, alt=f"{caption}: {kind}", className=f"over {kind}") for kind, address in layers]
    truth = " truth" if len(layers) == 1 else ""
    return html.Figure([html.Div([base, *over], className=f"layers{truth}"), html.Figcaption(caption)])


def serve_pictures(server: flask.Flask, reader: Reader, galleries: Galleries) -> None:
    """Add the addresses of the pictures: numbers and hashes, never a path."""

    def plain(kind: str, index: int) -> flask.typing.ResponseReturnValue:
        gallery = _gallery(index)
        if kind == "picture":
            return _png(picture_png(gallery, index))
        return _png(classes_png(gallery, gallery.split.label(index)))

    def model(kind: str, index: int, sha256: str) -> flask.typing.ResponseReturnValue:
        seen, gallery = seen_of(reader), _gallery(index)
        name = seen.artifact(sha256)
        if name is None:
            flask.abort(404, "The database names no model of that hash.")
        prediction = known(gallery, name, index, galleries.cache)
        if prediction is None:
            with machine_room().working(), galleries.lock:
                prediction = predict(gallery, name, index, galleries.cache)
        found = classes_png(gallery, prediction) if kind == "classes" else errors_png(gallery, index, prediction)
        return _png(found)

    def _gallery(index: int) -> Gallery:
        gallery = galleries.of(seen_of(reader))
        if index >= len(gallery.split):
            flask.abort(404, "There is no validation image of that number.")
        return gallery

    server.add_url_rule("/masks/<any(picture, truth):kind>/<int:index>.png", "mask-image", plain)
    server.add_url_rule(
        "/masks/<any(classes, errors):kind>/<int:index>/<string(length=64):sha256>.png", "mask-model", model
    )


def _png(content: bytes) -> flask.Response:
    return flask.Response(content, mimetype="image/png")
