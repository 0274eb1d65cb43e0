"""What a teacher says, and who learns from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path as FilePath

import numpy as np

from segsearch.compression.distill import Teaching
from segsearch.networks import Network, build
from segsearch.training.teacher import teach
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
