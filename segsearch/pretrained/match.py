"""Which convolutions of a candidate's encoders begin with a parent's weights: told from the two architectures alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from segsearch.pretrained.anatomy import IMAGE, Layer, layers_of
from segsearch.space.architecture import Architecture, EncoderPath, Stage

_FOREIGN = "it reads a map that is not the parent's"
# Blocks whose expansion of 1 is another structure.
_EXPANDING: Sequence[str] = ("mbconv",)


@dataclass(frozen=True)
class Left:
    """Convolutions that begin as they were drawn: where they stand, how many they are, and why.

    0 where the block has no anatomy, so that nobody counted them.
    """

    where: str
    convolutions: int
    why: str


@dataclass(frozen=True)
class Report:
    """How many convolutions of the encoders inherit, of how many; what is left. Context and decoder never inherit."""

    matched: int
    convolutions: int
    left: tuple[Left, ...] = ()

    @property
    def words(self) -> str:
        """`40 of 49 convolutions of the encoder inherit; stage 4 (9) does not: ...`."""
        left = "".join(f"; {one.where} ({one.convolutions}) does not: {one.why}" for one in self.left)
        return f"{self.matched} of {self.convolutions} convolutions of the encoder inherit{left}"


@dataclass(frozen=True)
class Match:
    """Pairs of a child's layer and the parent's that it inherits from, and what is left of the child's."""

    pairs: tuple[tuple[Layer, Layer], ...]
    left: tuple[Left, ...]

    @property
    def report(self) -> Report:
        matched = sum(child.conv is not None for child, _ in self.pairs)
        return Report(matched, matched + sum(one.convolutions for one in self.left), self.left)

    @property
    def parameters(self) -> frozenset[str]:
        """The names of the child's parameters that inherit, whether their layer has them or not."""
        modules = [name for child, _ in self.pairs for name in (child.conv, child.norm) if name is not None]
        return frozenset(f"{module}.{kind}" for module in modules for kind in ("weight", "bias"))


def match(child: Architecture, parent: Architecture) -> Match:
    """Pair the convolutions of all of a child's paths with those of the parent's first one, stage by stage.

    A path that reads the image begins at the parent's stem, one that goes on from a map of another path at the stage
    after that map's. The first blocks of a stage pair with the first of the parent's, whatever their widths, kernels,
    strides and atrous rates are. A stage fits where its block is the same, and where channels that the child takes for
    one are one in the parent, too; from the first that does not fit on, a path reads maps that are not the parent's,
    and nothing of it inherits.
    """
    walk = _Walk(
        {number: _by_place(child, number) for number in range(len(child.paths))}, _by_place(parent, 0), parent.paths[0]
    )
    for number, path in enumerate(child.paths):
        walk.take(number, path)
    return Match(tuple(walk.pairs), tuple(walk.left))


# A path's layers by stage and block, and by role within it.
_Places = Mapping[int, Mapping[int, Mapping[str, Layer]]]


def _by_place(architecture: Architecture, path: int) -> _Places:
    found: dict[int, dict[int, dict[str, Layer]]] = defaultdict(lambda: defaultdict(dict))
    for layer in layers_of(architecture):
        if layer.path == path:
            found[layer.stage][layer.block][layer.role] = layer
    return found


class _Walk:
    """The paths of a child, one after another. `stands_for` are the parent's channels that each of its own are."""

    def __init__(self, child: Mapping[int, _Places], parent: _Places, parent_path: EncoderPath) -> None:
        self.child, self.parent, self.parent_path = child, parent, parent_path
        self.pairs: list[tuple[Layer, Layer]] = []
        self.left: list[Left] = []
        self.stands_for = {IMAGE: IMAGE}
        # Of each path the parent's stage that its map 0 stands at, and how many of its maps are the parent's.
        self.begins: dict[int, tuple[int, int]] = {}
        self.several = len(child) > 1

    def take(self, number: int, path: EncoderPath) -> None:
        start, why = self._start(path)
        fitting = 0
        for index in range(len(path.stages) + 1):
            own = self.child[number].get(index, {})
            if why is None:
                at = start + index
                why = self._misfit(path, index, at) or self._pair(number, index, own, self.parent.get(at, {}))
                fitting += why is None
                if why is None:
                    continue
            if index or own:
                self.left.append(Left(self._name(number, index), _convolutions(own), why))
                why = _FOREIGN
        self.begins[number] = (start, fitting)

    def _start(self, path: EncoderPath) -> tuple[int, str | None]:
        if path.source is None:
            return 0, None
        start, fitting = self.begins[path.source.path]
        if path.stem is not None:
            return 0, "it has a stem and reads no image"
        whole = path.source.stage < fitting
        return start + path.source.stage, None if whole else _FOREIGN

    def _misfit(self, path: EncoderPath, index: int, at: int) -> str | None:
        """Why a stage of the child cannot inherit from the parent's stage `at`."""
        if index == 0:
            if path.source is not None or (path.stem is None) == (self.parent_path.stem is None):
                return None
            return "it has a stem, the parent has none" if path.stem else "the parent has a stem before it"
        if at > len(self.parent_path.stages):
            return f"the parent ends after stage {len(self.parent_path.stages)}"
        return _differs(path.stages[index - 1], self.parent_path.stages[at - 1])

    def _pair(
        self,
        number: int,
        index: int,
        own: Mapping[int, Mapping[str, Layer]],
        theirs: Mapping[int, Mapping[str, Layer]],
    ) -> str | None:
        """Pair the layers of a stage; why none of them can be, where that is so."""
        pairs: list[tuple[Layer, Layer]] = []
        left: list[Left] = []
        stands_for = dict(self.stands_for)
        for block, layers in own.items():
            if block not in theirs:
                left.append(Left(self._name(number, index, block), len(layers), "the parent's has no such block"))
                continue
            new = [role for role in layers if role not in theirs[block]]
            if new:
                why = f"the parent's block has no {', '.join(new)}"
                left.append(Left(self._name(number, index, block), len(new), why))
            pairs += [(layer, theirs[block][role]) for role, layer in layers.items() if role in theirs[block]]
        for child, parent in pairs:
            # Of maps that lie side by side, which a deeper child has more of, some must be the parent's.
            if not any(stands_for.get(name) in parent.reads for name in child.reads):
                return _FOREIGN
            if child.conv is not None and stands_for.setdefault(child.makes, parent.makes) != parent.makes:
                return "it adds maps that the parent keeps apart"
        self.stands_for = stands_for
        self.pairs += pairs
        self.left += left
        return None

    def _name(self, number: int, index: int, block: int | None = None) -> str:
        where = "stem" if index == 0 else f"stage {index}"
        if block is not None:
            where += f", {'convolution' if index == 0 else 'block'} {block + 1}"
        return f"path {number + 1}, {where}" if self.several else where


def _convolutions(layers: Mapping[int, Mapping[str, Layer]]) -> int:
    return sum(layer.conv is not None for block in layers.values() for layer in block.values())


def _differs(child: Stage, parent: Stage) -> str | None:
    """Why the blocks of two stages are not alike."""
    if child.block != parent.block:
        return f"its block is {child.block}, the parent's {parent.block}"
    if max(child.groups, parent.groups) > 1:
        return "its convolutions are grouped" if child.groups > 1 else "the parent's convolutions are grouped"
    if child.norm != parent.norm:
        return f"its norm is {child.norm}, the parent's {parent.norm}"
    if child.block in _EXPANDING and (child.expansion == 1) != (parent.expansion == 1):
        return "one of the two expands nothing"
    return None
