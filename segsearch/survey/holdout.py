"""Who is held out where a folder names no validation split: copies and frames of one sequence stay on one side."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segsearch.datasets.types import UInt8
from segsearch.errors import DataError
from segsearch.pairing.types import Place

SHARE = 0.2
FEWEST = 4
# Thumbnails are this many pixels high and wide.
THUMB = 16
# Two pictures are the same where no pixel of their thumbnails is farther apart than this, of 255.
_SAME = 8
# A thumbnail with less contrast than this (its standard deviation) is like any other of its colour.
_FLAT = 6.0
# Frames of a video are this much nearer to the next one than to any other.
_FLOWS = 0.5
# Whole sequences are held out where they come to a share between these.
_SEQUENCE_SHARES = (0.1, 0.4)
_TRIES = 32
_BLOCK = 1024
_NUMBER = re.compile(r"(.*?)(\d+)(\D*)$", re.DOTALL)


@dataclass(frozen=True)
class Item:
    """An image of which a place, the classes in its mask, the digest of its file and a thumbnail are known.

    `thumb` is (THUMB, THUMB, 3), RGB.
    """

    place: Place
    classes: frozenset[int]
    digest: str
    thumb: UInt8


@dataclass(frozen=True)
class HeldOut:
    """The indices of those that train and of those that judge, in order, and why they were parted so.

    `copies` is how many images look like another one.
    """

    train: tuple[int, ...]
    validation: tuple[int, ...]
    words: str
    copies: int


def hold_out(items: Sequence[Item]) -> HeldOut:
    """About a fifth of the images, which come in the order of their names; four or more are needed.

    Whole groups are held out: pictures that look alike are one group, and so are the frames of a sequence (a folder, or
    names that count up) where there are several. A single video gives its end. Classes that several groups hold are
    kept on both sides. The same on every machine. Raises `DataError` where all show one picture.
    """
    copies = _copies(items)
    alike = len(items) - len(set(copies))
    noted = f" {alike} copies stay with the pictures that they look like." if alike else ""
    sequences = _sequences(items)
    if sequences is not None:
        chosen = _choose(_joined(copies, sequences), items)
        low, high = _SEQUENCE_SHARES
        if chosen and low * len(items) <= len(chosen) <= high * len(items) and not _lost(items, chosen, copies):
            kinds = "folders" if any(item.place.rest for item in items) else "sequences of names that count up"
            return _parted(items, chosen, f"Whole {kinds} are held out.{noted}", alike)
    if sequences is not None or _flows(items):
        chosen = _ends(items, sequences or [0] * len(items), copies)
        if chosen and not _lost(items, chosen, copies):
            words = "The end of each sequence is held out, as neighbours are alike."
            return _parted(items, chosen, words + noted, alike)
    chosen = _choose(copies, items)
    if chosen is None:
        raise DataError(
            f"{items[0].place.path}: some images are held out, so two must differ, got copies of one alone."
        )
    return _parted(items, chosen, f"A fifth of the images is held out, chosen by their names.{noted}", alike)


def _lost(items: Sequence[Item], chosen: frozenset[int], copies: Sequence[int]) -> bool:
    """Whether a class that several pictures hold would train no more."""
    pictures: defaultdict[int, frozenset[int]] = defaultdict(frozenset)
    for picture, item in zip(copies, items, strict=True):
        pictures[picture] |= item.classes
    outside = frozenset().union(*(item.classes for index, item in enumerate(items) if index not in chosen))
    return bool(_held_by_several(pictures) - outside)


def _parted(items: Sequence[Item], chosen: frozenset[int], words: str, copies: int) -> HeldOut:
    train = tuple(index for index in range(len(items)) if index not in chosen)
    return HeldOut(train, tuple(sorted(chosen)), words, copies)


def _copies(items: Sequence[Item]) -> list[int]:
    """For each image the first one that shows the same picture: the same file, or a thumbnail as good as the same."""
    parent = list(range(len(items)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    def join(one: int, other: int) -> None:
        first, second = sorted((root(one), root(other)))
        parent[second] = first

    seen: dict[str | bytes, int] = {}
    different: list[int] = []
    for index, item in enumerate(items):
        join(seen.setdefault(item.digest, index), index)
        if item.thumb.std() >= _FLAT:
            first = seen.setdefault(item.thumb.tobytes(), index)
            join(first, index)
            if first == index:
                different.append(index)
    if different:
        thumbs = np.stack([items[index].thumb for index in different]).reshape(len(different), -1)
        for one, other in _near(thumbs.astype(np.float32)):
            join(different[one], different[other])
    return [root(index) for index in range(len(items))]


def _near(thumbs: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Pairs of thumbnails (count, pixels) that are as good as the same."""
    if len(thumbs) < 2:
        return []
    # A coarse look first: distances of 4 x 4 grey means, all pairs of a block as one product of matrices.
    side = THUMB // 4
    coarse = thumbs.reshape(-1, 4, side, 4, side, 3).mean(axis=(2, 4, 5)).reshape(len(thumbs), -1)
    coarse = coarse - coarse.mean(axis=0, keepdims=True)
    lengths = (coarse**2).sum(axis=1)
    limit = float(coarse.shape[1]) * 4.0
    found = []
    for start in range(0, len(coarse), _BLOCK):
        block = slice(start, start + _BLOCK)
        apart = lengths[block, None] + lengths[None, start:] - 2.0 * coarse[block] @ coarse[start:].T
        for row, column in np.argwhere(apart <= limit):
            one, other = start + int(row), start + int(column)
            if one < other and np.abs(thumbs[one] - thumbs[other]).max() <= _SAME:
                found.append((one, other))
    return found


def _sequences(items: Sequence[Item]) -> list[int] | None:
    """The sequence of each image, by its folder, or by a name that counts up; None where there are not several."""
    folders = [item.place.rest for item in items]
    if len(set(folders)) > 1:
        return _numbered(folders)
    prefixes, numbers = [], defaultdict(set)
    for item in items:
        match = _NUMBER.match(item.place.stem)
        if match is None:
            return None
        prefixes.append(f"{match[1]}\0{match[3]}")
        numbers[prefixes[-1]].add(int(match[2]))
    counting = {prefix for prefix, found in numbers.items() if len(found) >= 3 and _counts_up(found)}
    if len(counting) < 2 or any(prefix not in counting for prefix in prefixes):
        return None
    return _numbered(prefixes)


def _counts_up(numbers: set[int]) -> bool:
    """Whether numbers follow one another by steps that are mostly the same, as those of frames do."""
    ordered = np.sort(np.array(list(numbers), dtype=np.float64))
    steps = np.diff(ordered)
    return bool((steps <= 2.0 * np.median(steps)).mean() >= 0.8)


def _numbered(names: Sequence[str]) -> list[int]:
    order: dict[str, int] = {}
    return [order.setdefault(name, len(order)) for name in names]


def _joined(copies: Sequence[int], sequences: Sequence[int]) -> list[int]:
    """Groups that hold whole sequences and all copies of a picture: what shares either is one."""
    parent: dict[int, int] = {number: number for number in set(sequences)}

    def root(number: int) -> int:
        while parent[number] != number:
            number = parent[number]
        return number

    first: dict[int, int] = {}
    for picture, number in zip(copies, sequences, strict=True):
        one, other = sorted((root(first.setdefault(picture, number)), root(number)))
        parent[other] = one
    return [root(number) for number in sequences]


def _choose(groups: Sequence[int], items: Sequence[Item]) -> frozenset[int] | None:
    """Whole groups that come nearest to the share, with the classes on both sides where groups allow; None without any.

    Groups are taken in the order of a hash of their names; of several such orders the best one counts, the first one
    where they are as good.
    """
    members: defaultdict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    if len(members) < 2:
        return None
    holds = {group: frozenset().union(*(items[one].classes for one in found)) for group, found in members.items()}
    shared = _held_by_several(holds)
    names = {group: min(items[one].place.inner for one in found) for group, found in members.items()}
    target = max(1, round(SHARE * len(items)))
    best: tuple[tuple[int, int, int], frozenset[int]] | None = None
    for salt in range(_TRIES if len(items) <= 5000 else 4):
        chosen = _filled(_in_order(names, salt), members, target)
        inside = frozenset().union(*(holds[group] for group in chosen))
        outside = frozenset().union(*(holds[group] for group in members if group not in chosen))
        found = frozenset(one for group in chosen for one in members[group])
        worth = (len(shared - outside), len(shared - inside), abs(len(found) - target))
        if best is None or worth < best[0]:
            best = worth, found
        if best[0] == (0, 0, 0):
            break
    assert best is not None
    return best[1]


def _held_by_several(holds: Mapping[int, frozenset[int]]) -> frozenset[int]:
    counts: defaultdict[int, int] = defaultdict(int)
    for classes in holds.values():
        for each in classes:
            counts[each] += 1
    return frozenset(each for each, count in counts.items() if count > 1)


def _in_order(names: Mapping[int, str], salt: int) -> list[int]:
    prefix = f"{salt} " if salt else ""

    def digest(group: int) -> str:
        return hashlib.sha256(f"{prefix}{names[group]}".encode(errors="surrogateescape")).hexdigest()

    return sorted(names, key=digest)


def _filled(order: Sequence[int], members: Mapping[int, Sequence[int]], target: int) -> frozenset[int]:
    """Groups in that order until the target is met, leaving out those that would overshoot; never all of them."""
    chosen: list[int] = []
    total = 0
    for group in order:
        size = len(members[group])
        if total + size <= target or (not chosen and size <= 2 * target):
            chosen.append(group)
            total += size
        if total >= target:
            break
    if not chosen:
        chosen = [min(order, key=lambda group: len(members[group]))]
    return frozenset(chosen)


def _flows(items: Sequence[Item]) -> bool:
    """Whether pictures in the order of their names are frames of a video: each near to the next one."""
    if len(items) < 2 * FEWEST:
        return False
    thumbs = np.stack([item.thumb for item in items]).astype(np.float32)
    next_ones = np.abs(thumbs[1:] - thumbs[:-1]).mean()
    half = len(thumbs) // 2
    others = np.abs(thumbs[half:] - thumbs[: len(thumbs) - half]).mean()
    return bool(next_ones < _FLOWS * others)


def _ends(items: Sequence[Item], runs: Sequence[int], copies: Sequence[int]) -> frozenset[int] | None:
    """The last fifth of each run, copies of its pictures with it; None where those are too many."""
    members: defaultdict[int, list[int]] = defaultdict(list)
    for index, run in enumerate(runs):
        members[run].append(index)
    cut = [found[-max(1, round(SHARE * len(found))) :] for found in members.values() if len(found) > 1]
    pictures = {copies[index] for found in cut for index in found}
    chosen = frozenset(index for index, picture in enumerate(copies) if picture in pictures)
    return chosen if chosen and len(chosen) <= 2 * SHARE * len(items) else None
