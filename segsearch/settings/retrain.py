"""What `[retrain]` of a study says: the long schedule of a model that was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from segsearch.settings.train import Positive, Settings

TrainOn = Literal["train", "train+val"]
# Without a word the long schedule is so many times as long as the study's.
TIMES = 10


class RetrainSettings(Settings):
    """`[retrain]`: how `segsearch retrain` trains a chosen model to the end; what is not said here `[train]` says.

    It is as long as `epochs` say, or ten times the study's schedule. What remains is an average of the weights with the
    decay `ema`, or with 0 the last ones. A network without auxiliary losses learns with one more head on its encoder's
    last map, whose loss has the weight `auxiliary`; the file does not have it. The first `small_start` of the steps see
    the images at half their size. With `balanced` images that show rare classes are seen more often.

    Of these the auxiliary loss and balanced images paid on CamVid (`docs/results.md`); the others are asked for.
    """

    epochs: Positive | None = None
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    auxiliary: Annotated[float, Field(ge=0, le=1)] = 0.4
    small_start: Annotated[float, Field(ge=0, lt=1)] = 0.0
    balanced: bool = True


@dataclass(frozen=True)
class Recipe:
    """The long schedule of a chosen model, with nothing left to settle."""

    epochs: int
    ema: float
    auxiliary: float
    small_start: float
    balanced: bool
    train_on: TrainOn = "train"
