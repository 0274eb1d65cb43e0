"""How to train: epochs or steps, rate and crops, what input scales have in common, the device, its precision."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch

from segsearch.datasets.augment import Augment, crop_of
from segsearch.errors import UserError
from segsearch.space.keys import later

# The input scale that a study's batch and length are meant for.
REFERENCE_SCALE = 0.5
# Views that begin small have this much of each side.
SMALL_VIEW = 0.5


@dataclass(frozen=True)
class Schedule:
    """How to train: one-cycle over `epochs`, or over exactly `steps` of them, the last one cut short.

    Crops show the share `crop` of each side of the image, or are (height, width) pixels of the network's own grid.
    `hold` is what networks of different input scales have in common; `for_scale` settles it. `recipe` 2 looks at every
    pixel of a crop in turn (`losses.label_offsets`), 1 at the same quarter of them always. Layers that inherit learn at
    `start_rate` times the rate.

    Long schedules may have more: `ema` is the decay of an average of the weights, which is what remains of the
    training; the first `small_start` of the steps see views at half their size; `balanced` shows images with rare
    classes more often.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    height: int | None
    width: int | None
    class_weights: Literal["none", "log"]
    seed: int
    jaccard_weight: float = 1.0
    smallest_zoom: float = 0.5
    largest_zoom: float = 2.0
    recipe: Annotated[Literal[1, 2], later(1)] = 1
    crop: Annotated[float | None, later(None)] = None
    steps: Annotated[int | None, later(None)] = None
    hold: Annotated[Literal["images", "steps", "seconds"], later("images")] = "images"
    start_rate: Annotated[float, later(1.0)] = 1.0
    ema: Annotated[float | None, later(None)] = None
    small_start: Annotated[float, later(0.0)] = 0.0
    balanced: Annotated[bool, later(False)] = False

    @property
    def augment(self) -> Augment:
        return Augment(smallest=self.smallest_zoom, largest=self.largest_zoom, inside=self.crop is not None)

    def steps_of_epoch(self, images: int) -> int:
        """Optimizer steps that go once through so many training images; what is left of them waits for another time."""
        return max(1, images // self.batch_size)

    def steps_for(self, images: int) -> int:
        """Optimizer steps in all."""
        return self.steps if self.steps is not None else self.epochs * self.steps_of_epoch(images)

    def view_scale(self, step: int, images: int, input_scale: float) -> float:
        """The input scale that a step's views have, of a network with that one: less at the start, if so asked."""
        return input_scale * (SMALL_VIEW if step < round(self.small_start * self.steps_for(images)) else 1.0)

    def of_steps(self, steps: int, images: int) -> Schedule:
        """The same for exactly so many steps, in as many epochs as they take."""
        return replace(self, steps=steps, epochs=math.ceil(steps / self.steps_of_epoch(images)))

    def crop_of(self, size: tuple[int, int], input_scale: float) -> tuple[int, int]:
        """(height, width) of the crops of images of (height, width), in pixels of the network's own grid."""
        if self.crop is not None:
            return crop_of(size, input_scale, self.crop)
        if self.height is None or self.width is None:
            raise ValueError("Schedule needs a crop, or height and width, got neither; crop=1.0 is the whole image.")
        return self.height, self.width


def for_scale(schedule: Schedule, input_scale: float, images: int) -> Schedule:
    """A study's schedule as a network of that input scale trains by it, with nothing left to settle.

    A view that shows a share of the image has (input_scale / 0.5) ** 2 times the pixels of one at input scale 0.5, and
    a step costs about as many times more. A study's batch and length are meant for 0.5: the smallest scale of the
    built-in space, and that of every model on the front of the CamVid study. `hold` says what stays equal:

    - "images": epochs and batch are the study's for all. A larger input scale costs more, and is given it.
    - "steps": the steps stay, the batch shrinks with the pixels, never below 2. The cost is about equal where it does
      not come to 2; a larger scale sees fewer images.
    - "seconds": the batch stays, epochs or steps shrink with the pixels, never below 1. The pixels stand for seconds: a
      clock would give another training each time.

    Below 0.5 a batch (of at most all images) and a length grow. Crops of fixed height and width cost the same at every
    scale: nothing changes.
    """
    settled = replace(schedule, hold="images")
    if schedule.crop is None or schedule.hold == "images":
        return settled
    pixels = (input_scale / REFERENCE_SCALE) ** 2
    if schedule.hold == "steps":
        batch = min(images, max(2, _nearest(schedule.batch_size / pixels)))
        if batch == schedule.batch_size:
            return settled
        return replace(settled, batch_size=batch).of_steps(schedule.steps_for(images), images)
    if schedule.steps is not None:
        return settled.of_steps(max(1, _nearest(schedule.steps / pixels)), images)
    return replace(settled, epochs=max(1, _nearest(schedule.epochs / pixels)))


def around_pruning(schedule: Schedule, share: float, images: int, *, on_top: bool = False) -> tuple[Schedule, Schedule]:
    """A pruned network's schedule before and after the pruning, each annealed: whole and some more, or as long in all.

    `share` of the epochs or steps come after, at a third of the rate: `on_top` of the whole schedule, which the network
    shares with its unpruned twin, or taken from it; where there are none to spare, 0 of them.
    """
    length = schedule.epochs if schedule.steps is None else schedule.steps
    after = max(1, _nearest(share * length))
    after = after if on_top else min(after, length - 1)
    before, rest = (
        replace(schedule, epochs=count) if schedule.steps is None else schedule.of_steps(count, images)
        for count in (length if on_top else length - after, after)
    )
    return before, replace(rest, learning_rate=schedule.learning_rate / 3)


def at_epochs(schedule: Schedule, epochs: int) -> Schedule:
    """The same for another number of epochs; steps grow or shrink by as much."""
    if schedule.steps is None or epochs == schedule.epochs:
        return replace(schedule, epochs=epochs)
    return replace(schedule, epochs=epochs, steps=max(1, _nearest(schedule.steps * epochs / schedule.epochs)))


def _nearest(value: float) -> int:
    """The nearest whole number, halves up: Python's own rounds them to even ones."""
    return math.floor(value + 0.5)


def rising_share(steps: int) -> float:
    """The share of a schedule in which the learning rate rises; torch divides by zero where that is one whole step."""
    return 0.25 if steps == 5 else 0.2


def trains_in_bfloat16(device: torch.device) -> bool:
    """On CUDA, and on processors with matrix tiles for it (AMX), where dense networks train faster."""
    return device.type == "cuda" or bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def pick_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """CPU or CUDA, whichever is there. Raises `UserError` where CUDA is asked for and absent."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError('train.device must be there; this machine has no CUDA device. Use device = "auto".')
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")
