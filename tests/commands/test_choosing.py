"""Front and pick as a user types them: what they print, and what they refuse."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path

import pytest

from segsearch.store import open_store
from tests import fakes
from tests.commands.doors import assert_refused
from tests.conftest import Command

# ---- front


def test_front_prints_its_members_and_marks_the_knee(command: Command, filled: Path) -> None:
    said = command("front", filled)
    assert said.code == 0
    assert said.out.startswith("trial")
    assert len(re.findall(r"^ *\d+\*", said.out, re.MULTILINE)) == 1


def test_front_as_json_lists_all_trained_trials(command: Command, filled: Path) -> None:
    objects = json.loads(command("front", filled, "--json").out)
    assert len(objects) == 8
    for entry in objects:
        assert {"trial", "objectives", "candidate", "artifact", "on_front"} <= entry.keys()
        assert {"miou", "latency_ms", "size_bytes"} <= entry["objectives"].keys()
        assert Path(entry["artifact"]["path"]).name == f"{entry['artifact']['sha256']}.onnx"
        assert Path(entry["artifact"]["path"]).is_absolute()
    assert any(entry["on_front"] for entry in objects)


def test_front_under_a_limit_leaves_out_what_breaks_it(command: Command, filled: Path) -> None:
    everything = json.loads(command("front", filled, "--json").out)
    bound = sorted(entry["objectives"]["latency_ms"] for entry in everything)[3]
    objects = json.loads(command("front", filled, "--json", "--limit", f"latency_ms<={bound}").out)
    assert len(objects) == 8
    over = [entry for entry in objects if entry["objectives"]["latency_ms"] > bound]
    assert over
    assert all(entry["breaks"] and not entry["on_front"] for entry in over)
    assert any(entry["on_front"] for entry in objects)


def test_front_as_csv_says_the_same(command: Command, filled: Path) -> None:
    lines = list(csv.DictReader(io.StringIO(command("front", filled, "--csv").out)))
    objects = json.loads(command("front", filled, "--json").out)
    assert [int(line["trial"]) for line in lines] == [entry["trial"] for entry in objects]
    assert [float(line["latency_ms"]) for line in lines] == [entry["objectives"]["latency_ms"] for entry in objects]
    assert [line["on_front"] == "true" for line in lines] == [entry["on_front"] for entry in objects]


def test_front_tells_what_was_trained_to_the_end(command: Command, filled: Path, tmp_path: Path) -> None:
    plain = command("front", filled).out
    assert "Trained to the end" not in plain
    objects = json.loads(command("front", filled, "--json").out)
    assert {entry["final"] for entry in objects} == {None}
    first, second = (entry["trial"] for entry in objects[:2])
    with open_store(filled) as store:
        fakes.keep_final(store, "fake", first, 0.8, test=0.75)
    one = command("front", filled).out
    assert one.startswith(plain.rstrip("\n")), "the front stays as it is"
    assert "Trained to the end by `segsearch retrain`:" in one
    assert "1 file was judged on this study's test images so far" in one
    assert "The proxies' best" not in one
    with open_store(filled) as store:
        fakes.keep_final(store, "fake", second, 0.6)
    both = command("front", filled).out
    assert "The proxies' best, trial" in both
    assert "that no other of them beats as proxies" in both
    lines = list(csv.DictReader(io.StringIO(command("front", filled, "--csv").out)))
    assert [float(line["final_miou"]) for line in lines if line["final_miou"]] == pytest.approx([0.8, 0.6], abs=0.02)
    page = tmp_path / "front.html"
    assert command("front", filled, "--html", page).code == 0
    assert "Triangles are models trained to the end" in page.read_text()


def test_front_as_html_is_one_file(command: Command, filled: Path, tmp_path: Path) -> None:
    page = tmp_path / "front.html"
    assert command("front", filled, "--html", page).code == 0
    text = page.read_text()
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", text)
    assert "Front of fake" in text


# ---- pick


def test_pick_takes_the_knee_and_keeps_the_reason(command: Command, filled: Path) -> None:
    said = command("pick", filled)
    assert said.code == 0, said.err
    knee = int(re.findall(r"^ *(\d+)\*", command("front", filled).out, re.MULTILINE)[0])
    with open_store(filled) as store:
        (kept,) = store.picks("fake")
    assert kept.pick.trial == knee
    assert "knee" in kept.pick.reason
    assert "latency_ms" in kept.pick.reason
    model = re.findall(r"^Model +(.+)$", said.out, re.MULTILINE)[0]
    assert Path(model).is_file()


@pytest.mark.parametrize("verb", ["front", "pick"])
def test_an_upper_bound_on_quality_is_refused_with_both_readings(command: Command, filled: Path, verb: str) -> None:
    said = command(verb, filled, "--limit", "miou<=0.9")
    assert_refused(said, "--limit: miou<=0.9", "leaves out every model that is better", "miou>=0.9", "no limit")
    assert command(verb, filled, "--limit", "latency_ms>=0.001").code == 0


def test_pick_by_preference_limit_and_number(command: Command, filled: Path) -> None:
    objects = json.loads(command("front", filled, "--json").out)
    best = max(objects, key=lambda entry: entry["objectives"]["miou"])
    fastest = min(objects, key=lambda entry: entry["objectives"]["latency_ms"])
    bound = sorted(entry["objectives"]["latency_ms"] for entry in objects)[4]
    under = [entry for entry in objects if entry["objectives"]["latency_ms"] <= bound]
    best_under = max(under, key=lambda entry: entry["objectives"]["miou"])
    asked = [
        (["--prefer", "miou"], best),
        (["--prefer", "latency_ms"], fastest),
        (["--prefer", "miou", "--limit", f"latency_ms<={bound}"], best_under),
        (["--trial", objects[1]["trial"], "--reason", "the client's wish"], objects[1]),
    ]
    for arguments, expected in asked:
        assert f"Picked trial {expected['trial']}:" in command("pick", filled, *arguments).out
    with open_store(filled) as store:
        reasons = [row.pick.reason for row in store.picks("fake")]
    assert len(reasons) == len(asked)
    assert reasons[-1].startswith("the client's wish (chosen by hand")


# ---- mistakes


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_database_can_be_read_but_not_written(command: Command, filled: Path) -> None:
    filled.chmod(0o444)
    filled.parent.chmod(0o555)
    try:
        assert command("front", filled).code == 0
        assert_refused(command("pick", filled), "study.db")
    finally:
        filled.parent.chmod(0o755)


def test_an_artifact_that_is_gone_is_said(command: Command, filled: Path) -> None:
    (entry, *_) = [entry for entry in json.loads(command("front", filled, "--json").out) if entry["on_front"]]
    path = Path(entry["artifact"]["path"])
    kept = path.read_bytes()
    path.unlink()
    try:
        assert_refused(command("pick", filled, "--trial", entry["trial"]), path.name)
    finally:
        path.write_bytes(kept)


def test_a_pick_refuses_a_model_whose_bytes_changed(command: Command, filled: Path) -> None:
    front = json.loads(command("front", filled, "--json").out)
    entry = next(entry for entry in front if entry["on_front"])
    Path(entry["artifact"]["path"]).write_bytes(b"something else")
    assert_refused(command("pick", filled, "--trial", entry["trial"]), "the bytes it is named after")
