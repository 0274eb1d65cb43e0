"""Several files of masks for one image: one file an object or a class is never read alone unasked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segsearch.errors import DataError
from tests.survey.test_chosen import chosen, masks
from tests.survey.trees import save, scene


def objects(root: Path, image: str, mask: str, *, counts: tuple[int, ...] = (2, 3, 4, 2, 3, 2)) -> None:
    """One file an object: {0} is the image's name, {1} the object's number, {2} a name of its own."""
    for seed, count in enumerate(counts):
        pixels, label = scene(seed)
        name = f"{seed * 7919 + 12345:08x}"
        save(root / image.format(name), pixels)
        for number in range(count):
            random = f"{(seed * 31 + number + 1) * 104729:08x}"
            object_ = np.roll((label == number % 2 + 1).astype(np.uint8), 3 * number)
            save(root / mask.format(name, number, random), object_)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{0}/images/{0}.png", "{0}/masks/{2}.png"),
        ("stage1_train/{0}/images/{0}.png", "stage1_train/{0}/masks/{2}.png"),
        ("{0}/{0}.png", "{0}/masks/{2}.png"),
        ("images/{0}.png", "masks/{0}/{2}.png"),
        ("images/{0}.png", "masks/{0}-{2}.png"),
    ],
)
def test_one_file_an_object_is_called_so(tmp_path: Path, image: str, mask: str) -> None:
    objects(tmp_path, image, mask)
    with pytest.raises(DataError, match=r"got 4 files for \S*00006e17\.png, such as .*: one file an object, it seems"):
        chosen(tmp_path)


@pytest.mark.parametrize(
    ("image", "mask", "choice"),
    [
        ("images/{0}.png", "masks/{0}_{1}.png", "_0"),
        ("images/{0}.png", "masks/{0}/{0}_{1}.png", "_0"),
        ("images/{0}.png", "masks/{0}/{1}.png", "0"),
        ("{0}/images/{0}.png", "{0}/masks/{1}.png", "0"),
        ("{0}/image.png", "{0}/mask_{1}.png", "mask_0"),
    ],
)
@pytest.mark.parametrize("counts", [(2, 3, 4, 2, 3, 2), (1, 1, 1, 2, 1, 1)])
def test_numbered_files_are_asked_for_however_few(
    tmp_path: Path, image: str, mask: str, choice: str, counts: tuple[int, ...]
) -> None:
    objects(tmp_path, image, mask, counts=counts)
    with pytest.raises(DataError) as caught:
        chosen(tmp_path)
    assert f"--masks {choice}" in str(caught.value)
    assert "raw those of an image into one mask" in str(caught.value)
    assert len(chosen(tmp_path, masks=choice).pairs) == 6


def test_a_second_lesion_is_not_lost(tmp_path: Path) -> None:
    """As ultrasound images of breasts have them: `benign (4)_mask_1.png` is the second of one image."""
    for kind in ("benign", "malignant"):
        for number in range(1, 9):
            image, label = scene(number + 50 * (kind == "benign"))
            save(tmp_path / f"{kind}/{kind} ({number}).png", image)
            save(tmp_path / f"{kind}/{kind} ({number})_mask.png", (label == 1).astype(np.uint8))
    assert len(chosen(tmp_path).pairs) == 16
    save(tmp_path / "benign/benign (4)_mask_1.png", (scene(54)[1] == 2).astype(np.uint8))
    with pytest.raises(DataError, match=r"\(4\)_mask_1\.png: an image must have one mask, got benign/benign "):
        chosen(tmp_path)
    assert len(chosen(tmp_path, masks="_mask").pairs) == 16


def test_masks_of_other_images_are_no_second_ones(tmp_path: Path) -> None:
    for number in range(1, 12):
        image, label = scene(number)
        save(tmp_path / f"images/frame_{number}.png", image)
        save(tmp_path / f"masks/frame_{number}.png", label)
    (tmp_path / "images/frame_11.png").unlink()
    found = chosen(tmp_path)
    assert len(found.pairs) == 10
    assert found.notes == ("1 masks have no image and are not read, such as masks/frame_11.png.",)


# ---- one folder a picture


@pytest.mark.parametrize(
    "folder", ["image_{}", "{:03d}", "mask_{}", "all/image_{}", "image_{}/x", "img{}", "scan_images_{}"]
)
@pytest.mark.parametrize(("image", "mask"), [("img.png", "label.png"), ("image.jpg", "mask.png"), ("a.jpg", "b.png")])
def test_folders_of_one_picture_may_be_called_images(tmp_path: Path, folder: str, image: str, mask: str) -> None:
    for seed in range(6):
        pixels, label = scene(seed)
        save(tmp_path / folder.format(seed) / image, pixels)
        save(tmp_path / folder.format(seed) / mask, label)
    found = chosen(tmp_path)
    assert masks(found) == [f"{folder.format(seed)}/{mask}" for seed in range(6)]
    assert [pair.image.inner for pair in found.pairs] == [f"{folder.format(seed)}/{image}" for seed in range(6)]


def test_one_image_and_one_mask_a_folder_go_together(tmp_path: Path) -> None:
    objects(tmp_path, "{0}/images/{0}.png", "{0}/masks/{2}.png", counts=(1,) * 6)
    found = chosen(tmp_path)
    assert all(pair.image.rest == pair.mask.rest for pair in found.pairs)
    assert found.notes[0].startswith("Names of images and masks differ: 0000abf5/images/0000abf5.png goes with")


def test_numbered_folders_of_images_beside_folders_of_masks_are_roles(tmp_path: Path) -> None:
    for part in (1, 2):
        for seed in range(4):
            image, label = scene(seed + 10 * part)
            save(tmp_path / f"images_{part}/{part}{seed:03d}.png", image)
            save(tmp_path / f"masks_{part}/{part}{seed:03d}.png", label)
    assert masks(chosen(tmp_path)) == [f"masks_{part}/{part}{seed:03d}.png" for part in (1, 2) for seed in range(4)]
