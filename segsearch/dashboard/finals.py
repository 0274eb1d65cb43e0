"""Models trained to the end, on the page: what they say of the proxies, and what became of one trial."""

from __future__ import annotations

from typing import Any

import dash_mantine_components as dmc
from dash import html

from segsearch.dashboard.parts import card, facts, figure_of, heading, moment
from segsearch.dashboard.scene import Scene
from segsearch.dashboard.state import State as View
from segsearch.dashboard.state import to_address
from segsearch.figures.scores import look_rows, looks_figure
from segsearch.judging.finals import Ended, ended_of, lines_of, recipe_words
from segsearch.judging.fronts import Row
from segsearch.judging.grown import look_lines
from segsearch.judging.words import duration, in_words
from segsearch.store import GrownRow


def ended_card(scene: Scene) -> list[Any]:
    """Whether the proxies told the truth, below the front; nothing where no model was trained to the end."""
    report = scene.report
    if not report.grown:
        return []
    count = len({one.trial for one in report.grown})
    models = "1 model was" if count == 1 else f"{count} models were"
    first = f"{models} trained to the end; triangles show where they ended, arrows from which trial."
    lines = [first, *lines_of(report)]
    return [card(heading("Trained to the end"), *(dmc.Text(line, size="sm") for line in lines))]


def cards_of(scene: Scene, row: Row, *, dark: bool) -> list[Any]:
    """What became of a trial, a card for each recipe, the newest first; nothing where it was not trained to the end."""
    ended = ended_of([one for one in scene.report.grown if one.trial == row.trial])
    return [_card(scene, row, one, dark=dark) for one in reversed(ended)]


def version_of(scene: Scene, row: Row) -> list[object]:
    """What a panel with these cards depends on."""
    mine = [(one.recipe, one.seed, one.finished) for one in scene.report.grown if one.trial == row.trial]
    return [mine, scene.report.test_looks if mine else 0]


def _card(scene: Scene, row: Row, ended: Ended, *, dark: bool) -> Any:
    where = to_address(View(study=scene.state.study, machine=scene.state.machine))
    links = [
        html.A(_named("ONNX", one, ended), href=f"model/{one.artifact}{where}", className="download", download=True)
        for one in ended.rows
    ]
    title = html.Div([heading("Trained to the end"), html.Div(links, className="actions")], className="line")
    found = facts(_pairs(scene, row, ended))
    curves = {f"seed {one.seed}": look_rows(one.looks, ended.recipe.epochs) for one in ended.rows}
    if not any(curves.values()):
        return card(title, found)
    chart = looks_figure(curves, proxy=row.values.get("miou"), dark=dark)
    return card(title, html.Div([found, figure_of(chart, label="mIoU over the epochs")], className="two"))


def _pairs(scene: Scene, row: Row, ended: Ended) -> list[tuple[str, str]]:
    """Every number of a final model with what it is."""
    pairs = []
    if ended.scored:
        before = f"; as a proxy {in_words('miou', row.values['miou'])}" if "miou" in row.values else ""
        around = _around(ended, known="miou" in ended.intervals)
        pairs.append(("mIoU", f"{ended.shown('miou')} on the validation images{around}{before}"))
    else:
        pairs.append(("mIoU", "none on the validation images: it learned from them, too"))
    if ended.test is not None:
        looks = " ".join(look_lines(ended.rows, scene.report.test_looks))
        around = _around(ended, known=ended.rows[0].test_interval is not None)
        pairs.append(("mIoU on test images", f"{ended.shown_test}{around}. {looks}"))
    pairs.append(("latency", f"{ended.shown('latency_ms')} ms"))
    pairs.append(("recipe", recipe_words(ended.recipe)))
    if len(ended.rows) > 1:
        pairs.append(("seeds", ", ".join(map(_seed_words, ended.rows))))
    else:
        pairs.append(("seed", str(ended.rows[0].seed)))
    pairs += [(_named("file", one, ended), _file_words(one)) for one in ended.rows]
    return pairs


def _around(ended: Ended, *, known: bool) -> str:
    """What stands after a mIoU: what its ± is."""
    if len(ended.rows) > 1:
        return " (mean, standard deviation and number of seeds)"
    return " (95 % over its images)" if known else ""


def _named(what: str, one: GrownRow, ended: Ended) -> str:
    return what if len(ended.rows) == 1 else f"{what}, seed {one.seed}"


def _seed_words(one: GrownRow) -> str:
    numbers = [in_words("miou", one.values["miou"])] if "miou" in one.values else []
    numbers += [f"test {in_words('miou', one.test)}"] if one.test is not None else []
    return f"{one.seed} ({', '.join(numbers)})" if numbers else str(one.seed)


def _file_words(one: GrownRow) -> str:
    took = [] if one.train_seconds is None else [f"trained for {duration(one.train_seconds)}"]
    size = in_words("size_bytes", one.values["size_bytes"])
    return ", ".join([f"{one.artifact[:16]}... ({size})", *took, f"finished {moment(one.finished)}"])
