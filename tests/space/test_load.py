"""Spaces are files: loaded under names that clash with nothing, and blamed by their line."""

from __future__ import annotations

import contextlib
import io
import random
import sys
from pathlib import Path

import pytest

from segsearch.errors import DatabaseError, SpaceError
from segsearch.space.architecture import Feature, Joined
from segsearch.space.candidate import Candidate, Named
from segsearch.space.draws import Dice, Facts
from segsearch.space.keys import from_json, to_json
from segsearch.space.load import load_space, space_from_source

GOOD = '''"""A space."""
from dataclasses import dataclass
from segsearch.space import Architecture, Candidate, Draw, EncoderPath, Head, Stage, Stem


@dataclass(frozen=True)
class Width:
    channels: "int"


def draw(choose: Draw) -> Candidate:
    width = Width(choose.suggest_int("channels", 8, 64, step=8))
    path = EncoderPath(Stem(8), (Stage("conv", width.channels, 1),))
    return Candidate(Architecture((path,), (), Head(8)))
'''


def write(folder: Path, source: str, name: str = "space.py") -> str:
    path = folder / name
    path.write_text(source)
    return str(path)


def test_a_file_draws_what_it_says(tmp_path: Path) -> None:
    space = load_space(write(tmp_path, GOOD))
    drawn = space.draw(Named({"channels": 16}))
    assert drawn.architecture.paths[0].stages[0].channels == 16
    assert space.source == GOOD
    assert space_from_source(space.source, name="the copy").draw(Named({"channels": 16})) == drawn


def test_a_space_of_the_first_versions_still_loads() -> None:
    first = GOOD.replace("segsearch.space import", "segsearch.candidate import").replace("EncoderPath", "Path")
    drawn = space_from_source(first, name="a database's copy").draw(Named({"channels": 16}))
    assert drawn == space_from_source(GOOD, name="today's").draw(Named({"channels": 16}))


def test_a_space_named_as_a_module_of_python_stands_in_for_none(tmp_path: Path) -> None:
    import types

    before = set(sys.modules)
    load_space(write(tmp_path, GOOD, "types.py"))
    assert sys.modules["types"] is types
    assert all(name.startswith("segsearch_space_") for name in set(sys.modules) - before)


def test_a_built_in_space_loads_by_name() -> None:
    assert load_space("mobile").name.endswith("mobile.py")


@pytest.mark.parametrize("spec", ["nothing", "../mobile", "mobile/../mobile", ""])
def test_an_unknown_name_lists_the_known_ones(spec: str) -> None:
    with pytest.raises(SpaceError, match=r"one of .*mobile"):
        load_space(spec)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpaceError, match=r"gone\.py: no such search space"):
        load_space(str(tmp_path / "gone.py"))


def test_a_folder_and_a_file_that_is_no_text_are_named(tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe\x00")
    for name in ("folder.py", "bytes.py"):
        with pytest.raises(SpaceError, match=rf"{name}: cannot be read"):
            load_space(str(tmp_path / name))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = 1\ndef draw(choose:\n", r"space\.py:2: .*never closed"),
        ("x = 1\n\nimport no_such_module_at_all\n", r"space\.py:3: ModuleNotFoundError: No module"),
        ("x = 1\n", r"must define `draw"),
        ("draw = 3\n", r"must define `draw"),
        ("x = '\0'\n", r"not Python|null byte"),
    ],
)
def test_what_cannot_be_loaded_is_blamed_by_its_line(tmp_path: Path, source: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message) as raised:
        load_space(write(tmp_path, source))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 7", r"space\.py:1: draw must return a Candidate, got int"),
        ("\n    return 1 / 0", r"space\.py:3: ZeroDivisionError"),
        ('return choose.suggest_int("depth", 1, 9)', r"space\.py:2: KeyError: 'depth'"),
        ('raise ValueError("two\\nlines")', r"space\.py:2: ValueError: two lines\.$"),
    ],
)
def test_what_raises_while_drawing_is_blamed_by_its_line(tmp_path: Path, body: str, message: str) -> None:
    space = load_space(write(tmp_path, f"def draw(choose):\n    {body}\n"))
    with pytest.raises(SpaceError, match=message):
        space.draw(Named({}))


@pytest.mark.parametrize(
    ("head", "steps", "said"),
    [
        ('Head(32, "conv")', "()", "architecture.head.depth is 'conv': it should be a valid integer"),
        ("Head(32.5)", "()", "architecture.head.channels is 32.5: it should be a valid integer"),
        ("Head(np.int64(32))", "()", "architecture.head.channels is np.int64(32): it should be a valid integer"),
        ("Head(32), input_scale=float('inf')", "()", "architecture.input_scale is inf: it should be finite"),
        ("Head(32)", "(Prune(0.5, 'l3'),)", "before_export.0.criterion is 'l3': it should be 'l1', 'l2', "),
        ("Head(32)", "(Factorize(0.5, 1.5),)", "before_export.0.least_macs is 1.5: it should be a valid integer"),
        ("Head(32)", "(7,)", "before_export.0 is 7: it should be Prune or Factorize"),
        ("Head(32)", "(Quantize(),)", "before_export.0 is Quantize("),
        ("Head(32)", "Prune(0.5)", "before_export is Prune("),
    ],
)
def test_a_value_of_another_type_is_named_before_anything_is_made_of_it(
    tmp_path: Path, head: str, steps: str, said: str
) -> None:
    """It used to end as a traceback of what writes the database, after the study had begun."""
    lines = [
        "import numpy as np",
        "from segsearch.space import Architecture, Candidate, EncoderPath, Head, Stage, Stem",
        "from segsearch.space import Factorize, Prune, Quantize",
        "def draw(choose):",
        "    path = EncoderPath(Stem(8), (Stage('conv', 16, 1, 2),))",
        f"    return Candidate(Architecture((path,), (), {head}), before_export={steps})",
    ]
    space = load_space(write(tmp_path, "\n".join(lines)))
    with pytest.raises(SpaceError) as raised:
        space.draw(Named({}))
    assert "space.py:4: draw returned a candidate that cannot be stored: " + said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_lists_whole_numbers_and_words_of_digits_mean_what_they_say(tmp_path: Path) -> None:
    lines = [
        "from segsearch.space import Architecture, Candidate, Context, EncoderPath, Head, Stage, Stem",
        "def draw(choose):",
        "    path = EncoderPath(Stem(8), [Stage('conv', 16, 1, 2, expansion=1)], Context('aspp', 16, rates=[2, 4]))",
        "    return Candidate(Architecture([path], [], Head('32'), input_scale='0.5'))",
    ]
    (path,) = load_space(write(tmp_path, "\n".join(lines))).draw(Named({})).architecture.paths
    assert (path.context.rates, type(path.stages), type(path.stages[0].expansion)) == ((2, 4), tuple, float)


def test_trouble_with_the_database_is_not_blamed_on_the_space() -> None:
    class Broken:
        def suggest_int(self, name: str, low: int, high: int, /, *, step: int = 1) -> int:
            raise DatabaseError("locked")

    space = space_from_source(GOOD, name="space.py")
    with pytest.raises(DatabaseError, match="locked"):
        space.draw(Broken())  # type: ignore[arg-type]


def test_ctrl_c_passes_through_a_space() -> None:
    space = space_from_source("def draw(choose):\n    raise KeyboardInterrupt\n", name="space.py")
    with pytest.raises(KeyboardInterrupt):
        space.draw(Named({}))


def test_what_a_join_leaves_was_once_a_stage_of_path_minus_one() -> None:
    source = (
        "from segsearch.candidate import *\n\ndef draw(choose):\n    path = Path(Stem(8), (Stage('conv', 8, 1, 2),))\n"
    )
    source += "    joins = (Join('add', Feature(0, 1), 8), Join('add', Feature(DECODER, 0), 8))\n"
    source += "    return Candidate(Architecture((path,), joins, Head(8)))\n"
    drawn = space_from_source(source, name="a database's copy").draw(Named({}))
    assert [join.feature for join in drawn.architecture.joins] == [Feature(0, 1), Joined(0)]
    assert '"feature":{"path":-1,"stage":0}' in to_json(drawn), "content keys stay what they were"
    assert from_json(Candidate, to_json(drawn)) == drawn


@pytest.mark.parametrize(
    ("places", "seen"),
    [
        ("choose", "none"),
        ("choose, facts", "scores"),
        ("choose, /, facts", "scores"),
        ("choose, facts=None", "none"),
        ("choose, *others", "none"),
        ("choose, *, facts=None", "none"),
    ],
)
def test_a_space_is_told_of_its_study_where_it_has_a_place_for_that(tmp_path: Path, places: str, seen: str) -> None:
    """Spaces that take one argument are of before there were facts, and are drawn as they were."""
    facts = "facts" if "facts" in places else "None"
    source = GOOD.replace("def draw(choose", "def drawn(choose", 1) + (
        f"\n\nSEEN = []\n\ndef draw({places}):\n"
        f"    SEEN.append({facts})\n    print(SEEN[-1] and SEEN[-1].output)\n    return drawn(choose)\n"
    )
    space = load_space(write(tmp_path, source))
    with contextlib.redirect_stdout(io.StringIO()) as said:
        space.draw(Dice(random.Random(0)), Facts(output="scores", classes=11, height=360, width=480))
    assert said.getvalue().strip().lower() == seen
