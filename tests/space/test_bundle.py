"""A space that imports others is kept as one text, and runs from it alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from segsearch.errors import SpaceError
from segsearch.space.bundle import bundled, parts_of
from segsearch.space.candidate import Named
from segsearch.space.load import load_space, space_from_source

PART = """
from segsearch.space import Stage

WIDTH = 16

def stage(choose):
    return Stage("conv", choose.suggest_int("channels", 8, 64, step=8), 1)
"""
MIDDLE = """
from spaces.part import WIDTH, stage

def path(choose):
    from segsearch.space import EncoderPath, Stem
    return EncoderPath(Stem(WIDTH), (stage(choose),))
"""
MAIN = """
from segsearch.space import Architecture, Candidate, Head
from spaces import middle
import spaces.part

def draw(choose):
    return Candidate(Architecture((middle.path(choose),), (), Head(spaces.part.WIDTH)))
"""
TEXTS = {"part": PART, "middle": MIDDLE}


def test_a_bundle_holds_each_part_once_before_what_needs_it() -> None:
    text = bundled(MAIN, TEXTS.__getitem__)
    assert [name for name, _ in parts_of(text)] == ["spaces.part", "spaces.middle", "main"]
    assert dict(parts_of(text))["main"] == MAIN
    assert bundled(text, TEXTS.__getitem__) == text, "a kept bundle is not bundled again"


def test_a_bundle_runs_without_the_files_it_was_made_of() -> None:
    before = set(sys.modules)
    space = space_from_source(bundled(MAIN, TEXTS.__getitem__), name="kept.py")
    drawn = space.draw(Named({"channels": 24})).architecture
    assert drawn.paths[0].stem is not None
    assert (drawn.paths[0].stem.channels, drawn.paths[0].stages[0].channels, drawn.head.channels) == (16, 24, 16)
    assert not {name for name in set(sys.modules) - before if name.startswith("spaces")}


def test_two_bundles_with_other_parts_of_one_name_do_not_mix() -> None:
    one = space_from_source(bundled(MAIN, TEXTS.__getitem__), name="one.py")
    other = {**TEXTS, "part": PART.replace("WIDTH = 16", "WIDTH = 32")}
    two = space_from_source(bundled(MAIN, other.__getitem__), name="two.py")
    widths = [space.draw(Named({"channels": 8})).architecture.head.channels for space in (one, two, one)]
    assert widths == [16, 32, 16]


def test_a_text_that_imports_no_space_is_left_as_it_is() -> None:
    assert bundled(PART, TEXTS.__getitem__) == PART
    assert parts_of(PART) == (("main", PART),)


@pytest.mark.parametrize("name", ["fcn", "unet", "pspnet", "deeplab", "icnet", "bisenet", "espnet"])
def test_a_built_in_space_is_kept_with_what_it_imports(name: str) -> None:
    space = load_space(name)
    assert [part for part, _ in parts_of(space.source)] == ["spaces._parts", "main"]
    assert space_from_source(space.source, name="kept.py").source == space.source


def test_an_import_of_a_space_that_is_not_there_is_told(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("from spaces.unett import draw\n")
    with pytest.raises(SpaceError, match=r"mine\.py: there is no built-in space 'unett' to import from\.$"):
        load_space(str(file))


def test_spaces_that_import_one_another_are_refused() -> None:
    texts = {"one": "from spaces import two\n", "two": "from spaces import one\n"}
    with pytest.raises(ImportError, match="one and two and one import one another"):
        bundled("from spaces import one\n", texts.__getitem__)


def test_a_fault_in_a_part_names_its_file_and_line() -> None:
    texts = {**TEXTS, "part": PART.replace("WIDTH = 16", "WIDTH = 1 / 0")}
    with pytest.raises(SpaceError, match=r"^spaces/part\.py:4: ZeroDivisionError: division by zero\.$"):
        space_from_source(bundled(MAIN, texts.__getitem__), name="mine.py")
