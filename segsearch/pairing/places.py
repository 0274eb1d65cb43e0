"""What the folders above a picture say: whether it is an image or a mask, of which split, of which part of the set."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Literal

from segsearch.pairing.types import Family, Place, Role, SplitName

Kind = Literal["image", "mask", "left out"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Names of folders without case and separators: `img_dir` is `imgdir`. CamVid's are 701_StillsRaw_full and
# LabeledApproved_full.
IMAGE_WORDS = _words(
    "images image imgs img imgdir imagedir jpegimages leftimg8bit frames frame rgb photos photo pictures picture "
    "input inputs 701stillsrawfull"
)
MASK_WORDS = _words(
    "masks mask maskdir labels label labeldir annotations annotation ann anndir annot annots segmentationclass "
    "segmentationclasspng segmentationclassaug gtfine gt groundtruth groundtruths segmentation segmentations seg "
    "target targets matte mattes labeledapprovedfull"
)
# Pictures that no class map can be read from: one number an object, or a distance.
LEFT_OUT_WORDS = _words("segmentationobject instance instances panoptic depth disparity")
SPLIT_WORDS: dict[str, SplitName] = {
    **dict.fromkeys(("train", "training", "trn", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "ts"), "test"),
}
# Of several folders that hold the same masks the first of these; a row holds names of one folder.
PREFERENCE = (
    ("segmentationclass", "segmentationclasspng"),
    ("segmentationclassaug",),
    ("annotations", "annotation"),
)

# Inside a longer name (`binary_masks`, `CameraSeg`) fewer words count, and none beside these.
_PART_WORDS: dict[str, Kind] = {
    **dict.fromkeys(_words("images image imgs img jpegimages leftimg8bit frames rgb photos pictures"), "image"),
    **dict.fromkeys(_words("masks mask labels label annotations annotation gt gtfine groundtruth seg"), "mask"),
}
_JOINING = {"and", "with", "without", "no", "or"}
_ALL_OF_IT = {"dataset", "datasets", "project", "export", "studio", "benchmark", "challenge"}
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(IMAGE_WORDS, "image"),
    **dict.fromkeys(MASK_WORDS, "mask"),
    **dict.fromkeys(LEFT_OUT_WORDS, "left out"),
}
_GLUED: dict[str, tuple[str, SplitName]] = {
    name: (word, split)
    for (word, (split_word, split)) in product(_KINDS, SPLIT_WORDS.items())
    for name in (word + split_word, split_word + word)
}
_FIRM = [word for word, kind in _PART_WORDS.items() if kind == "image" and word != "rgb"]
_SEPARATORS = re.compile(r"[\s_.\-]+")
_HUMPS = re.compile(r"(?<=[a-z])(?=[A-Z])")
_OF_A_YEAR = re.compile(r"([a-z]+)20\d\d", re.IGNORECASE)


@dataclass(frozen=True)
class Folders:
    """What the folders above a picture say together.

    `word` is the folder that tells the role, without case, separators and split (`annot` for `trainannot`), "" where
    none does. `left_out` are pictures in folders of instances, depth and the like, which are neither image nor mask.
    """

    role: Role | None
    split: SplitName | None
    rest: str
    word: str
    left_out: bool


def place_of(root: Path, inner: str) -> Place:
    """The place of a picture by its path below `root` (with slashes); the name of `root` itself says nothing."""
    above, _, name = inner.rpartition("/")
    return place_in(root, read_folders(above), inner, name)


def place_in(root: Path, folders: Folders, inner: str, name: str) -> Place:
    """The place of a picture called `name` whose folders have been read."""
    stem = name.rpartition(".")[0] or name
    told = folders.role, folders.split, folders.rest
    return Place(root / inner, inner, *told, stem, folders.word, folders.left_out)


def by_whole_names(places: Iterable[Place]) -> list[Place]:
    """The places by those folders alone whose whole name tells a role: `image_0` and `scan_images` tell none."""
    read = dict[str, Folders]()
    found = list[Place]()
    for place in places:
        above = place.inner.rpartition("/")[0]
        told = read[above] if above in read else read.setdefault(above, read_folders(above, parts=False))
        found.append(replace(place, role=told.role, rest=told.rest, word=told.word, left_out=told.left_out))
    return found


def read_folders(above: str, *, parts: bool = True) -> Folders:
    """Read the folders of a picture, joined by slashes: the deepest that tells a role wins, so does that of a split.

    Folders of instances (`SegmentationObject`, `instances`) tell neither role: their pictures get None, are
    `left_out`, and take no part in pairing. Without `parts` a word in a longer name (`image_0`) tells nothing.
    """
    names = [name for name in above.split("/") if name]
    told = [_told(name) for name in names]
    by_word = [index for index, (word, _) in enumerate(told) if word]
    splits = [split for _, split in told if split]
    says_nothing = [not word and not split for word, split in told]
    word = ""
    kind: Kind | None = None
    if by_word:
        word = told[by_word[-1]][0]
        kind = _KINDS[word]
        # `gtFine_trainvaltest` above `gtFine` leaves `trainvaltest`, and so does `leftImg8bit_trainvaltest`.
        names = [_without_words(name) if index < by_word[-1] else name for index, name in enumerate(names)]
    elif by_part := [index for index, name in enumerate(names) if parts and says_nothing[index] and _part(name)]:
        word, kind = _plain(names[by_part[-1]]), _part(names[by_part[-1]])
        says_nothing[by_part[-1]] = False
    rest = "/".join(name for name, said in zip(names, says_nothing, strict=True) if said and name)
    role: Role | None = None if kind == "left out" else kind
    return Folders(role, splits[-1] if splits else None, rest, word, kind == "left out")


def says_images_firmly(place: Place) -> bool:
    """Whether a folder holds images whatever lies beside it; `rgb` in a longer name may be masks' colours."""
    firm = place.word in _KINDS or any(word in place.word for word in _FIRM)
    return place.role == "image" and firm


def preferred(families: Sequence[Family]) -> tuple[Family, ...]:
    """The families to choose from where several folders hold masks: `SegmentationClass` before
    `SegmentationClassAug` before `Annotations`. Those in folders of other names stay in their order.
    """
    ranks = [_rank(family) for family in families]
    known = [rank for rank in ranks if rank is not None]
    return tuple(family for family, rank in zip(families, ranks, strict=True) if rank is None or rank == min(known))


def _rank(family: Family) -> int | None:
    mask = next(iter(family.masks.values()), None)
    return next((rank for rank, names in enumerate(PREFERENCE) if mask and mask.word in names), None)


def _plain(name: str) -> str:
    return _SEPARATORS.sub("", name).casefold()


def _told(name: str) -> tuple[str, SplitName | None]:
    """The word of a role and the split that one folder's whole name says, "" and None where it says none.

    `test_drive_2019` says nothing; `train2017` says train, as the folders of COCO do.
    """
    plain = _plain(name)
    if plain in _KINDS:
        return plain, None
    if plain in _GLUED:
        return _GLUED[plain]
    of_a_year = _OF_A_YEAR.fullmatch(name)
    return "", SPLIT_WORDS.get(of_a_year[1].casefold() if of_a_year else plain)


def _parts(name: str) -> list[str]:
    """The pieces between separators, each before what it is made of: `leftImg8bit_x` gives leftImg8bit, x."""
    return [
        part
        for piece in _SEPARATORS.split(name)
        for part in ([piece] if piece.casefold() in _PART_WORDS else _HUMPS.split(piece))
    ]


def _part(name: str) -> Kind | None:
    """The role that one word of a longer name tells; where it holds words of both, it is about labels of images."""
    parts = [part.casefold() for part in _parts(name)]
    if _ALL_OF_IT & set(parts):
        return None
    kinds = {_PART_WORDS[part] for part in parts if part in _PART_WORDS}
    if len(kinds) == 2:
        return None if _JOINING & set(parts) else "mask"
    return next(iter(kinds), None)


def _without_words(name: str) -> str:
    return "_".join(part for part in _parts(name) if part.casefold() not in _PART_WORDS) if _part(name) else name
