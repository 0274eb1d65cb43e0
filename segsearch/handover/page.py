"""`report.html`: the model among the others, its numbers, its classes, a few masks; it asks for nothing else."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from segsearch.evidence.types import Confusion
from segsearch.figures.front import explore_figure
from segsearch.figures.scores import class_iou_figure
from segsearch.figures.theme import CONFIG, LIGHT, PLOTLY
from segsearch.handover.chosen import Chosen
from segsearch.handover.words import kind_lines, latency_words, miou_words, parted
from segsearch.judging.fronts import Report
from segsearch.judging.words import in_words
from segsearch.masks import Gallery, MaskCache, blended_png, choose_images, image_iou, picture_png
from segsearch.trial.score import classes_of, nearest, to_input
from segsearch.workshop import Progress

if TYPE_CHECKING:
    from segsearch.datasets import Dataset

# Images that the page shows: those that the model is most wrong on, of so many looked at, and some drawn at random.
HARD, DRAWN, AMONG = 2, 3, 24
# The longest side of a picture, in pixels.
SIDE = 400
# What stands between two backticks in our words.
CODE = r"<code>\1</code>"


@dataclass(frozen=True)
class Example:
    """A validation image with its truth and what the first file answers, as PNG files; `why` it is shown."""

    name: str
    why: str
    image: bytes
    truth: bytes
    prediction: bytes


def examples(model: Path, chosen: Chosen, dataset: Dataset, progress: Progress) -> tuple[Example, ...]:
    """Images that the stored file is most wrong on, and some drawn at random, with the answers of `model`."""
    from segsearch.runtimes import RUNTIMES

    split = dataset.validation
    gallery = Gallery(split, dataset.classes, dataset.void, dataset.key, chosen.study.artifacts)
    artifact = chosen.evidence.artifact
    shown = choose_images(gallery, [artifact], MaskCache(), hard=HARD, drawn=DRAWN, among=AMONG, progress=progress)
    session = RUNTIMES["onnxruntime"].open(model, threads=1)
    looked, found = min(AMONG, len(split)), []
    for one in shown:
        label = split.label(one.index)
        answer = session.run(to_input(split.images[one.index]))
        mask = nearest(classes_of(answer), label.shape).astype(np.uint8)
        iou = image_iou(label, mask, classes=len(dataset.classes))
        why = f"among the most wrong of {looked} looked at" if one.why == "hard" else "drawn at random"
        found.append(
            Example(
                one.name,
                f"{why}; " + ("nothing labelled" if iou is None else f"mean IoU {iou:.3f}"),
                picture_png(gallery, one.index, longest=SIDE),
                blended_png(gallery, one.index, label, longest=SIDE),
                blended_png(gallery, one.index, mask, longest=SIDE),
            )
        )
    return tuple(found)


def report_page(
    about: Mapping[str, Any], chosen: Chosen, report: Report, confusion: Confusion | None, shown: Sequence[Example]
) -> str:
    """The whole page; `confusion` and the examples `shown` are of the first file."""
    names = [one["name"] for one in about["classes"]]
    bars = "" if confusion is None else _drawn(class_iou_figure(confusion, names), "classes")
    return _PAGE.substitute(
        name=escape(about["name"]),
        kind="".join(f"<p>{re.sub('`(.+?)`', CODE, escape(line))}</p>" for line in kind_lines(about)),
        script=PLOTLY.read_text(encoding="utf-8"),
        files=_files(about),
        front=_drawn(front_chart(report, chosen), "front") if report.rows else "",
        place=escape(_place(about, report, chosen)),
        bars=bars or "<p>The validation images were learned from: they judge nothing.</p>",
        legend="".join(
            f'<li><span style="background:{escape(one["colour"])}"></span>{one["index"]} {escape(one["name"])}</li>'
            for one in about["classes"]
        ),
        examples="".join(map(_example, shown)),
        facts="".join(f"<tr><th>{escape(name)}</th><td>{escape(words)}</td></tr>" for name, words in parted(about)),
    )


def front_chart(report: Report, chosen: Chosen) -> Any:
    """The front by the study's first two objectives, with a star on this trial and a line to what became of it."""
    up, across = report.objectives[0], report.objectives[1] if len(report.objectives) > 1 else None
    ranges, values = {}, chosen.values
    comparable = chosen.evidence.timing.machine == report.machine  # latencies of two machines never share a chart
    if across is not None:
        seen = [limit.bound for limit in report.limits if limit.objective == across.name]
        seen += [row.values[across.name] for row in report.rows]
        seen += [values[across.name]] if comparable and across.name in values else []
        ranges[across.name] = (0.0, 1.1 * max(seen))
    number = chosen.trial.number
    chart = explore_figure(report, up=up.name, across=across.name if across else None, picked=number, ranges=ranges)
    for trace in chart.select_traces(selector=lambda trace: trace.customdata is not None):
        trace.update(name=trace.uid, showlegend=True)
    for trace in chart.select_traces(selector=lambda trace: trace.uid == "picked"):
        trace.update(name=f"this model as a proxy (trial {number})" if chosen.final else f"this model (trial {number})")
    row = next((one for one in report.rows if one.trial == number), None)
    both = {up.name, across.name} if across is not None else set()
    if chosen.final is not None and comparable and across is not None and both <= values.keys():
        points = ([row.values] if row is not None else []) + [values]
        chart.add_scatter(
            x=[point[across.name] for point in points],
            y=[point[up.name] for point in points],
            mode="lines+markers",
            line={"dash": "dot", "color": LIGHT.ink, "width": 1.5},
            marker={
                "symbol": ["circle-open"] * (len(points) - 1) + ["star"],
                "size": [1] * (len(points) - 1) + [19],
                "color": LIGHT.palette[1],
                "line": {"width": 1.2, "color": LIGHT.ink},
            },
            name="this model, trained to the end",
            hoverinfo="x+y",
            cliponaxis=False,
        )
    return chart.update_layout(height=560)


def _place(about: Mapping[str, Any], report: Report, chosen: Chosen) -> str:
    """Where the trial stands, in words."""
    row = next((one for one in report.rows if one.trial == chosen.trial.number), None)
    if row is None:
        words = f"This trial was not timed on machine {report.machine[:8]}, whose front this is."
    elif row.on_front:
        words = f"The star is one of {len(report.front)} on the front of {len(report.rows)} trained models."
    else:
        words = f"The star is not on the front of {len(report.rows)} trained models."
    lines = [words, f"Latencies are those of machine {report.machine[:8]}."]
    if chosen.final is not None and chosen.evidence.timing.machine == report.machine:
        lines.append("The other star is the same network trained to the end.")
    elif chosen.final is not None:
        lines.append("Trained to the end it was timed on another machine, and is not on this chart.")
    if any(one["derived"] for one in about["files"]):
        lines.append("Derived files are not on it: their numbers stand above.")
    return " ".join(lines)


def _drawn(chart: Any, name: str) -> str:
    found: str = chart.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=CONFIG)
    return found


def _files(about: Mapping[str, Any]) -> str:
    rows = []
    for one in about["files"]:
        how = "made of the stored file, timed and scored anew" if one["derived"] else "the graph of the stored file"
        cells = [one["file"], f"{one['answers']}, {how}", in_words("size_bytes", one["size_bytes"])]
        cells += [latency_words(one), miou_words(one["miou"]), miou_words(one["test_miou"])]
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    head = "".join(
        f"<th>{name}</th>" for name in ("file", "answers", "size", "latency", "validation mIoU", "test mIoU")
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _example(one: Example) -> str:
    pictures = "".join(
        f'<div><img src="data:image/png;base64,{base64.b64encode(png).decode()}" alt="{what}">{what}</div>'
        for what, png in (("image", one.image), ("truth", one.truth), ("prediction", one.prediction))
    )
    caption = f"<figcaption>{escape(one.name)}: {escape(one.why)}</figcaption>"
    return f"<figure><div class=row>{pictures}</div>{caption}</figure>"


_PAGE = Template("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data: blob:; \
style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>$name</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem;
  color: #1f2328; background: #fff; }
h1 { font-size: 1.5rem; margin: 0 0 .5rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid #e3e6e9; vertical-align: top; }
th { font-weight: 600; white-space: nowrap; } td { overflow-wrap: anywhere; }
ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
li span { display: inline-block; width: 20px; height: 13px; border-radius: 3px; margin-right: .35rem;
  outline: 1px solid #8886; }
figure { margin: 1rem 0; } .row { display: flex; gap: 6px; } .row div { flex: 1; min-width: 0; font-size: 13px; }
.row img { display: block; width: 100%; } figcaption { color: #667078; font-size: 13px; }
</style>
<h1>$name</h1>
$kind
$files
<script>$script</script>
<h2>Among the models of the study</h2>
<p>$place</p>
$front
<h2>Validation: IoU of each class</h2>
$bars
<h2>Validation images, made by the first file</h2>
<ul>$legend</ul>
$examples
<h2>Where it comes from</h2>
<table>$facts</table>
</html>
""")
