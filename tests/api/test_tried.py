"""`segsearch.try_space`: real files of what a space draws, and a reason for each that could not be made."""

from __future__ import annotations

import random
from pathlib import Path
from xml.etree import ElementTree

import pytest

import segsearch
from segsearch.errors import SpaceError, StudyError
from segsearch.space import Architecture, Candidate, Draw, EncoderPath, Facts, Head, Quantize, Stage, Stem
from segsearch.space.draws import Dice
from segsearch.trial.counts import counts_of
from tests.models import calibrate_at_once
from tests.tiny import SPACE

SMALL = {"classes": 3, "height": 64, "width": 96}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calibrate_at_once(monkeypatch, tmp_path / "cache")


def draw(choose: Draw, facts: Facts) -> Candidate:
    assert (facts.classes, facts.height, facts.width, facts.output) == (3, 64, 96, "mask")
    width = choose.suggest_int("width", 8, 24, step=8)
    path = EncoderPath(Stem(8), (Stage("conv", width, 1, 2),))
    int8 = choose.suggest_categorical("bits", ("32", "8")) == "8"
    return Candidate(Architecture((path,), (), Head(8)), after_export=(Quantize(),) if int8 else ())


@pytest.mark.slow
def test_a_function_of_a_cell_is_drawn_built_and_timed() -> None:
    tried = segsearch.try_space(draw, 8, **SMALL)
    assert len(tried.drawn) + tried.repeated == 8
    assert tried.repeated, "six designs are all there is"
    assert tried.failures == ()
    for one in tried.drawn:
        params, macs = counts_of(one.candidate.architecture, 3, (64, 96))
        assert (one.values["params"], one.values["macs"]) == (params, macs)
        assert one.intervals["latency_ms"][0] <= one.values["latency_ms"] <= one.intervals["latency_ms"][1]
        assert "miou" not in one.values
    records = tried.records()
    assert {record["ships"] for record in records} == {"fp32", "int8"}
    assert all(record["param_width"] in (8, 16, 24) for record in records)
    picture = tried._repr_html_()
    svg = ElementTree.fromstring(picture[: picture.index("</svg>") + 6])
    assert len(svg.findall("{http://www.w3.org/2000/svg}circle")) == len(tried.drawn)


@pytest.mark.slow
def test_what_cannot_be_made_is_told_and_ends_nothing(tmp_path: Path) -> None:
    def doubtful(choose: Draw) -> object:
        way = choose.suggest_categorical("way", ("good", "raises", "breaks", "other"))
        if way == "raises":
            raise ArithmeticError("by zero")
        groups = 5 if way == "breaks" else 1
        path = EncoderPath(Stem(8), (Stage("conv", 16, 1, 2, groups=groups),))
        return 7 if way == "other" else Candidate(Architecture((path,), (), Head(8)))

    tried = segsearch.try_space(doubtful, 12, **SMALL)  # type: ignore[arg-type]
    assert len(tried.drawn) == 1
    why = {failure.params["way"]: failure.reason for failure in tried.failures}
    assert __file__ in why["raises"]
    assert "ArithmeticError: by zero" in why["raises"]
    assert "Stage.groups must divide its channels" in why["breaks"]
    assert "draw must return a Candidate, got int" in why["other"]
    assert "by zero" in tried._repr_html_()


@pytest.mark.slow
def test_a_file_and_a_built_in_space_are_named(tmp_path: Path) -> None:
    (tmp_path / "space.py").write_text(SPACE)
    for space in (tmp_path / "space.py", str(tmp_path / "space.py"), "mobile"):
        tried = segsearch.try_space(space, count=1, **SMALL)
        assert len(tried.drawn) == 1
    with pytest.raises(SpaceError, match="got 'none'"):
        segsearch.try_space("none")


def test_the_same_seed_draws_the_same() -> None:
    from segsearch.space.draws import Noting

    noted = [Noting(Dice(random.Random(3))) for _ in range(2)]
    candidates = [draw(one, Facts(classes=3, height=64, width=96)) for one in noted]
    assert candidates[0] == candidates[1]
    assert noted[0].noted == noted[1].noted
    assert noted[0].noted.keys() == {"width", "bits"}
    assert Noting(Dice(random.Random(0))).suggest_float("x", 0.0, 1.0, step=0.5) in (0.0, 0.5, 1.0)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"classes": 1}, {"height": 16}])
def test_sizes_that_are_none_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(StudyError, match="try_space needs"):
        segsearch.try_space(draw, **wrong)  # type: ignore[arg-type]


def test_words_that_are_none_are_refused_and_not_taken_for_others() -> None:
    with pytest.raises(StudyError, match="output must be one of mask, scores; got 'masks'"):
        segsearch.try_space(draw, output="masks")  # type: ignore[arg-type]
    with pytest.raises(StudyError, match="What draws is a space's function, its file or its name, got int"):
        segsearch.try_space(7)  # type: ignore[arg-type]
