"""How the trials of a study train, in words, and a warning where that is too short."""

from __future__ import annotations

import math

from segsearch.settings.network import LEARNING, NetworkSettings
from segsearch.settings.train import TrainSettings

# With fewer steps than these, what is compared is how quickly networks begin, not how well they end.
FEW_STEPS = 500
ENOUGH_STEPS = 600
# Where seconds are held equal, a network that sees the image at its own size has a quarter of the steps of one at 0.5.
STEPS_AT_FULL_SCALE = 4

_HELD = {
    "images": "",
    "steps": "; batches are smaller at larger input scales",
    "seconds": "; trials are shorter at larger input scales",
}


def learning_words(train: TrainSettings, network: NetworkSettings, images: int) -> str:
    """How a network that somebody brought learns on: it is never trained anew."""
    if not LEARNING & {*network.ways}:
        return "nothing: what becomes of the network is quantized alone"
    return f"nothing anew; what learns on takes shares of {training_words(train, images)}"


def training_words(train: TrainSettings, images: int) -> str:
    """How long a trial trains on so many images, on what views of them, and what differs between input scales."""
    steps = train.steps_for(images)
    epochs = steps / max(1, images // train.batch_size)
    passes = f"{epochs:.1f}".removesuffix(".0") if epochs < 10 else f"{epochs:.0f}"
    return (
        f"{steps} steps of {train.batch_size} images ({passes} epoch{'' if passes == '1' else 's'}) "
        f"on {_views(train)}{_HELD[train.hold]}"
    )


def _views(train: TrainSettings) -> str:
    if train.crop is None:
        return f"crops of {train.width}x{train.height} pixels of the network's own grid"
    return "whole images" if train.crop == 1 else f"crops of {100 * train.crop:.3g} % of each side"


def warning_of_few_steps(train: TrainSettings, images: int) -> str | None:
    """One line where trials train for so few steps that candidates are hardly told apart; None where they do not."""
    shorter = STEPS_AT_FULL_SCALE if train.hold == "seconds" else 1
    fewest = math.floor(train.steps_for(images) / shorter)
    if fewest >= FEW_STEPS:
        return None
    where = " at input scale 1" if shorter > 1 else ""
    length = f"{train.epochs} epochs" if train.epochs is not None else f"{train.steps} steps in all"
    cure = f"steps = {ENOUGH_STEPS * shorter}" + (" in place of epochs and fine_tune_epochs" if train.epochs else "")
    if train.epochs is not None and train.batch_size > 2:
        cure += ", or a smaller batch_size"
    return (
        f"Warning: {fewest} steps a trial{where} ({images} images, batches of {train.batch_size}, {length}) are few: "
        f"candidates are then told apart by how quickly they begin. Write {cure}."
    )
