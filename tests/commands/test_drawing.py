"""`segsearch masks` as a user types it: what is printed, what is written, and that `new` takes it from there."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from PIL import Image

from segsearch.annotations import write
from tests.annotated import SCENE, as_json, box, coco_of, golden, picture, write_coco, write_labelme, write_yolo
from tests.commands.doors import assert_refused
from tests.conftest import Command

OVERLAPS = (
    "Overlaps 1 pixel in shapes of two classes (0.69%): smaller shapes over larger ones "
    "(--overlaps later: later shapes over earlier ones)"
)


def lines(command: Command, *arguments: object) -> list[str]:
    said = command("masks", *arguments)
    assert said.code == 0, said.err
    assert said.err == ""
    return said.out.splitlines()


def test_a_coco_file_becomes_masks_and_words(command: Command, tmp_path: Path) -> None:
    content = coco_of(SCENE)
    content["categories"].append({"id": 9, "name": "bike"})
    crowd = {"id": 8, "image_id": 1, "category_id": 3, "segmentation": [[0, 0, 8, 0, 8, 3, 0, 3]], "iscrowd": 1}
    content["annotations"] += [
        crowd,
        crowd | {"id": 9, "image_id": 0, "iscrowd": 0, "segmentation": [[1, 1]]},
        crowd | {"id": 10, "segmentation": [], "iscrowd": 0},
    ]
    content["images"].append({"id": 2, "file_name": "c.png", "height": 6, "width": 8})
    path, out = as_json(tmp_path / "instances.json", content), tmp_path / "out"
    printed = lines(command, path, "--out", out)
    assert printed[: printed.index("")] == [
        f"Format   COCO JSON: {path}",
        "Images   3; 1 without a shape, all background",
        "Classes  3 beside background; shares are of all pixels",
        "          0  background                          71.53%  what no shape holds",
        "          1  car                                  4.17%  1 shape",
        "          2  road                                 7.64%  1 shape",
        "          3  bike                                 0.00%  0 shapes",
        "        255  void (neither trained nor scored)   16.67%  1 shape",
        "Absent   no shape of bike",
        OVERLAPS,
        "Skipped  1 box without an outline, 1 polygon of fewer than three points",
        f"Wrote    {out}/masks (3 masks), {out}/classes.txt",
        f"Then     put the images, or a link to their folder, into {out}/images, named as the masks are.",
    ]
    assert (
        printed[-1]
        == f"  segsearch new {out} --out studies/out.toml   look at images and masks, write a study for them"
    )
    with Image.open(out / "masks" / "a.png") as mask:
        assert mask.mode == "L"
        np.testing.assert_array_equal(np.asarray(mask), golden("........ .111.... .111222. ...2222. ...2222. ........"))
    assert (out / "classes.txt").read_text() == "background\ncar\nroad\nbike\n"


def test_the_other_rule_and_void_classes(command: Command, tmp_path: Path) -> None:
    path = write_coco(tmp_path)
    printed = lines(command, path, "--out", tmp_path / "out", "--overlaps", "later", "--void", "road")
    assert any(line.startswith("Overlaps 1 pixel") and "(--overlaps smaller: " in line for line in printed)
    with Image.open(tmp_path / "out" / "masks" / "a.png") as mask:
        np.testing.assert_array_equal(np.asarray(mask), golden("........ .111.... .11vvvv. ...vvvv. ...vvvv. ........"))


def test_what_is_cut_off_or_without_area_is_said(command: Command, tmp_path: Path) -> None:
    shapes = [("car", box(-2, 0, 4, 2)), ("car", box(1.1, 1.1, 1.2, 1.2)), ("car", box(20, 0, 30, 2))]
    folder = write_labelme(tmp_path / "data", {"a.png": shapes})
    printed = lines(command, folder, "--out", tmp_path / "out")
    assert "Clipped  2 shapes that reached beyond the image" in printed
    assert "Unseen   2 shapes too small, or too far outside, to hold a pixel's centre" in printed
    assert any(line.startswith("Note     no labels.txt or classes.txt in") for line in printed)


def test_new_takes_what_was_drawn_by_the_commands_that_are_suggested(command: Command, tmp_path: Path) -> None:
    scene = {f"{number}.png": SCENE["a.png"] for number in range(5)}
    data, out = write_yolo(tmp_path / "data", scene), tmp_path / "out"
    for number, path in enumerate(sorted((data / "images").iterdir())):  # no two pictures alike
        pixels = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    printed = lines(command, data, "--out", out)
    assert printed[-2].split("   ")[0].strip() == f"ln -s {data / 'images'} {out / 'images'}"
    (out / "images").symlink_to(data / "images")
    said = command("new", out, "--out", tmp_path / "study.toml")
    assert said.code == 0, said.err
    assert "4 training and 1 validation images, most of them 8x6; 3 classes" in said.out
    again = lines(command, data, "--out", out, "--force")
    assert again[-1].strip().startswith(f"segsearch new {out}")
    assert not any("ln -s" in line for line in again)


def test_images_named_elsewhere_are_suggested(command: Command, tmp_path: Path) -> None:
    for name in SCENE:
        picture((tmp_path / "photos" / name).with_suffix(".JPG"))
    printed = lines(command, write_coco(tmp_path), "--out", tmp_path / "out", "--images", tmp_path / "photos")
    assert any(line.strip().startswith(f"ln -s {tmp_path / 'photos'} ") for line in printed)


def test_several_files_are_drawn_together(command: Command, tmp_path: Path) -> None:
    train, val = write_coco(tmp_path / "train"), write_coco(tmp_path / "val", {"c.png": SCENE["a.png"]})
    out = tmp_path / "out"
    printed = lines(command, train, val, "--out", out)
    assert printed[:2] == [f"Format   COCO JSON: {train}, {val}", "Images   3; 1 without a shape, all background"]
    assert f"Wrote    {out}/masks (3 masks), {out}/classes.txt, {out}/train.txt, {out}/val.txt" in printed
    assert (out / "val.txt").read_text() == "c\n"
    content = coco_of(SCENE)
    content["categories"].pop()
    content["annotations"].clear()
    as_json(val, content)
    said = command("masks", train, val, "--out", tmp_path / "other")
    assert_refused(said, "got 'background', 'road'\n", f"'background', 'car', 'road' in {train}")


@pytest.mark.parametrize(
    ("content", "words"),
    [("{", ("instances.json", "line 1", "export it again")), ("{}", ("Tried: COCO JSON", "correct the path"))],
)
def test_what_is_none_is_refused_in_two_lines(
    command: Command, tmp_path: Path, content: str, words: tuple[str, ...]
) -> None:
    path = tmp_path / "instances.json"
    path.write_text(content)
    assert_refused(command("masks", path, "--out", tmp_path / "out"), *words)
    assert not (tmp_path / "out").exists()


def test_a_name_that_steers_the_terminal_does_not(command: Command, tmp_path: Path) -> None:
    content = coco_of(SCENE)
    content["annotations"][0]["category_id"] = "\x1b[31m\n\n\nx"
    assert_refused(command("masks", as_json(tmp_path / "a.json", content), "--out", tmp_path / "out"), "category_id")


def test_a_stop_leaves_nothing_and_says_how_to_begin_again(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(write, "paint", stopped)
    path, out = write_coco(tmp_path), tmp_path / "my out"
    said = command("masks", path, "--out", out, "--void", "road", "--overlaps", "later", "--force")
    assert said.code == 130
    assert f"segsearch masks {path} --out '{out}' --overlaps later --void road --force" in said.err
    assert [one.name for one in tmp_path.iterdir()] == ["instances.json"]
