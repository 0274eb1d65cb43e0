"""The list of references as a user sees it: numbers of their own, published ones, and sizes that are none."""

from __future__ import annotations

import json
import re

import pytest

from segsearch.references import Published, Reference
from segsearch.space.architecture import Architecture, Context, EncoderPath, Head, Stage, Stem
from tests import fakes
from tests.commands.doors import assert_refused
from tests.conftest import Command


def unbuildable() -> Architecture:
    path = EncoderPath(Stem(8), (Stage("conv", 8, 1),), Context("no such context", 8))
    return Architecture((path,), (), Head(8))


SMALL = {
    "plain": Reference("Plain", "arXiv:0000.00001", lambda: fakes.candidate(16, 2).architecture),
    "deep": Reference(
        "Deep [bold]",
        "arXiv:0000.00002",
        lambda: fakes.candidate(16, 4).architecture,
        Published(12.5, "its paper, Table 3", 19, deviates="its last layer is not ours"),
    ),
    "broken": Reference("Broken", "arXiv:0000.00003", unbuildable),
}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsearch.references.names.REFERENCES", SMALL)


def test_they_are_listed_with_their_numbers_and_the_published_ones(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    said = command("references")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    assert re.match(r"reference +network +paper +params +macs +published params", lines[0])
    assert re.match(r"plain +Plain +arXiv:0000\.00001 +[\d.]+ k +[\d.]+ M +-", lines[1])
    assert re.match(r"deep +Deep \[bold\] +arXiv:0000\.00002 +[\d.]+ k +.* +12\.5 M \(its paper, Table 3\)", lines[2])
    assert re.match(r"broken +Broken +arXiv:0000\.00003 +- +- +-", lines[3])
    assert "Parameters with 21 classes; multiply-accumulates of one image of 480x360." in said.out
    assert "deep: ours differs, its last layer is not ours." in said.out
    assert re.search(r"^broken cannot be built so: A context must be one of .*, got 'no such context'", said.out, re.M)


def test_programs_are_told_in_json_alone(command: Command) -> None:
    found = json.loads(command("references", "--json", "--size", "64x32", "--classes", 3).out)
    assert (found["height"], found["width"], found["classes"]) == (64, 32, 3)
    plain, deep, broken = found["references"]
    # stem 3x8x9 + 2x8; two convolutions of 8x16x9 and 16x16x9 + 2x16 each; head 16x16x9 + 2x16; 16x3 + 3 to the classes
    assert plain["params"] == (216 + 16) + (1152 + 32) + (2304 + 32) + (2304 + 32) + 51
    # on 32x16 and then on 16x8
    assert plain["macs"] == 216 * 32 * 16 + (1152 + 2304 + 2304 + 48) * 16 * 8
    assert (plain["published"], plain["problem"]) == (None, None)
    assert deep["published"]["million_params"] == 12.5
    assert (broken["params"], broken["macs"]) == (None, None)
    assert "no such context" in broken["problem"]
    assert (
        json.loads(command("references", "--json", "--size", "128x32", "--classes", 3).out)["references"][0]["macs"]
        == 2 * plain["macs"]
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--size", "360"], ["--size must be a height and a width", "'360'"]),
        (["--size", "0x480"], ["'0x480'"]),
        (["--size", "360x99999"], ["8192"]),
        (["--size", "-3x4"], ["--size"]),
        (["--classes", "1"], ["--classes"]),
    ],
)
def test_a_size_that_is_none_is_refused(command: Command, arguments: list[str], words: list[str]) -> None:
    assert_refused(command("references", *arguments), *words)
