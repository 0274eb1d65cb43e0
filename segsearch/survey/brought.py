"""The study that `segsearch compress` writes: somebody's network, a data set that a study names, and compression."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segsearch.settings.network import LEARNING, WAYS
from segsearch.space.own import Pixels, Way
from segsearch.study import Study, parse_study
from segsearch.survey.template import budget_for

TEMPLATE = """\
# Written by `segsearch compress` of {shown}.
#   segsearch check THIS_FILE    what it will take
#   segsearch run THIS_FILE      search; run it again to carry on

name = {name}
seed = {seed}
trials = {trials}
space = "compress_only"  # the network's compression and nothing else
objectives = {objectives}
output = "{output}"  # what the files answer: the class of each pixel ("mask") or the "scores"
# A candidate over a limit is never tried out; where the untouched network is, it is not there to compare with.
limits = {limits}

{notes}[network]
file = {file}  # {kept}
# What it takes of an image: {pixels}.
mean = {mean}
std = {std}
top = {top}  # what white is before that: 255 as it is stored, 1 where it is divided by 255
channels = "{channels}"
ways = {ways}  # what is searched{closed}

# The images, as {data} has them.
[data]
{data_table}
{train}{timing}[search]
{search}
[[search.first]]  # the network as it was brought
{untouched}"""
TRAIN = """\
[train]
# The network is not trained anew. This is the length that the tails are shares of: what is pruned or factorized learns
# on for `fine_tune_share` of it, at a third of the rate; int8 that is trained as it is rounded for 7 %.
steps = {steps}
fine_tune_share = 0.25
batch_size = {batch_size}
learning_rate = 1e-3
crop = 1.0
smallest_zoom = 1.0
largest_zoom = 1.5
{kept}
"""
# What is only rounded, and with masks has its classes chosen elsewhere, is all among the untouched one's siblings.
ONE = "1  # the network untouched; all that becomes of it are its siblings"
MANY = "12  # networks to end with, each with its siblings; the first one is untouched"
BEGIN = "startup_trials = 3\n"
SIBLINGS = """\
siblings = 8  # further files that each network leaves, in seconds each: other precisions, classes chosen elsewhere
"""
TAIL = "tails = 1  # networks that learn on from each for a while: int8 first\n"
SCREEN = "screen = 8  # candidates that are timed and sized, in seconds each, for each one that learns on\n"


def untouched(ways: Sequence[Way], output: str) -> dict[str, str]:
    """The choices of the space `compress_only` that leave a network as it is."""
    found = {"pruned": "0"} if "prune" in ways else {}
    found |= {"rank": "1"} if "factorize" in ways else {}
    return {**({"answer_scale": "1"} if output == "mask" else {}), **found, "bits": "32"}


def study_text(
    data: Study,
    *,
    name: str,
    shown: str,
    file: str,
    pixels: Pixels,
    ways: Sequence[Way],
    notes: Sequence[str],
    images: int,
    source: str,
) -> str:
    """The study, of the data (and timing, limits, objectives) of another one; `images` are those to train on."""
    settings = data.model_dump(mode="json", exclude_unset=True)
    budget = budget_for(images)
    kept = {key: data.train.model_dump()[key] for key in ("device", "threads") if key in data.train.model_fields_set}
    closed = [way for way in WAYS if way not in ways]
    many, learns = bool({"prune", "factorize"} & {*ways}), bool(LEARNING & {*ways})
    return TEMPLATE.format(
        shown=shown,
        name=json.dumps(name),
        seed=data.seed,
        objectives=_value(list(data.objectives)),
        limits=_value(list(data.limits)),
        output=data.output,
        notes="".join(f"# {line}\n" for note in notes for line in textwrap.wrap(note, 118, break_long_words=False)),
        file=json.dumps(file, ensure_ascii=False),
        kept="sources and weights, as they were; the code in it runs where the study does"
        if file.endswith(".safetensors")
        else "as it was",
        pixels=pixels.words,
        mean=_value(list(pixels.mean)),
        std=_value(list(pixels.std)),
        top=_value(pixels.top),
        channels=pixels.channels,
        ways=_value(list(ways)),
        closed=f"; not possible here: {', '.join(closed)}" if closed else "",
        data=source,
        data_table=_table(settings["data"], "data"),
        trials=MANY if many else ONE,
        train=TRAIN.format(
            steps=budget.steps,
            batch_size=budget.batch_size,
            kept="".join(f"{key} = {_value(value)}\n" for key, value in kept.items() if value is not None),
        )
        if learns
        else "",
        search=f"{BEGIN * many}{SIBLINGS}{TAIL * learns}{SCREEN * many}",
        timing=f"[timing]\n{_table(settings['timing'], 'timing')}\n" if "timing" in settings else "",
        untouched=_table(untouched(ways, data.output), ""),
    )


def with_size(data: Study, size: tuple[int, int] | None) -> Study:
    """The study with another size of images."""
    if size is None:
        return data
    settings = data.model_dump(mode="json", exclude_unset=True)
    settings["data"] |= {"height": size[0], "width": size[1]}
    return parse_study(settings, where="--size")


def name_of(out: Path) -> str:
    """A study's name, of its file's."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", out.stem).strip("-._")[:64] or "study"


def _table(settings: Mapping[str, Any], name: str) -> str:
    """A table's keys, then its own tables."""
    plain = {key: value for key, value in settings.items() if value is not None and not isinstance(value, Mapping)}
    inner = {key: value for key, value in settings.items() if isinstance(value, Mapping)}
    lines = [f"{key} = {_value(value)}\n" for key, value in plain.items()]
    for key, table in inner.items():
        lines += [f"\n[{name}.{key}]\n", *(f"{_value(one)} = {_value(value)}\n" for one, value in table.items())]
    return "".join(lines)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return f"{value:.12g}" if isinstance(value, float) else str(value)
