"""Downloads: models by hash, as the database names them; nothing in an address is ever a path."""

from __future__ import annotations

import json

import flask

from segsearch.dashboard.reading import Reader, Seen
from segsearch.dashboard.state import State, from_address
from segsearch.errors import UserError
from segsearch.judging.tables import as_csv, as_objects


def serve_files(server: flask.Flask, reader: Reader) -> None:
    """Add the addresses of what can be downloaded."""

    def model(sha256: str) -> flask.typing.ResponseReturnValue:
        seen = seen_of(reader)
        name = seen.artifact(sha256)
        if name is None:
            flask.abort(404, "The database names no model of that hash.")
        path = seen.study.artifacts.verified(name)
        return flask.send_file(path, "application/octet-stream", as_attachment=True, download_name=name)

    def about(trial: int) -> flask.typing.ResponseReturnValue:
        state = _state()
        found = next(
            (one for one in as_objects(reader.report(seen_of(reader), state.machine)) if one["trial"] == trial), None
        )
        if found is None:
            flask.abort(404, "No trained trial has that number.")
        return _attached(json.dumps(found, indent=2) + "\n", f"trial-{trial}.json", "application/json")

    def table() -> flask.typing.ResponseReturnValue:
        state, seen = _state(), seen_of(reader)
        text = as_csv(reader.report(seen, state.machine, state.bounds))
        return _attached(text, f"{seen.study.name}.csv", "text/csv")

    def complain(error: UserError) -> flask.typing.ResponseReturnValue:
        return flask.Response(f"{error}\n", status=409, mimetype="text/plain")

    server.add_url_rule("/model/<string(length=64):sha256>.onnx", "model", model)
    server.add_url_rule("/trial/<int:trial>.json", "about", about)
    server.add_url_rule("/models.csv", "table", table)
    server.register_error_handler(UserError, complain)


def _state() -> State:
    return from_address(flask.request.query_string.decode(errors="replace"))


def seen_of(reader: Reader) -> Seen:
    """The study that the request names; answers 409 where it cannot be read."""
    looked = reader.look(_state().study)
    if looked.seen is None:
        flask.abort(409, looked.wrong or "Name the study.")
    return looked.seen


def _attached(text: str, name: str, kind: str) -> flask.Response:
    return flask.Response(text, mimetype=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})
