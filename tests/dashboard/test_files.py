"""Downloads: what the database names, by hash, and nothing else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from segsearch.store import open_store


def a_model(database: Path) -> tuple[int, str]:
    """A trained trial and the hash of its file."""
    with open_store(database, read_only=True) as store:
        trial = store.trials(store.study().name, states=["trained"])[0]
    return trial.number, (trial.artifact or "").removesuffix(".onnx")


def test_a_model_comes_whole_and_by_its_hash(client: Callable[..., Any], small: Path) -> None:
    _, sha256 = a_model(small)
    with client(small).get(f"/model/{sha256}.onnx") as answer:
        assert answer.status_code == 200
        assert hashlib.sha256(answer.data).hexdigest() == sha256
        assert "attachment" in answer.headers["Content-Disposition"]


def test_a_file_that_the_database_does_not_name_stays(client: Callable[..., Any], small: Path) -> None:
    other = small.parent / "artifacts" / ("ab" * 32 + ".onnx")
    other.write_bytes(b"secret")
    weights = next(path for path in (small.parent / "artifacts").iterdir() if path != other)
    visitor = client(small)
    assert visitor.get(f"/model/{'ab' * 32}.onnx").status_code == 404
    for path in (
        "/model/..%2f..%2fstudy.db",
        "/model/../study.db",
        f"/model/{'../' * 21}x.onnx",
        f"/model/{weights.name}.onnx",
    ):
        assert b"SQLite" not in visitor.get(path).data
        assert b"secret" not in visitor.get(path).data


def test_a_model_that_is_gone_or_changed_is_said(client: Callable[..., Any], small: Path) -> None:
    _, sha256 = a_model(small)
    file = small.parent / "artifacts" / f"{sha256}.onnx"
    file.write_bytes(b"something else")
    visitor = client(small)
    answer = visitor.get(f"/model/{sha256}.onnx")
    assert answer.status_code == 409
    assert "it was changed" in answer.get_data(as_text=True)
    file.unlink()
    assert "is gone" in visitor.get(f"/model/{sha256}.onnx").get_data(as_text=True)
    assert visitor.get("/models.csv").status_code == 200


def test_a_trial_as_json(client: Callable[..., Any], small: Path) -> None:
    trial, sha256 = a_model(small)
    found = json.loads(client(small).get(f"/trial/{trial}.json").data)
    assert found["trial"] == trial
    assert found["artifact"]["sha256"] == sha256
    assert client(small).get("/trial/99999.json").status_code == 404


def test_the_table_as_csv_under_the_pages_limits(client: Callable[..., Any], small: Path) -> None:
    plain = client(small).get("/models.csv").get_data(as_text=True).splitlines()
    tight = client(small).get("/models.csv?limit=latency_ms<=5").get_data(as_text=True).splitlines()
    assert len(plain) == len(tight) > 20
    assert sum(",true," in line for line in tight) <= sum(",true," in line for line in plain)
    assert any("latency_ms<=5" in line for line in tight)


def test_a_database_that_is_gone_is_said_and_the_server_lives_on(client: Callable[..., Any], small: Path) -> None:
    visitor = client(small.parent / "nowhere.db")
    for path in ("/models.csv", f"/model/{'0' * 64}.onnx", "/trial/1.json", "/masks/picture/0.png"):
        assert visitor.get(path).status_code == 409
        assert visitor.get("/").status_code == 200
