"""What a model says of one picture, at the picture's own size: fed and read as it was scored."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from segsearch.datasets.decode import Fault, resize_image
from segsearch.datasets.types import UInt8
from segsearch.errors import StudyError, TrialFailed
from segsearch.predicting.model import Model
from segsearch.runtimes import RUNTIMES, Session
from segsearch.trial.score import classes_of, nearest, to_input

# Pictures whose sides are to one another as the model's are, within this, are not said to be stretched.
SAME_SHAPE = 0.01


@dataclass(frozen=True)
class Opened:
    """A model whose file is opened, on one thread for each picture; several may be asked at once."""

    model: Model
    session: Session


@dataclass(frozen=True)
class Answered:
    """The class of each pixel (height, width), and the seconds of processor time that the model alone took."""

    label: UInt8
    seconds: float


def opened(model: Model) -> Opened:
    """Open a model and run it once. Raises `StudyError` where it cannot be run or answers something else."""
    try:
        session = RUNTIMES["onnxruntime"].open(model.path, threads=1)
        answer = session.run(np.zeros(session.shape, dtype=np.float32))
    except TrialFailed as failed:
        raise StudyError(f"{model.path}: cannot be run: {_one_line(failed)}") from None
    except Exception as error:  # ONNX Runtime's errors share no base class but Exception
        raise StudyError(f"{model.path}: cannot be run: {_one_line(error)}") from None
    sides = (model.height, model.width)
    masks = answer.dtype == np.uint8 and answer.shape == (1, *sides)
    scores = answer.ndim == 4 and answer.shape[:2] == (1, len(model.classes))
    if not masks and not scores:
        raise StudyError(
            f"{model.path}: must answer the class of each pixel, or the scores of {len(model.classes)} classes; it "
            f"answers {answer.dtype} {answer.shape}."
        )
    return Opened(model, session)


def answered(session: Session, pixels: UInt8, *, where: str) -> Answered:
    """The classes of a picture (height, width, 3). Raises `Fault` where a score is not finite; `where` names it."""
    image = to_input(resize_image(pixels, *session.shape[2:]))
    began = time.thread_time()  # the run is this thread's: what others do meanwhile is not the model's
    answer = session.run(image)
    took = time.thread_time() - began
    if answer.ndim == 4 and not np.isfinite(answer).all():
        raise Fault("score", f"{where}: the model answered NaN or infinity")
    classes = classes_of(answer).astype(np.uint8)
    height, width = pixels.shape[:2]
    return Answered(nearest(classes, (height, width)), took)


def is_stretched(model: Model, height: int, width: int) -> bool:
    """Whether a picture has another shape than the model's input, and becomes wider or higher than it was."""
    return abs(width * model.height / (height * model.width) - 1) > SAME_SHAPE


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
