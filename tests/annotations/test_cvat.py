"""CVAT for images: layers, boxes that are turned, masks, labels, and what no XML file may declare."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segsearch.annotations import Asked, read_annotations
from segsearch.errors import DataError
from tests.annotated import cvat_image, cvat_of, drawn, golden, painted

POLYGON = '<polygon label="car" points="1,1;4,1;4,3;1,3" z_order="0"/>'


def file_of(tmp_path: Path, inner: str, *, labels: tuple[str, ...] = ("car", "road")) -> Path:
    path = tmp_path / "annotations.xml"
    path.write_text(cvat_of(cvat_image(inner), labels=labels))
    return path


def test_higher_layers_lie_over_lower_ones_whatever_their_order(tmp_path: Path) -> None:
    high = '<polygon label="road" points="0,0;8,0;8,2;0,2" z_order="1"/>'
    low = '<polygon label="car" points="0,1;8,1;8,3;0,3" z_order="-1"/>'
    for inner in (high + low, low + high):
        np.testing.assert_array_equal(
            painted(file_of(tmp_path, inner))["a"].mask, golden("22222222 22222222 11111111 ........ ........ ........")
        )
    same = file_of(tmp_path, (high + low).replace('z_order="1"', "").replace('z_order="-1"', 'z_order="0"'))
    np.testing.assert_array_equal(
        painted(same)["a"].mask, golden("22222222 11111111 11111111 ........ ........ ........")
    )


def test_a_box_and_a_turned_one(tmp_path: Path) -> None:
    box = '<box label="car" xtl="1" ytl="2" xbr="7" ybr="4" {}/>'
    np.testing.assert_array_equal(
        painted(file_of(tmp_path, box.format("")))["a"].mask,
        golden("........ ........ .111111. .111111. ........ ........"),
    )
    np.testing.assert_array_equal(
        painted(file_of(tmp_path, box.format('rotation="90.0"')))["a"].mask,
        golden("...11... ...11... ...11... ...11... ...11... ...11..."),
    )


def test_an_ellipse(tmp_path: Path) -> None:
    ellipse = '<ellipse label="car" cx="4" cy="3" rx="3" ry="1"/>'
    np.testing.assert_array_equal(
        painted(file_of(tmp_path, ellipse))["a"].mask, golden("........ ........ .111111. .111111. ........ ........")
    )


def test_a_mask_goes_along_the_rows_of_its_box(tmp_path: Path) -> None:
    mask = '<mask label="road" rle="1, 2, 3, 1, 1, 1" left="5" top="1" width="3" height="3" z_order="0"/>'
    found = painted(file_of(tmp_path, mask))["a"]
    np.testing.assert_array_equal(found.mask, golden("........ ......22 ........ .....2.2 ........ ........"))
    assert found.beyond == 0


def test_a_mask_that_reaches_beyond_is_cut_off(tmp_path: Path) -> None:
    mask = '<mask label="road" rle="0, 9" left="-2" top="4" width="3" height="3"/>'
    found = painted(file_of(tmp_path, mask))["a"]
    np.testing.assert_array_equal(found.mask, golden("........ ........ ........ ........ 2....... 2......."))
    assert found.beyond == 1


def test_classes_are_the_tasks_labels_in_its_order(tmp_path: Path) -> None:
    legend = read_annotations(file_of(tmp_path, POLYGON, labels=("road", "car")), Asked())[1].legend
    assert legend.classes == ("background", "road", "car")


def test_without_labels_classes_are_those_of_the_shapes(tmp_path: Path) -> None:
    legend = read_annotations(file_of(tmp_path, POLYGON, labels=()), Asked())[1].legend
    assert legend.classes == ("background", "car")


def test_parts_of_a_skeleton_are_no_classes(tmp_path: Path) -> None:
    path = file_of(tmp_path, POLYGON)
    path.write_text(
        path.read_text().replace("</labels>", "<label><name>knee</name><parent>body</parent></label></labels>")
    )
    assert "knee" not in read_annotations(path, Asked())[1].legend.classes


@pytest.mark.parametrize("kind", ["polyline", "points", "cuboid", "skeleton", "tag"])
def test_what_has_no_area_is_counted(kind: str, tmp_path: Path) -> None:
    (image,) = drawn(file_of(tmp_path, f'<{kind} label="car" points="1,1;2,2"/>{POLYGON}'))
    assert (len(image.shapes), image.skipped) == (1, {kind: 1})


@pytest.mark.parametrize(
    ("inner", "words"),
    [
        (
            '<polygon label="bike" points="1,1"/>',
            r"image 0: labels must be the task's, got 'bike' beside 'car', 'road'",
        ),
        ('<polygon points="1,1"/>', r"image 0, shape 1: a shape must have a label, got <polygon> without"),
        ('<star label="car"/>', r"shape 1: a shape must be a polygon, box, ellipse or mask .*, got <star>"),
        ('<polygon label="car" points="1,1;2"/>', r"points must be x,y;x,y;..., got '1,1;2'"),
        ('<polygon label="car" points="1,1;2,b"/>', r"a coordinate must be a finite number, got 'b'"),
        ('<box label="car" xtl="1" ytl="1" xbr="4"/>', r"ybr must be a finite number, got None"),
        (
            '<box label="car" xtl="1" ytl="1" xbr="4" ybr="2" rotation="x"/>',
            r"rotation must be a finite number, got 'x'",
        ),
        ('<polygon label="car" points="1,1" z_order="0.5"/>', r"z_order must be a whole number, got '0.5'"),
        ('<mask label="car" rle="1, 2" left="0" top="0" width="2" height="2"/>', r"add up to the 2x2 pixels"),
        (
            '<mask label="car" rle="1, x" left="0" top="0" width="2" height="2"/>',
            r"rle must be whole numbers .* '1, x'",
        ),
        ('<mask label="car" left="0" top="0" width="2" height="2"/>', r"rle must be whole numbers .* 'None'"),
        ('<mask label="car" rle="4" left="0" top="0" width="1e9" height="1e9"/>', r"1 to 65535 pixels a side"),
    ],
)
def test_a_shape_that_is_none_is_refused(inner: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        drawn(file_of(tmp_path, inner))


def test_a_video_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text('<annotations><track id="0" label="car"/></annotations>')
    with pytest.raises(DataError, match=r"must be CVAT for images 1\.1, got tracks of a video"):
        drawn(path)


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE annotations [<!ENTITY a "b">]>',
        '<!DOCTYPE annotations [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE annotations SYSTEM "http://127.0.0.1/a.dtd">',
        "<!DOCTYPE annotations>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_file_that_declares_anything_is_refused(head: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    text = cvat_of(cvat_image(POLYGON)).replace("utf-8", encoding).replace("<annotations>", f"{head}<annotations>")
    path.write_text(text, encoding=encoding)
    with pytest.raises(DataError, match=r"a\.xml: an XML file must declare nothing, got a DOCTYPE on line 2"):
        drawn(path)
    path.write_text(text.replace(head, ""), encoding=encoding)
    assert len(drawn(path)) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"annotations must be a file with something in it, got an empty one"),
        ("<annotations>\n<image", r"an XML file must be whole, got .* on line 2"),
        ("no xml", r"an XML file must be whole, got syntax error on line 1"),
        ("<annotations>\n<image>&lol;</image></annotations>", r"got undefined entity .*on line 2"),
        (
            "<?xml version='1.0' encoding='klingon'?><annotations/>",
            r"must be in a known encoding, got: unknown encoding: klingon",
        ),
    ],
)
def test_a_broken_file_is_refused_with_its_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        drawn(path)


def test_a_broken_end_behind_much_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(cvat_of("\n".join(cvat_image(POLYGON, f"{number}.png") for number in range(2000)))[:-20])
    with pytest.raises(DataError, match=r"an XML file must be whole, got .* on line 2002"):
        drawn(path)


def test_two_files_in_a_folder_are_not_chosen_between(tmp_path: Path) -> None:
    file_of(tmp_path, POLYGON)
    assert len(drawn(tmp_path)) == 1
    (tmp_path / "job.xml").write_text(cvat_of(cvat_image(POLYGON)))
    with pytest.raises(DataError, match=r"one CVAT file, got annotations\.xml and job\.xml; name the file"):
        drawn(tmp_path)
