"""Data sets: images and masks decoded once, as arrays that training and scoring read."""

from __future__ import annotations

from segsearch.datasets.types import Dataset, Split

__all__ = ["Dataset", "Split"]
