"""What a teacher says, and who learns from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path as FilePath

import numpy as np

from segsearch.compression.distill import Teaching
from segsearch.networks import Network, build
from segsearch.training.batches import More
from segsearch.training.loop import train
from segsearch.training.teacher import teach, write_logits
from tests.scenes import tiny_dataset
from tests.training.schedules import CPU, SCHEDULE, SMALL, trained


def test_a_student_taught_only_by_its_teacher_comes_to_agree_with_it(tmp_path: FilePath) -> None:
    data = tiny_dataset()

    def says(network: Network) -> np.ndarray:
        teach(network, data.train, tmp_path / "logits.npy", device=CPU)
        return np.load(tmp_path / "logits.npy", allow_pickle=False)

    teacher, _ = trained(replace(SCHEDULE, epochs=12))
    logits = says(teacher)
    assert logits.dtype == np.float16
    assert logits.shape[:2] == (len(data.train), len(data.classes))
    schedule = replace(SCHEDULE, epochs=12, seed=5)
    student, _ = trained(schedule, teaching=Teaching(logits, weight=1.0, temperature=2.0))
    alone = build(SMALL, len(data.classes), seed=5).eval()
    learned = (says(student).argmax(1) == logits.argmax(1)).mean()
    before = (says(alone).argmax(1) == logits.argmax(1)).mean()
    assert learned > max(0.7, before + 0.2)


def test_the_teacher_speaks_after_its_share_of_the_steps_and_not_before() -> None:
    data = tiny_dataset()
    logits = np.random.default_rng(0).normal(0, 5, (len(data.train), 3, 16, 24)).astype(np.float16)
    schedule = replace(SCHEDULE, epochs=4)  # three steps each
    _, alone = trained(schedule)
    _, late = trained(schedule, teaching=Teaching(logits, 1.0, 1.0, "channel", after=0.5))
    assert late[:2] == alone[:2]
    assert all(one > other + 0.1 for one, other in zip(late[2:], alone[2:], strict=True))


def test_what_a_teacher_says_of_images_without_labels_is_learned(tmp_path: FilePath) -> None:
    """A teacher that calls everything the third class: of labelled images nothing else is left to learn."""
    data = tiny_dataset()
    third = np.zeros((3, 4, 6), dtype=np.float32)
    third[2] = 8.0
    grey = np.full((5, 64, 96, 3), 250, dtype=np.uint8)  # no picture of the split is that bright
    write_logits(lambda image: third, [data.train.images, grey], tmp_path / "said.npy")
    said = np.load(tmp_path / "said.npy")
    assert said.shape == (len(data.train) + 5, 3, 4, 6)
    said[: len(data.train)] = 0.0  # of the others it knows nothing
    network = build(SMALL, 3, seed=0)
    teaching, more = Teaching(said, 1.0, 1.0, "pixel"), More(grey, 4)
    schedule = replace(SCHEDULE, epochs=10)
    train(network, data.train, schedule, classes=3, device=CPU, teaching=teaching, more=more)
    teach(network, replace(data.train, images=grey, names=tuple("abcde")), tmp_path / "now.npy", device=CPU)
    assert (np.load(tmp_path / "now.npy").argmax(1) == 2).mean() > 0.9
