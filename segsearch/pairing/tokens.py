"""Names taken apart: tokens, what most names of a folder begin and end with, and where one name lies in another."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from segsearch.pairing.types import Alike

Tokens = tuple[str, ...]

# A number, a word (a hump of `leftImg` is a word), or one character of any other kind.
_TOKEN = re.compile(r"\d+|[A-Z]+[^\W\d_A-Z]*|[^\W\d_A-Z]+|[\W_]")
_FEW = 3
_START = 3


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


IMAGE_NAMES = _words("image images img imgs rgb photo picture pic sat input orig original")
# Words that masks have in their names and images do not; folders have words of their own.
MASK_NAMES = _words(
    "mask masks label labels gt gts groundtruth truth seg segmentation segmentations annotation annotations annot anno "
    "ann matte mattes target targets trainids labelids labeltrainids instanceids gtfine color colors colour "
    "colours"
)


def tokens_of(stem: str) -> Tokens:
    """Numbers, words and separators in order; joined they are the stem with composed umlauts.

    >>> tokens_of("leftImg8bit_01")
    ('left', 'Img', '8', 'bit', '_', '01')
    """
    return tuple(_TOKEN.findall(unicodedata.normalize("NFC", stem)))


def _caseless(stem: str) -> Tokens:
    return tokens_of(stem.casefold())


def _without_words(stem: str) -> Tokens:
    """`p1_image_007` and `p1_mask_007` alike: words that say image or mask are left out, with one separator each."""
    kept = list[str]()
    for token in (token.casefold() for token in tokens_of(stem)):
        said = token in IMAGE_NAMES or token in MASK_NAMES
        if said and kept and is_separator(kept[-1]):
            kept.pop()
        elif not said and not (is_separator(token) and not kept):
            kept.append(token)
    return tuple(kept)


def _unpadded(stem: str) -> Tokens:
    return tuple(token.lstrip("0") or "0" if token.isdecimal() else token.casefold() for token in tokens_of(stem))


# Ways to hold two names alike, the strictest first.
FORMS: Mapping[Alike, Callable[[str], Tokens]] = {
    "name": tokens_of,
    "case": _caseless,
    "words": _without_words,
    "padding": _unpadded,
}


def is_separator(token: str) -> bool:
    """Whether a token is neither a number nor a word."""
    return not token.isalnum()


def has_mask_word(tokens: Iterable[str], words: frozenset[str]) -> bool:
    """Whether one of the words is among a name's tokens, or among those of a hump (`labelTrainIds`)."""
    return any(token.casefold() in words for token in tokens)


@dataclass(frozen=True)
class Core:
    """What of a name is its own: `before` and `after` are tokens that most names beside it begin and end with."""

    before: Tokens
    core: Tokens
    after: Tokens


@dataclass(frozen=True)
class Ends:
    """What more than half of the names begin and end with."""

    lead: Tokens
    trail: Tokens

    def strip(self, name: Tokens) -> tuple[Core, ...]:
        """Cut off as much of the ends as the name has, never all of it.

        Where the two cross or touch (`img_a` beside `img_7_a`) any token there may be the name's own: what its mask is
        called tells.
        """
        start = _alike(name, self.lead)
        stop = len(name) - _alike(name[::-1], self.trail[::-1])
        if _is_own(name[start:stop]):
            return (Core(name[:start], name[start:stop], name[stop:]),)
        own = [at for at, token in enumerate(name) if not is_separator(token)]
        first = max((at for at in own if at <= min(start, stop - 1)), default=0)
        last = min((at for at in own if at >= max(start, stop - 1)), default=len(name) - 1)
        cores = (Core(name[:at], name[at : at + 1], name[at + 1 :]) for at in own if first <= at <= last)
        return tuple(dict.fromkeys((*cores, Core((), name, ()))))


def _is_own(tokens: Tokens) -> bool:
    return not all(map(is_separator, tokens))


def shared_ends(names: Iterable[Tokens]) -> Ends:
    """The ends of the names; a name that is there twice counts once."""
    different = set(names)
    return Ends(_lead(different), _lead({name[::-1] for name in different})[::-1])


def ends_by_group(groups: Mapping[str | None, Sequence[Tokens]]) -> dict[str | None, Ends]:
    """Each group's own ends, and those of all names where a group has too few to tell."""
    shared = shared_ends(name for names in groups.values() for name in names)
    return {
        group: shared_ends(names) if len(set(names)) >= _FEW else shared  # of two names too much is alike
        for group, names in groups.items()
    }


def _lead(names: set[Tokens]) -> Tokens:
    """The longest run of first tokens that more than half of the names have."""
    lead, left = Tokens(), list(names)
    while len(names) > 1:
        counts = Counter(name[len(lead)] for name in left if len(name) > len(lead))
        token, count = counts.most_common(1)[0] if counts else ("", 0)
        if 2 * count <= len(names):
            break
        left = [name for name in left if len(name) > len(lead) and name[len(lead)] == token]
        lead = (*lead, token)
    return lead


def find_inside(name: Tokens, starts: Mapping[Tokens, frozenset[int]]) -> Iterator[tuple[int, int]]:
    """Where cores may lie in a name, as (start, stop) of its tokens; `starts` are those of `index_starts`."""
    for start in range(len(name)):
        for length in range(1, min(_START, len(name) - start) + 1):
            for whole in starts.get(name[start : start + length], ()):
                if start + whole <= len(name):
                    yield start, start + whole


def index_starts(cores: Iterable[Tokens]) -> dict[Tokens, frozenset[int]]:
    """How many tokens the cores have, by their first three (or by all where they have fewer)."""
    lengths = defaultdict[Tokens, set[int]](set)
    for core in cores:
        lengths[core[:_START]].add(len(core))
    return {start: frozenset(found) for start, found in lengths.items()}


def left_over(core: Core, name: Tokens, start: int, stop: int) -> tuple[tuple[str, str], tuple[str, str]]:
    """The prefix and suffix that each has beside what both share: `name`, which holds the core at start..stop, and the
    core's own name. `0001_annotation` has the suffix `_annotation` and `0001_image` has `_image`.
    """
    before, own_before = _beyond(name[:start][::-1], core.before[::-1])
    after, own_after = _beyond(name[stop:], core.after)
    return ("".join(before[::-1]), "".join(after)), ("".join(own_before[::-1]), "".join(own_after))


def _beyond(end: Tokens, other: Tokens) -> tuple[Tokens, Tokens]:
    """What follows the tokens that both begin with; where both go on, a separator stays with that."""
    shared = _alike(end, other)
    if shared < min(len(end), len(other)):
        while shared and is_separator(end[shared - 1]):
            shared -= 1
    return end[shared:], other[shared:]


def _alike(one: Tokens, other: Tokens) -> int:
    """How many first tokens are the same."""
    same = 0
    for token, its in zip(one, other, strict=False):
        if token != its:
            break
        same += 1
    return same
