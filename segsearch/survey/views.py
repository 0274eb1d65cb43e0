"""Views of one thing, told by their names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from segsearch.pairing.types import Place

# What comes before the last number of a name, the number, and what comes behind it.
NUMBER = re.compile(r"(.*?)(\d+)(\D*)$", re.DOTALL)
# Fewer things than these are none of which there are views, and more views than these are none of one thing.
FEWEST = 4
MOST_VIEWS = 8


def with_views(pictures: Sequence[int], places: Sequence[Place]) -> list[int]:
    """Views of one thing are one picture, too: names that differ behind their number alone (`img_3`, `img_3_flip`)."""
    views: defaultdict[tuple[str, str, str], list[int]] = defaultdict(list)
    for index, place in enumerate(places):
        match = NUMBER.match(place.stem)
        views[(place.rest, match[1], match[2]) if match else (place.rest, place.stem, "")].append(index)
    largest = max(map(len, views.values()))
    if len(views) < FEWEST or not 1 < largest <= MOST_VIEWS:
        return list(pictures)
    parent = {picture: picture for picture in pictures}

    def root(picture: int) -> int:
        while parent[picture] != picture:
            picture = parent[picture]
        return picture

    for same in views.values():
        for index in same[1:]:
            one, other = sorted((root(pictures[same[0]]), root(pictures[index])))
            parent[other] = one
    return [root(picture) for picture in pictures]
