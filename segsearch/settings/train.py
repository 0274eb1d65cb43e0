"""What `[train]` of a study says: how long, on what views of the images, and what candidates have in common."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator


class Settings(BaseModel):
    """A table of a study file: frozen, no unknown keys, no number for a word, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


Positive = Annotated[int, Field(ge=1)]
# Fewer steps than these train nothing; more than these are a slip of the finger.
STEPS = (2, 10_000_000)
# A network at half the image's size must have this much of each side to learn from, where the image has it.
SMALLEST_CROP = 32
# Weights that a package ships, by what a study calls them (`pretrained.packages` knows the packages).
PRETRAINED = ("efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2")
# A study that starts from pretrained weights, and does not say how quickly these learn: as quickly as the rest, which
# was the best of four pairs of rates in `benchmarks/pretrained.py rates`.
START_RATE = 1.0


def is_weights_file(pretrained: str) -> bool:
    """Whether `pretrained` means a file by its path: those have an ending or a folder, and names have neither."""
    path = PurePath(pretrained)
    return bool(path.suffix) or len(path.parts) > 1


class TrainSettings(Settings):
    """`[train]`: one complete annealed schedule, and for a pruned candidate a part after the pruning.

    It is as long as `epochs` say, or exactly as many optimizer `steps`. The part after a pruning is `fine_tune_epochs`
    or `fine_tune_share` of the steps, on top of the rest, which a pruned candidate shares with its unpruned twin; with
    `fine_tune_on_top` false it is taken from the rest. Crops show the share `crop` of each side of the image, whatever
    the network's input scale is, or are `height` x `width` pixels of the network's own grid, after its input scale.
    Things in them have their own size times a zoom between the two given; it never takes a share of the image beyond
    the image. `hold` is what candidates of different input scales have in common (`training.schedule.for_scale`).
    `threads` are those of training and scoring, without it torch's own choice; sums in another order may change the
    last digits. `recipe` is how training and quantization are done where that has changed: a study of recipe 1 goes on
    so. `pretrained` is whose weights encoders begin with where they match: those that a package ships, a file's, or
    none. The layers that inherit learn at `start_rate` times the others' rate.
    """

    epochs: Positive | None = None
    steps: int | None = None
    crop: Annotated[float, Field(gt=0, le=1)] | None = None
    height: Annotated[int, Field(ge=32)] | None = None
    width: Annotated[int, Field(ge=32)] | None = None
    batch_size: Annotated[int, Field(ge=2)] = 8
    fine_tune_epochs: Positive | None = None
    fine_tune_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    fine_tune_on_top: bool = True
    hold: Literal["images", "steps", "seconds"] = "images"
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-3
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 1e-2
    class_weights: Literal["none", "log"] = "log"
    jaccard_weight: Annotated[float, Field(ge=0, le=10)] = 1.0
    smallest_zoom: Annotated[float, Field(gt=0, le=8)] = 0.5
    largest_zoom: Annotated[float, Field(gt=0, le=8)] = 2.0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(ge=1, le=256)] | None = None
    recipe: Literal[1, 2] = 2
    pretrained: str = "none"
    start_rate: Annotated[float, Field(gt=0, le=1)] | None = None

    @field_validator("pretrained")
    @classmethod
    def _known_weights(cls, words: str) -> str:
        if words != "none" and words not in PRETRAINED and not is_weights_file(words):
            raise ValueError(
                f"pretrained must be one of {', '.join(PRETRAINED)} or none, or the path of a file of weights "
                f"(weights.pth, weights.safetensors), got {words!r}"
            )
        return words

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, raw: Any) -> Any:
        """What is left out depends on how the rest is told: in epochs or in steps, with a crop or without one."""
        if not isinstance(raw, Mapping):
            return raw
        said = {key for key, value in raw.items() if value is not None}
        left_out: dict[str, Any] = {} if said & {"crop", "height", "width"} else {"crop": 1.0}
        left_out |= {"fine_tune_share": 0.25} if "steps" in said else {"fine_tune_epochs": 2}
        left_out |= {"start_rate": START_RATE} if raw.get("pretrained", "none") != "none" else {}
        return {**raw, **{key: value for key, value in left_out.items() if key not in said}}

    @model_validator(mode="after")
    def _length_is_told_once(self) -> TrainSettings:
        if (self.epochs is None) == (self.steps is None):
            found = "neither" if self.epochs is None else f"epochs = {self.epochs} and steps = {self.steps}"
            raise ValueError(f"exactly one of epochs and steps must be given, got {found}; steps = 800 is a short one")
        if self.steps is not None and not STEPS[0] <= self.steps <= STEPS[1]:
            raise ValueError(f"steps must lie in [{STEPS[0]}, {STEPS[1]}], got {self.steps}; 800 is a short schedule")
        if self.steps is not None and self.fine_tune_epochs is not None:
            raise ValueError(
                f"fine_tune_epochs is for a study that counts epochs, and this one counts steps; got "
                f"{self.fine_tune_epochs}; write fine_tune_share = 0.25"
            )
        if self.epochs is not None and self.fine_tune_share is not None:
            raise ValueError(
                f"fine_tune_share is for a study that counts steps, and this one counts epochs; got "
                f"{self.fine_tune_share:g}; write fine_tune_epochs"
            )
        taken = 0 if self.fine_tune_on_top else self.fine_tune_epochs or 0
        if self.epochs is not None and 1 < self.epochs <= taken:
            raise ValueError(
                f"fine_tune_epochs must be smaller than epochs ({self.epochs}), got {self.fine_tune_epochs}; "
                "leave out fine_tune_on_top = false, or write fewer"
            )
        return self

    @model_validator(mode="after")
    def _crop_is_told_once(self) -> TrainSettings:
        sides = (self.height, self.width)
        if self.crop is not None and sides != (None, None):
            told = ", ".join(f"{name} = {side}" for name, side in zip(("height", "width"), sides, strict=True) if side)
            raise ValueError(
                f"crop is a share of the image, height and width are pixels: give one or the other, got crop = "
                f"{self.crop:g} and {told}; leave out what is not meant"
            )
        if self.crop is None and None in sides:
            alone, other = ("height", "width") if self.height is not None else ("width", "height")
            raise ValueError(
                f"height and width must be given together, got {alone} = {self.height or self.width} alone; "
                f"add {other}, or write crop in place of both"
            )
        if self.crop is None and self.hold != "images":
            raise ValueError(
                "hold is for crops that are a share of the image: those of fixed height and width cost the same at "
                f"every input scale, got hold = {self.hold!r} with {self.height} x {self.width}; leave it out, or "
                "write crop in place of height and width"
            )
        if self.hold == "steps" and self.batch_size < 4:
            raise ValueError(
                "hold = 'steps' takes from the batch, which has at least 2 images: it needs a batch_size of 4 or more, "
                f"got {self.batch_size}; write hold = 'seconds' or a larger batch"
            )
        if self.smallest_zoom > self.largest_zoom:
            raise ValueError(
                f"smallest_zoom must be at most largest_zoom ({self.largest_zoom:g}), got {self.smallest_zoom:g}"
            )
        return self

    @model_validator(mode="after")
    def _start_rate_needs_a_start(self) -> TrainSettings:
        if self.start_rate is not None and self.pretrained == "none":
            raise ValueError(
                f"start_rate is for layers that begin with pretrained weights, and none do, got {self.start_rate:g}; "
                f"leave it out, or write pretrained = {PRETRAINED[0]!r}"
            )
        return self

    def steps_for(self, images: int) -> int:
        """Optimizer steps of a whole trial on so many training images, at input scale 0.5 where the scale matters."""
        return self.steps if self.steps is not None else (self.epochs or 0) * self.steps_of_epoch(images)

    def steps_of_epoch(self, images: int) -> int:
        """Optimizer steps that go once through so many training images."""
        return max(1, images // self.batch_size)

    @property
    def share_after_pruning(self) -> float:
        """What comes after a pruning, as a share of the whole schedule."""
        return self.fine_tune_share or (self.fine_tune_epochs or 0) / (self.epochs or 1)


def demand_crop(crop: float | None, side: int, *, where: str) -> None:
    """Raise `ValueError` where a share of a side of so many pixels leaves too few of them at input scale 0.5.

    The whole image is always enough: it is what the deployed network sees.
    """
    enough = min(SMALLEST_CROP, round(side * 0.5))
    if crop is not None and round(side * 0.5 * crop) < enough:
        cure = min(1.0, math.ceil(200 * enough / side) / 100)
        raise ValueError(
            f"train.crop must leave at least {enough} pixels of {where} ({side}) at input scale 0.5, got {crop:g}, "
            f"which leaves {round(side * 0.5 * crop)}; write crop = {cure:g} or more"
        )
