"""What `[network]` of a study says: the network that somebody brought, and what may be searched of it."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from segsearch.settings.train import Settings
from segsearch.space.own import Pixels, Way

WAYS: tuple[Way, ...] = ("prune", "factorize", "int8", "mixed", "trained")
# Ways after which the weights learn on.
LEARNING: frozenset[Way] = frozenset(("prune", "factorize", "trained"))
# What a module is kept in, with its sources; an ONNX file is kept as it is.
ENDINGS = (".safetensors", ".onnx")
_Three = tuple[float, float, float]
_Above = Annotated[float, Field(gt=0)]


class NetworkSettings(Settings):
    """`[network]`: somebody's own network, of which only the compression is searched. `segsearch compress` writes it.

    `file` holds the module with its weights and the source of its classes, or is an ONNX file. What it takes is
    (value - mean) / std of each channel, in the order of `channels`, of pixels that are `top` where they are white.
    `ways` are those of its compression that are drawn.
    """

    file: Annotated[str, Field(min_length=1)]
    mean: _Three = (0.0, 0.0, 0.0)
    std: tuple[_Above, _Above, _Above] = (1.0, 1.0, 1.0)
    top: _Above
    channels: Literal["rgb", "bgr"]
    ways: tuple[Way, ...] = WAYS

    @field_validator("mean", "std", "ways", mode="before")
    @classmethod
    def _lists(cls, value: Any) -> Any:
        return tuple(value) if isinstance(value, list) else value

    @field_validator("file")
    @classmethod
    def _known_ending(cls, file: str) -> str:
        if PurePath(file).suffix not in ENDINGS:
            raise ValueError(
                f"file must be one that `segsearch compress` wrote ({' or '.join(ENDINGS)}), got {file!r}; "
                "to bring a module, run `segsearch compress MODEL.py`"
            )
        return file

    @property
    def pixels(self) -> Pixels:
        return Pixels(self.mean, self.std, self.top, self.channels)


_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
# What networks of the field take, by the words of `segsearch compress --pixels`.
PRESETS = {
    "imagenet": Pixels(*_IMAGENET, top=1.0),
    "0..1": Pixels(top=1.0),
    "-1..1": Pixels((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), top=1.0),
    "0..255": Pixels(),
    "caffe": Pixels((103.939, 116.779, 123.68), channels="bgr"),
}
