"""References by name: the small ones are the default, and a name that is none is answered with the nearest."""

from __future__ import annotations

import pytest

from segsearch.errors import StudyError
from segsearch.references import REFERENCES
from segsearch.references.names import SMALL, demand_references, known_references, small_references


def test_the_default_are_all_small_ones_and_nothing_else() -> None:
    assert known_references() == REFERENCES
    assert set(small_references()) == {name for name in REFERENCES if name.endswith(SMALL)}
    assert "unet-mobile" in small_references()
    assert "unet" not in small_references()


def test_names_are_taken_once_each_in_their_order() -> None:
    wanted = ["unet-mobile", "bisenet", "unet-mobile"]
    assert demand_references(wanted, where="here") == ("unet-mobile", "bisenet")
    assert demand_references([], where="here") == ()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "unet-mobil",
            r"^here: no reference is named 'unet-mobil'; the nearest are unet-mobile, .*`segsearch references`",
        ),
        ("U-Net", r"^here: no reference is named 'U-Net'"),
        ("zzzz", r"^here: no reference is named 'zzzz'; `segsearch references` lists them\.$"),
        ("", r"no reference is named ''"),
    ],
)
def test_a_name_that_is_none_is_answered_with_the_nearest(name: str, words: str) -> None:
    with pytest.raises(StudyError, match=words) as raised:
        demand_references(["unet", name], where="here")
    assert len(str(raised.value).splitlines()) == 1
