from __future__ import annotations

from pathlib import Path

import pytest

from segsearch.errors import DataError
from segsearch.readings.names import find_class_lists, means_background, means_void, plain_list, read_class_list
from segsearch.readings.types import ClassList


def _read(folder: Path, name: str, content: str | bytes) -> ClassList:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    found = read_class_list(path)
    assert found.file == path
    return found


def _refused(folder: Path, name: str, content: str | bytes) -> str:
    with pytest.raises(DataError) as caught:
        _read(folder, name, content)
    message = str(caught.value)
    assert message.startswith(str(folder / name))
    assert message.count("\n") <= 1
    return message


@pytest.mark.parametrize("name", ["classes.txt", "labels.txt", "codes.txt", "obj.names", "label_names.txt", "mine.lst"])
def test_plain_names_keep_their_order_and_have_no_values(tmp_path: Path, name: str) -> None:
    found = _read(tmp_path, name, "wall\nbuilding\ntraffic light\n")
    assert found == ClassList(tmp_path / name, ("wall", "building", "traffic light"))


def test_a_byte_order_mark_and_line_ends_of_windows_are_no_part_of_names(tmp_path: Path) -> None:
    found = _read(tmp_path, "classes.txt", b"\xef\xbb\xbfwall \r\n caf\xc3\xa9\t\r\n\r\n  \r\n")
    assert found.names == ("wall", "café")


@pytest.mark.parametrize(
    ("content", "names", "values"),
    [
        ("0: background\n1: cat\n255: void\n", ("background", "cat", "void"), (0, 1, 255)),
        ("0,background\n1,wall, inner\n", ("background", "wall, inner"), (0, 1)),
        ("7\troad\n8\tsidewalk\n", ("road", "sidewalk"), (7, 8)),
        ("background: 0\ncat: 1\n", ("background", "cat"), (0, 1)),
        ("0 wall\n1 building\n", ("wall", "building"), (0, 1)),
        ("1 wall\n2 building\n", ("wall", "building"), (1, 2)),
        ("wall 0\ntraffic light 1\n", ("wall", "traffic light"), (0, 1)),
        ("-1: ignore\n0: cat\n", ("ignore", "cat"), (255, 0)),
    ],
)
def test_numbered_lines_give_the_values(
    tmp_path: Path, content: str, names: tuple[str, ...], values: tuple[int, ...]
) -> None:
    found = _read(tmp_path, "classes.txt", content)
    assert (found.names, found.values) == (names, values)


@pytest.mark.parametrize(
    "content",
    ["1 euro\n2 euro\n", "2 cent\n5 cents\n", "lane 1\nlane 2\n", "1 euro\n2 euros\nfake\n", "type 3\nkind 9\n"],
)
def test_numbers_that_belong_to_names_are_no_values(tmp_path: Path, content: str) -> None:
    found = _read(tmp_path, "classes.txt", content)
    assert found.values is None
    assert list(found.names) == content.splitlines()


def test_comments_are_no_part_of_names(tmp_path: Path) -> None:
    content = "#names\n# of roads\nroad # asphalt, mostly\ncar\t#all kinds\nC# code\nlane #2\n#ff0000\nred #00ff00\n"
    found = _read(tmp_path, "classes.txt", content)
    assert found.names == ("road", "car", "C# code", "lane #2", "#ff0000", "red #00ff00")
    found = _read(tmp_path, "classes.txt", "0: ground # none\n1: road  #\n#2: car\n")
    assert (found.names, found.values) == (("ground", "road"), (0, 1))
    assert "line 2: classes must differ" in _refused(tmp_path, "classes.txt", "road\nroad # too\n")


def test_labelme_counts_from_minus_one(tmp_path: Path) -> None:
    found = _read(tmp_path, "labels.txt", "__ignore__\n_background_\ncat\ndog\n")
    assert found.names == ("__ignore__", "_background_", "cat", "dog")
    assert found.values == (255, 0, 1, 2)
    assert found.void == {0}
    assert _read(tmp_path, "labels.txt", "_background_\ncat\n").values is None


def test_cvat_labelmap_has_colours(tmp_path: Path) -> None:
    head = "# label:color_rgb:parts:actions\n"
    found = _read(tmp_path, "labelmap.txt", head + "background:0,0,0::\ncat:48,112,32::\nman:1,2,3:hand,foot:running\n")
    assert found.names == ("background", "cat", "man")
    assert found.colours == (0x000000, 0x307020, 0x010203)
    assert found.values is None
    assert _read(tmp_path, "labelmap.txt", head + "background:::\ncat:::\n").colours is None
    assert "line 3: a class must have a colour" in _refused(tmp_path, "labelmap.txt", head + "a:0,0,0::\nb:::\n")
    assert "line 2: a class must have a colour" in _refused(tmp_path, "labelmap.txt", head + "a:::\nb:0,0,0::\n")


def test_roboflow_writes_a_blank_after_its_commas(tmp_path: Path) -> None:
    found = _read(tmp_path, "_classes.csv", "Pixel Value, Class\n0, background\n1, class one\n")
    assert (found.names, found.values, found.colours) == (("background", "class one"), (0, 1), None)


@pytest.mark.parametrize(
    "content",
    [
        "name,r,g,b\nUrban land,0,255,255\nunknown,0,0,0\n",
        "name, r, g, b\nUrban land, 0, 255, 255\nunknown, 0, 0, 0\n",
        '\ufeffr,g,b,class\n0,255,255,"Urban land"\n0,0,0,unknown\n',
        "Name;Red;Green;Blue\r\nUrban land;0;255;255\r\nunknown;0;0;0\r\n",
        "Urban land,0,255,255\nunknown,0,0,0\n",
    ],
)
@pytest.mark.parametrize("name", ["class_dict.csv", "class_dict_seg.csv"])
def test_class_dict_gives_colours_by_its_header(tmp_path: Path, name: str, content: str) -> None:
    found = _read(tmp_path, name, content)
    assert (found.names, found.colours) == (("Urban land", "unknown"), (0x00FFFF, 0x000000))


def test_an_open_quote_swallows_no_lines(tmp_path: Path) -> None:
    message = _refused(tmp_path, "class_dict.csv", 'name,r,g,b\n"cat,0,0,1\ndog,0,0,2\n')
    assert "line 2: a class must have 4 columns" in message


@pytest.mark.parametrize("content", ["64 128 64\tAnimal\n0 0 0\t\tVoid\n", "Animal 64 128 64\nVoid 0 0 0\n"])
def test_camvid_label_colors(tmp_path: Path, content: str) -> None:
    found = _read(tmp_path, "label_colors.txt", content)
    assert (found.names, found.colours, found.void) == (("Animal", "Void"), (0x408040, 0x000000), {1})


def test_ade20k_object_info_counts_from_one_and_shortens_names(tmp_path: Path) -> None:
    content = (
        "Idx\tRatio\tTrain\tVal\tName\n1\t0.1576\t11664\t1172\twall\n2\t0.1072\t6046\t612\tbuilding, edifice\n"
        "22 \t0.0074\t709\t75\twater;h2o\n59\t0.0015\t139\t18\tscreen door, screen\n"
        "64\t0.1\t3\t6\tscreen, silver screen\n"
        "131\t0.0004\t108\t13\tscreen, projection screen\n"
    )
    found = _read(tmp_path, "objectInfo150.txt", content)
    assert found.names == ("wall", "building", "water", "screen door", "screen", "screen, projection screen")
    assert found.values == (1, 2, 22, 59, 64, 131)


@pytest.mark.parametrize(
    ("name", "content", "names", "values"),
    [
        ("dataset.json", '{"labels": {"b": 2, "background": 0, "a": 1}}', ("background", "a", "b"), (0, 1, 2)),
        ("dataset.json", '{"labels": {"0": "background", "10": "b", "2": "a"}}', ("background", "a", "b"), (0, 2, 10)),
        ("dataset.json", '{"labels": {"background": "0", "ignore": 3}}', ("background", "ignore"), (0, 3)),
        ("classes.json", '["wall", "sky"]', ("wall", "sky"), None),
        ("labels.json", '{"wall": 1, "sky": 2}', ("wall", "sky"), (1, 2)),
        ("id2label.json", '{"0": "wall", "1": "sky"}', ("wall", "sky"), (0, 1)),
    ],
)
def test_json(tmp_path: Path, name: str, content: str, names: tuple[str, ...], values: tuple[int, ...] | None) -> None:
    found = _read(tmp_path, name, content)
    assert (found.names, found.values) == (names, values)


def test_json_that_cannot_be_a_list(tmp_path: Path) -> None:
    assert "(a region)" in _refused(tmp_path, "dataset.json", '{"labels": {"background": 0, "whole": [1, 2]}}')
    assert "'a' twice" in _refused(tmp_path, "classes.json", '{"a": 0, "a": 1}')
    assert "valid JSON" in _refused(tmp_path, "classes.json", '{"a": 0,')
    assert "valid JSON" in _refused(tmp_path, "classes.json", "[" * 100_000)
    assert "something else" in _refused(tmp_path, "labels.json", '{"images": [], "annotations": []}')


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("classes.txt", "", "an empty file"),
        ("classes.txt", " \n\n", "an empty file"),
        ("classes.txt", "a\n\nb\n", "line 2: a class must have a name"),
        ("classes.txt", "a\nb\na\n", "line 3: classes must differ, got 'a' on line 1"),
        ("classes.txt", "0: a\n1: b\nc\n2: d\n", "line 3: a class must have its number"),
        ("classes.txt", "0: a\n70000: b\n", "line 2: a class must have a value of 0 to 65535"),
        ("class_dict.csv", "name,r,g,b\na,0,0,256\n", "line 2: a class must have a colour of three numbers"),
        ("class_dict.csv", "name,r,g,b\na,0,0,1\nb,0,0,1\n", "line 3: classes must differ, got 'colour 0, 0, 1' on"),
        ("class_dict.csv", "name,r,g,b\na,0,0\n", "line 2: a class must have 4 columns"),
        ("class_dict.csv", "name,r,g,b\n,0,0,1\n", "line 2: a class must have a name"),
        ("_classes.csv", "Pixel Value, Class\n0, a\n0, b\n", "line 3: classes must differ, got 'value 0' on line 2"),
        ("classes.txt", b"caf\xe9\n", "UTF-8"),
        ("classes.txt", "wall\nsky\n".encode("utf-16"), "UTF-8"),
        ("classes.txt", "wall\nsky\n".encode("utf-16-le"), "zero bytes"),
        ("train.txt", "a/1.jpg b/1.png\na/2.jpg b/2.png\n", "something else"),
        ("classes.txt", "a" * (1 << 20 | 1), "at most 1 MiB"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    assert said in _refused(tmp_path, name, content)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_class_list(tmp_path / "classes.txt")


def test_lists_are_found_by_their_names_and_others_left(tmp_path: Path) -> None:
    contents = {
        "train.txt": "a\nb\n",
        "README.txt": "hello\n",
        "Classes.TXT": "a\nb\n",
        "train/_classes.csv": "Pixel Value, Class\n0, a\n1, b\n",
        "labels.txt": "images/1.jpg\nimages/2.jpg\n",
        "labels.json": '{"images": [], "annotations": [], "categories": []}',
        "dataset.json": '{"name": "anything"}',
        "classes.json": "[" + '"a", ' * 300_000 + '"b"]',
    }
    paths = []
    for name, content in contents.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        paths.append(path)
    assert [found.file.name for found in find_class_lists(paths)] == ["Classes.TXT", "_classes.csv"]
    (tmp_path / "Classes.TXT").write_text("a\na\n")
    with pytest.raises(DataError, match=r"Classes.TXT, line 2"):
        find_class_lists(paths)


@pytest.mark.parametrize(
    "name",
    ["__ignore__", "Void", "UNLABELLED", "un-labeled", "ignore", "ignored", "ignore_index", "don't care", "Don’t_Care"],
)
def test_names_that_mean_not_labelled(name: str) -> None:
    assert means_void(name)


@pytest.mark.parametrize("name", ["undefined", "_background_", "background", "other", "voided", "ignorance", "unknown"])
def test_names_that_are_classes(name: str) -> None:
    assert not means_void(name)
    assert means_background(name) == ("background" in name)


def test_names_of_the_command_line() -> None:
    assert plain_list(("void", " a"), Path("--names")) == ClassList(Path("--names"), ("void", "a"), void=frozenset({0}))
    with pytest.raises(DataError, match="name 2: classes must differ"):
        plain_list(("a", "a"), Path("--names"))
