"""The narrow waist of the data room: what every data set becomes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

UInt8 = NDArray[np.uint8]


@dataclass(frozen=True)
class Split:
    """Images and masks at the model's size, and the labels at each image's own.

    `images` (n, height, width, 3) RGB and `masks` (n, height, width) may be memory-mapped. Label i has shape
    `label_shapes[i]` and lies in `labels_flat` from `label_starts[i]`.
    """

    names: tuple[str, ...]
    images: UInt8
    masks: UInt8
    labels_flat: UInt8
    label_starts: NDArray[np.int64]
    label_shapes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.names)

    def first(self, count: int) -> Split:
        """The split's first images, or all where it has no more."""
        return Split(
            names=self.names[:count],
            images=self.images[:count],
            masks=self.masks[:count],
            labels_flat=self.labels_flat,
            label_starts=self.label_starts[:count],
            label_shapes=self.label_shapes[:count],
        )

    def label(self, index: int) -> UInt8:
        """The mask at its own resolution: (label height, label width)."""
        height, width = (int(side) for side in self.label_shapes[index])
        start = int(self.label_starts[index])
        flat: Any = self.labels_flat[start : start + height * width]
        return np.asarray(flat, dtype=np.uint8).reshape(height, width)


@dataclass(frozen=True)
class Dataset:
    """A data set ready to use. `key` names its content: equal keys hold equal pixels.

    `levels` are the stored values that are shown as 0 and as 255, where images hold more than 8 bits. `both` are the
    training and the validation images in one split. `exif_ignored` says that images are read as they are stored,
    whatever their EXIF orientation says.
    """

    key: str
    classes: tuple[str, ...]
    void: int
    train: Split
    validation: Split
    levels: tuple[float, float] | None = None
    both: Split | None = None
    exif_ignored: bool = False

    @property
    def trained_on_all(self) -> Dataset:
        """The same to learn from the validation images, too, which then judge nothing."""
        if self.both is None:
            raise ValueError("Dataset.both must hold all images to learn from")
        return replace(self, key=f"{self.key} with validation", train=self.both)
