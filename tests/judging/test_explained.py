"""An explanation in words: where int8 loses, why a layer is in float, and what to do."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from segsearch.evidence.layers import (
    Apart,
    Choice,
    Drawn,
    Explained,
    LayerLoss,
    LayerTime,
    Losses,
    OtherTime,
    Step,
    Times,
)
from segsearch.evidence.types import Confusion
from segsearch.judging.explained import (
    Explanation,
    _short,
    as_object,
    class_cells,
    how_lines,
    layer_cells,
    layers_of,
    summary_lines,
)
from segsearch.space.steps import Quantize
from tests import fakes

NAMES = ("/stem/stem.0/stem.0.0/Conv", "/stages.0/stages.0.0/depthwise/depthwise.0/Conv", "/head/scores/Conv")
ADD = "/joins.0/Add"


def loss(name: str, lost: float, *, kind: str = "Conv") -> LayerLoss:
    both = (Apart(0.008 - lost, 0.005, 0.0), Apart(lost, lost, 0.0)) if kind == "Conv" else (None, None)
    return LayerLoss(name, kind, (1, 8, 24, 32), *both)


def time(name: str, exact: float = 0.3, rounded: float = 0.1, runs_as: str = "QLinearConv") -> LayerTime:
    return LayerTime(name, exact, rounded, 0.2, runs_as)


LOSSES = Losses(
    Drawn(16, unseen=True),
    Apart(0.008, 0.005, 0.001),
    (loss(NAMES[0], 0.004), loss(NAMES[1], 0.002), loss(NAMES[2], 0.0001), loss(ADD, 0.0, kind="Add")),
)
TIMES = Times(
    "machine",
    2.0,
    1.0,
    0.8,
    (time(NAMES[0]), time(NAMES[1], 0.1, 0.2), time(NAMES[2], runs_as="Conv"), time(ADD, 0.0, 0.01)),
    (OtherTime("conversions and layouts", "to and from int8", 0.0, 0.1), OtherTime("/Resize", "Resize", 0.2, 0.2)),
)
EXACT, ROUNDED = Confusion(((90, 10), (10, 90))), Confusion(((85, 15), (12, 88)))
FOUND = Explained("a" * 64 + ".onnx", "b" * 64 + ".onnx", "a" * 64 + ".onnx", (), LOSSES, TIMES, EXACT)
INT8 = Explanation(7, fakes.candidate(8, 1, quantized=True), FOUND, ROUNDED, ("road", "bus"))


def test_two_lines_say_where_it_loses_and_what_to_do() -> None:
    where, what = summary_lines(INT8)
    assert where.startswith("Trial 7 loses 0.0")
    assert "road -0.0" in where
    assert "comes of 1: stem.0.0." in where
    assert "first 1 convolutions in float: Quantize(float_convolutions=1)" in what
    assert "Quantize(tolerance=0.004)" in what


def test_int8_that_is_no_quicker_is_not_to_be_cured() -> None:
    slow = replace(INT8, found=replace(FOUND, times=replace(TIMES, int8_ms=2.1)))
    assert summary_lines(slow)[1].startswith("Int8 is no quicker than float here")


@pytest.mark.parametrize(
    ("node", "told"),
    [
        ("/stages.0/stages.0.1/expand/expand.0/Conv", "stages.0.1.expand.0"),
        ("core./down/down.0/Conv", "down.0"),
        ("core./Resize", "Resize"),
        ("before./Sub", "before.Sub"),
        ("core.Conv_3", "Conv_3"),
        ("/Conv", "Conv"),
    ],
)
def test_a_layer_has_the_name_that_its_maker_gave_it(node: str, told: str) -> None:
    assert _short(node) == told


def test_a_file_that_loses_little_is_left_alone() -> None:
    where, what = summary_lines(replace(INT8, shipped=EXACT))
    assert what.startswith("Nothing is to be done")
    assert "comes of" not in where, "a share of next to nothing"


def test_losses_everywhere_name_no_layer() -> None:
    even = replace(LOSSES, layers=tuple(loss(f"/l{index}/Conv", 0.001) for index in range(30)))
    times = replace(TIMES, layers=tuple(time(layer.name) for layer in even.layers))
    where, what = summary_lines(replace(INT8, found=replace(FOUND, losses=even, times=times)))
    assert "a little in many layers" in where
    assert "float_convolutions" not in what


def test_every_layer_has_its_form_and_what_is_odd_about_it() -> None:
    told = {one.name: one for one in layers_of(INT8)}
    assert (told[NAMES[0]].back, told[NAMES[0]].alone, told[NAMES[0]].form) == (pytest.approx(0.004), 0.004, "int8")
    assert told[NAMES[1]].why == "no quicker in int8"
    assert "runs in float between conversions" in told[NAMES[2]].why
    assert told[ADD].back is None
    assert told[ADD].why == "in float part of the layer before"
    assert told["/Resize"].form == "float"
    assert len({len(row) for row in layer_cells(INT8)}) == 1


def test_why_a_layer_is_in_float_is_said() -> None:
    first = replace(INT8, candidate=replace(INT8.candidate, after_export=(Quantize(float_convolutions=1),)))
    first = replace(first, found=replace(FOUND, in_float=(NAMES[0], ADD)))
    told = {one.name: one for one in layers_of(first)}
    assert told[NAMES[0]].why == "within the first 1 convolutions of a path"
    assert told[ADD].why == "what it reads is made in float"
    steps = (Step((), 0.0, 0.008), Step((NAMES[0],), 0.12, 0.004), Step((NAMES[1],), 0.02, 0.002))
    choice = Choice(0.002, Drawn(16, True), steps, "within the tolerance")
    measured = replace(INT8, candidate=replace(INT8.candidate, after_export=(Quantize(tolerance=0.002),)))
    measured = replace(measured, found=replace(FOUND, in_float=NAMES[:2], choice=choice))
    told = {one.name: one for one in layers_of(measured)}
    assert told[NAMES[0]].why == "given back: gains 0.0040 for 0.12 ms"
    assert told[NAMES[1]].why == "given back: gains 0.0020 and saves 0.10 ms"


def test_classes_and_the_sample_are_told() -> None:
    assert [row[0] for row in class_cells(INT8)] == ["road", "bus"]
    assert "16 training images that the calibration does not use" in how_lines(INT8)[0]
    shared = replace(INT8, found=replace(FOUND, losses=replace(LOSSES, drawn=Drawn(4, unseen=False))))
    assert "none is left" in how_lines(shared)[0]


def test_programs_get_all_of_it() -> None:
    told = json.loads(json.dumps(as_object(INT8), allow_nan=False))
    assert told["layers"][0]["given_back"]["lost"] == pytest.approx(0.004)
    assert told["layers"][0]["boundary_ms"] == 0.2
    assert told["miou"]["drop"] == pytest.approx(EXACT.miou - ROUNDED.miou)
    assert len(told["summary"]) == 2
    assert told["choice"] is None
