"""How files of known networks are read: what they call the convolutions of a network of ours, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from segsearch.pretrained.anatomy import END, Layer, layers_of
from segsearch.space.architecture import Architecture, EncoderPath, Head


@dataclass(frozen=True)
class Pixels:
    """What a network was trained to read: (value - mean) / std of RGB values in 0..255, channel by channel."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class Called:
    """What a file calls a convolution, and the batch norm after it where it has one.

    Both are patterns over where the convolution stands. Counted from 0 are `n` (the block among all of the encoder),
    `block` (in its stage), `run` and `member` (the stage and the block where stages of one width in a row are one) and
    `at` (the part in its block); `n1`, `stage`, `block1` and `at1` count from 1, `pair` counts every two stages.
    `number` is the layout's own for the block, `number1` one more.
    """

    conv: str = ""
    norm: str | None = None


@dataclass(frozen=True)
class Key:
    """One convolution of our network of a layout, and what the file calls it and its norm."""

    layer: Layer
    conv: str
    norm: str | None


@dataclass(frozen=True)
class Layout:
    """A network of ours whose weights are in files of one kind, and the names that these have there.

    `called` names convolutions by their role (`anatomy`), `bare` those of blocks that expand nothing, where these are
    called otherwise. `unused` is what other keys begin with: layers that classify, and no encoder has. `epsilon` is the
    norms', `numbers` are the file's own for the blocks. Where `biased`, convolutions before a norm have biases as well.
    `renamed` are names that the patterns would make otherwise.
    """

    name: str
    path: EncoderPath
    pixels: Pixels
    called: Mapping[str, Called]
    unused: tuple[str, ...]
    bare: Mapping[str, Called] = field(default_factory=dict)
    epsilon: float = 1e-5
    numbers: tuple[int, ...] = ()
    biased: bool = False
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def architecture(self) -> Architecture:
        """The path as a whole network: nothing reads the little head."""
        return Architecture((self.path,), (), Head(channels=8, depth=0))

    def convolutions(self) -> Iterator[Key]:
        """The convolutions of our network in order, with what the file calls them."""
        blocks: dict[tuple[int, int], list[Layer]] = {}
        for layer in layers_of(self.architecture):
            blocks.setdefault((layer.stage, layer.block), []).append(layer)
        n, run, member, width = -1, -1, 0, 0
        for (stage, block), layers in blocks.items():
            if stage == 0:
                where = {"block": block}
            else:
                channels = self.path.stages[stage - 1].channels
                if block != END:
                    n, member = n + 1, member + 1
                if channels != width:
                    run, member, width = run + 1, 0, channels
                where = {"block": block, "stage": stage, "n": n, "n1": n + 1, "run": run, "member": member}
                where |= {"block1": block + 1, "pair": (stage + 1) // 2}
                if self.numbers:
                    where |= {"number": self.numbers[n], "number1": self.numbers[n] + 1}
            yield from self._of_block(layers, where)

    def _of_block(self, layers: list[Layer], where: Mapping[str, int]) -> Iterator[Key]:
        bare = "expand" not in {layer.role for layer in layers}
        at = 0
        for layer in layers:
            at -= layer.role == "widen"  # squeeze-and-excitation is one part with two convolutions
            called = (self.bare.get(layer.role) if bare else None) or self.called[layer.role]
            places = {**where, "at": at, "at1": at + 1}
            norm = None if called.norm is None else called.norm.format(**places)
            yield Key(layer, called.conv.format(**places), None if norm is None else self.renamed.get(norm, norm))
            at += 1
