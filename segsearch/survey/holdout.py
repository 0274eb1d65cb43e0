"""Who is held out where a folder names no validation split: copies and frames of one sequence stay on one side."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segsearch.datasets.types import UInt8
from segsearch.errors import DataError
from segsearch.pairing.types import Place
from segsearch.survey.views import NUMBER, with_views

SHARE = 0.2
FEWEST = 4
# Thumbnails are this many pixels high and wide.
THUMB = 16
# Two pictures are the same where no pixel of their thumbnails is farther apart than this, of 255, and the means of
# quarters of the sides are not either, by the second number (root of the mean square).
_SAME = 8
_SAME_COARSE = 2.0
# A thumbnail with less contrast than this (the standard deviation of a colour) is like any other of its colour.
_FLAT = 6.0
# No picture is copied into more than half of the images, and into more than these: so many are the frames of a camera
# that does not move, of which only those are copies that are nearer to one another: by these in place of `_SAME`.
_MOST_COPIES = 8
_NEARER = (2, 0)
# Frames of a video are this much nearer to the next one than to any other.
_FLOWS = 0.5
# Whole sequences are held out where they come to a share between these.
_SEQUENCE_SHARES = (0.1, 0.4)
_TRIES = 32
# Distances that are looked at together.
_BLOCK = 1 << 24
_Where = Literal["end", "beginning", "middle"]
_PLACES: tuple[_Where, ...] = ("end", "beginning", "middle")


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
    names that count up) where there are several. A single video gives its end, or else another part without a gap.
    Classes that several pictures hold stay in training, and are held out, too, where groups allow. The same on every
    machine. Raises `DataError` where all show one picture.
    """
    copies = _copies(items)
    alike = len(items) - len(set(copies))
    shared = _held_by_several(_held(copies, items))
    noted = f" {alike} copies stay with the pictures that they look like." if alike else ""
    sequences = _sequences(items)
    if sequences is not None:
        chosen = _choose(_joined(copies, sequences), items, shared)
        low, high = _SEQUENCE_SHARES
        if chosen and low * len(items) <= len(chosen) <= high * len(items):
            kinds = "folders" if any(item.place.rest for item in items) else "sequences of names that count up"
            return _parted(items, chosen, f"Whole {kinds} are held out.{noted}", alike)
    if sequences is not None or _flows([item for index, item in enumerate(items) if copies[index] == index]):
        for where in _PLACES:
            chosen = _blocks(sequences or [0] * len(items), copies, where)
            if chosen and not _lost(items, chosen, shared):
                words = f"The {where} of each sequence is held out, as neighbours are alike."
                return _parted(items, chosen, words + noted, alike)
    chosen = _choose(copies, items, shared)
    if chosen is None:
        raise DataError(
            f"{items[0].place.path}: some images are held out, so two must differ, got copies of one alone."
        )
    return _parted(items, chosen, f"A fifth of the images is held out, chosen by their names.{noted}", alike)


def _lost(items: Sequence[Item], chosen: frozenset[int], shared: frozenset[int]) -> bool:
    """Whether one of the classes would train no more."""
    outside = frozenset().union(*(item.classes for index, item in enumerate(items) if index not in chosen))
    return bool(shared - outside)


def _parted(items: Sequence[Item], chosen: frozenset[int], words: str, copies: int) -> HeldOut:
    train = tuple(index for index in range(len(items)) if index not in chosen)
    return HeldOut(train, tuple(sorted(chosen)), words, copies)


def _copies(items: Sequence[Item]) -> list[int]:
    """For each image the first one that shows the same picture: the same file, or a thumbnail as good as the same."""
    first: dict[object, int] = {}
    files = np.array([first.setdefault(_sight(item), index) for index, item in enumerate(items)])
    # Files that are the same are looked at once, those that show nothing at all not.
    firsts = [
        index
        for index, item in enumerate(items)
        if files[index] == index and item.thumb.std(axis=(0, 1)).max() >= _FLAT
    ]
    pictures = np.arange(len(items))
    _join_near(pictures, firsts, items, _SAME)
    for limit in _NEARER:
        found, counts = np.unique(pictures[files], return_counts=True)
        most = int(counts.argmax())
        if counts[most] <= max(_MOST_COPIES, len(items) / 2):
            break
        apart = [index for index in firsts if pictures[index] == found[most]]
        pictures[apart] = apart
        _join_near(pictures, apart, items, limit)
    return with_views([int(picture) for picture in pictures[files]], [item.place for item in items])


def _sight(item: Item) -> object:
    """What two images of one picture share in any case: the file, or a picture of one colour."""
    return item.digest if item.thumb.std(axis=(0, 1)).max() > 0 else item.thumb.tobytes()


def _join_near(pictures: NDArray[np.intp], which: Sequence[int], items: Sequence[Item], limit: int) -> None:
    """Give those whose thumbnails are as good as the same, and all that are so by way of others, the first one."""
    if len(which) < 2:
        return
    if limit == 0:
        first: dict[bytes, int] = {}
        pictures[np.array(which)] = [first.setdefault(items[index].thumb.tobytes(), index) for index in which]
        return
    thumbs = np.stack([items[index].thumb for index in which]).reshape(len(which), -1).astype(np.int16)
    # A coarse look first: distances of 4 x 4 means, all pairs of a block as one product of matrices.
    side = THUMB // 4
    coarse = thumbs.reshape(-1, 4, side, 4, side, 3).mean(axis=(2, 4, 5), dtype=np.float32).reshape(len(thumbs), -1)
    coarse = coarse - coarse.mean(axis=0, keepdims=True)
    lengths = (coarse**2).sum(axis=1)
    farthest = coarse.shape[1] * _SAME_COARSE**2
    labels = np.array(which)
    rows = max(1, _BLOCK // len(which))
    for start in range(0, len(which), rows):
        block = slice(start, start + rows)
        apart = lengths[block, None] + lengths[None, start:] - 2.0 * coarse[block] @ coarse[start:].T
        near = apart <= farthest
        for row in np.flatnonzero(near.sum(axis=1) > 1):
            one = start + int(row)
            others = start + np.flatnonzero(near[row])
            others = others[labels[others] != labels[one]]
            same = others[np.abs(thumbs[others] - thumbs[one]).max(axis=1) <= limit] if len(others) else others
            if len(same):
                joined = np.unique(labels[[one, *same]])
                labels[np.isin(labels, joined)] = joined[0]
    pictures[np.array(which)] = labels


def _sequences(items: Sequence[Item]) -> list[int] | None:
    """The sequence of each image, by its folder, or by a name that counts up; None where there are not several."""
    folders = [item.place.rest for item in items]
    if len(set(folders)) > 1:
        return _numbered(folders)
    prefixes, numbers = [], defaultdict(set)
    for item in items:
        match = NUMBER.match(item.place.stem)
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


def _choose(groups: Sequence[int], items: Sequence[Item], shared: frozenset[int]) -> frozenset[int] | None:
    """Whole groups that come nearest to the share; None without any.

    Of the classes `shared` none is lost from training, and as many as can be are in what is held out. Groups are taken
    in the order of a hash of their names; of several such orders the best one counts, the first one where they are as
    good. Where none has all classes on both sides, groups that hold one which is missing are taken first.
    """
    members: defaultdict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    if len(members) < 2:
        return None
    holds = {group: classes & shared for group, classes in _held(groups, items).items()}
    wanted = _held_by_several(holds)
    names = {group: min(items[one].place.inner for one in found) for group, found in members.items()}
    target = max(1, round(SHARE * len(items)))
    best: tuple[tuple[int, int], frozenset[int]] | None = None
    tries = range(_TRIES if len(items) <= 5000 else 4)
    for eager, salt in product((False, True), tries):
        if eager and best is not None and not best[0][0]:
            break
        order = _in_order(names, salt)
        chosen = _filled(_rare_first(order, holds, wanted) if eager else order, members, holds, target)
        inside = frozenset().union(*(holds[group] for group in chosen))
        found = frozenset(one for group in chosen for one in members[group])
        worth = (len(wanted - inside), abs(len(found) - target))
        if chosen and (best is None or worth < best[0]):
            best = worth, found
        if best is not None and best[0] == (0, 0):
            break
    return best[1] if best is not None else None


def _held(groups: Sequence[int], items: Sequence[Item]) -> dict[int, frozenset[int]]:
    """The classes in each group."""
    found: defaultdict[int, set[int]] = defaultdict(set)
    for group, item in zip(groups, items, strict=True):
        found[group] |= item.classes
    return {group: frozenset(classes) for group, classes in found.items()}


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


def _rare_first(order: Sequence[int], holds: Mapping[int, frozenset[int]], wanted: frozenset[int]) -> list[int]:
    """The order, before it one group for each class that those before do not hold, the rarest class first."""
    counts = Counter(each for classes in holds.values() for each in classes & wanted)
    first, inside = list[int](), set[int]()
    for rare in sorted(wanted, key=lambda each: (counts[each], each)):
        if rare not in inside:
            first.append(next(group for group in order if rare in holds[group]))
            inside |= holds[first[-1]]
    return list(dict.fromkeys([*first, *order]))


def _filled(
    order: Sequence[int], members: Mapping[int, Sequence[int]], holds: Mapping[int, frozenset[int]], target: int
) -> frozenset[int]:
    """Groups in that order until the target is met, leaving out those that would overshoot or hold the last of a class.

    The smallest one where all overshoot.
    """
    outside = Counter(each for classes in holds.values() for each in classes)
    chosen: list[int] = []
    total = 0
    for group in order:
        size = len(members[group])
        fits = total + size <= target or (not chosen and size <= 2 * target)
        if fits and all(outside[each] > 1 for each in holds[group]):
            chosen.append(group)
            total += size
            outside.subtract(holds[group])
        if total >= target:
            break
    if not chosen:
        spare = [group for group in order if all(outside[each] > 1 for each in holds[group])]
        chosen = [min(spare, key=lambda group: len(members[group]))] if spare else []
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


def _blocks(runs: Sequence[int], copies: Sequence[int], where: _Where) -> frozenset[int] | None:
    """A fifth of each run, without a gap, copies of its pictures with it; None where those are too many."""
    members: defaultdict[int, list[int]] = defaultdict(list)
    for index, run in enumerate(runs):
        members[run].append(index)
    pictures = set[int]()
    for found in members.values():
        count = max(1, round(SHARE * len(found)))
        start = {"end": len(found) - count, "beginning": 0, "middle": (len(found) - count) // 2}[where]
        if len(found) > 1:
            pictures.update(copies[index] for index in found[start : start + count])
    chosen = frozenset(index for index, picture in enumerate(copies) if picture in pictures)
    return chosen if chosen and len(chosen) <= 2 * SHARE * len(runs) else None
