"""The row of judgements on the search's tab."""

from __future__ import annotations

import base64
from pathlib import Path
from xml.etree import ElementTree

from dash import no_update

from segsearch.dashboard.health import as_source, health_cards
from segsearch.dashboard.reading import Reader
from segsearch.dashboard.scene import set_scene
from segsearch.dashboard.search_tab import search_of
from segsearch.judging.judgement import Judgement, Picture
from segsearch.store import open_store
from tests.dashboard import many


def test_the_search_is_judged_and_judged_again_in_place(small: Path) -> None:
    reader = Reader(str(small))
    scene, _ = set_scene(reader, "?tab=search")
    assert scene is not None
    found = search_of(scene, reader, ground="light", shown=None, names=())
    assert "latency_ms<=40 leaves" in str(found["panel"])
    assert found["health"] == []
    names = ["grown-trials", "grown-time", "deciding", "outcomes", "throughput", "coordinates"]
    same = search_of(scene, reader, ground="light", shown=found["version"], names=names)
    assert same["health"] == [no_update]
    with open_store(small) as store:
        many.grow(store, store.study(), range(40, 60))
    reader.forget()
    scene, _ = set_scene(reader, "?tab=search")
    assert scene is not None
    again = search_of(scene, reader, ground="light", shown=found["version"], names=names)
    assert again["panel"] is no_update
    assert "latency_ms<=40 leaves" in str(again["health"])


def test_a_study_that_says_nothing_yet_says_that(tmp_path: Path) -> None:
    assert "Too few trials yet" in str(health_cards(()))
    reader = Reader(str(many.fill(tmp_path, 3)))
    seen = reader.look().seen
    assert seen is not None
    assert reader.health(seen) == ()


def test_words_and_pictures_of_anybody_stay_words_and_pictures() -> None:
    picture = Picture(((0.0, 0.0), (1.0, 1.0)), joined=True, mark=0.5, label="<script>alert(1)</script>")
    source = as_source(picture)
    head, _, content = source.partition(",")
    assert head == "data:image/svg+xml;base64"
    drawn = ElementTree.fromstring(base64.b64decode(content))
    assert drawn[0].text == "<script>alert(1)</script>"
    cards = str(health_cards([Judgement("limits", "sick", "<b>x", "do", picture)]))
    assert "look" in cards
    assert "<b>x" in cards
