"""The second tab: one model, its network, its scores, where its time goes and where its numbers come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import dash_mantine_components as dmc
from dash import MATCH, Dash, Input, Output, State, html, no_update

from segsearch.dashboard.explained import explained_cards, explained_in
from segsearch.dashboard.finals import cards_of, version_of
from segsearch.dashboard.limits import in_unit
from segsearch.dashboard.parts import card, command, facts, figure_of, heading, moment, note
from segsearch.dashboard.reading import Reader
from segsearch.dashboard.scene import Scene, machine_words, set_scene
from segsearch.dashboard.state import State as View
from segsearch.dashboard.state import to_address
from segsearch.errors import SegsearchError, UserError
from segsearch.evidence.images import NoSpread
from segsearch.evidence.layers import Explained
from segsearch.evidence.objectives import OBJECTIVES
from segsearch.evidence.timing import Timing
from segsearch.evidence.types import Evidence
from segsearch.figures.model import architecture_figure
from segsearch.figures.profile import profile_figure
from segsearch.figures.scores import class_iou_figure, confusion_figure, losses_figure
from segsearch.judging.class_names import class_names
from segsearch.judging.compare import neighbours, next_words
from segsearch.judging.fronts import Row
from segsearch.judging.words import describe, left_lines, trial_names, with_interval
from segsearch.latency.room import machine_room
from segsearch.store import StageRow
from segsearch.store.location import hides_password, shown
from segsearch.terminal import quoted

if TYPE_CHECKING:  # a page that profiles nothing loads no runtime
    from segsearch.runtimes import Operation

PROFILED_RUNS = 20


@dataclass
class Profiles:
    """What was measured layer by layer on this machine since the server began, by the file's hash."""

    _kept: dict[tuple[str, int], tuple[Operation, ...]] = field(default_factory=dict)

    def known(self, row: Row, threads: int) -> tuple[Operation, ...] | None:
        return self._kept.get((row.sha256, threads))

    def measure(self, scene: Scene, row: Row) -> tuple[Operation, ...]:
        """Run the file under the profiler, alone on this machine. Raises `SegsearchError`."""
        from segsearch.runtimes import RUNTIMES

        path = scene.seen.study.artifacts.verified(row.artifact.name)
        threads = scene.seen.study.study.timing.threads
        with machine_room().quiet():
            found = tuple(RUNTIMES["onnxruntime"].profile(path, threads=threads, runs=PROFILED_RUNS))
        self._kept[row.sha256, threads] = found
        return found


def model_of(scene: Scene, reader: Reader, profiles: Profiles, *, ground: str, shown: str | None) -> tuple[Any, Any]:
    """The panel and its version; neither where this very panel is shown already, no version where it is an error."""
    row = focused(scene)
    near = [other.trial if other else None for other in neighbours(scene.report, row)] if row else []
    wanted: list[object] = [scene.seen.study.name, scene.report.machine, *scene.state.selected, near, scene.picked]
    if row is not None:
        wanted += [row.sha256, sorted(row.values.items()), row.on_front, row.broken, row.tied, row.confirmed]
        wanted += [scene.seen.explained.get(row.artifact.name), scene.suggested, *version_of(scene, row)]
    version = "|".join(map(str, [*wanted, scene.state.bounds, ground]))
    if version == shown:
        return no_update, no_update
    if row is None:
        hint = "Select one on the first tab: click its point, or its row in the table."
        return [note("No model selected", hint)], version
    try:
        with reader.open() as store:
            evidence = store.evidence(scene.seen.study.name, row.trial, machine=row.machine)
            stages = store.stages(scene.seen.study.name, row.trial)
            explained = explained_in(store, scene, row)
    except (UserError, ValueError, TypeError, KeyError) as error:
        return [note("This model cannot be read just now", str(error), kind="wrong")], None
    return _panel(scene, reader, profiles, row, evidence, stages, explained, dark=ground == "dark"), version


def connect_profile(app: Dash, reader: Reader, profiles: Profiles) -> None:
    """Where the time of the model goes is measured when somebody asks."""

    @app.callback(
        Output({"type": "profile", "trial": MATCH}, "children"),
        Input({"type": "profile-run", "trial": MATCH}, "n_clicks"),
        State("address", "search"),
        State("ground", "data"),
        prevent_initial_call=True,
    )
    def on_profile(clicks: int | None, search: str | None, ground: str | None) -> Any:
        scene, _ = set_scene(reader, search)
        row = focused(scene) if scene else None
        if not clicks or scene is None or row is None:
            return no_update
        try:
            return _profile(profiles.measure(scene, row), dark=ground == "dark")
        except SegsearchError as error:
            return note("The file could not be profiled", str(error), kind="wrong")


def focused(scene: Scene) -> Row | None:
    """The model that is looked at: the newest of the selected ones that is still there."""
    return scene.selected[-1] if scene.selected else None


def _panel(
    scene: Scene,
    reader: Reader,
    profiles: Profiles,
    row: Row,
    evidence: Evidence | None,
    stages: Sequence[StageRow],
    explained: Explained | None,
    *,
    dark: bool,
) -> list[Any]:
    size = (scene.seen.study.study.data.height, scene.seen.study.study.data.width)
    names = class_names(scene.seen.study)
    classes = len(evidence.confusion.counts) if evidence and evidence.confusion else max(2, len(names))
    output = scene.seen.study.study.output
    network = architecture_figure(row.candidate, size, classes=classes, output=output, dark=dark)
    found = [
        _head(scene, row),
        html.Div(
            [
                card(heading("The network, from the image to the file"), figure_of(network, label="The network")),
                html.Div([_numbers(scene, row, evidence, stages), _next(scene, reader, row)], className="stack"),
            ],
            className="two",
        ),
        *cards_of(scene, row, dark=dark),
    ]
    if evidence is None:
        return [*found, note("No evidence is stored of this model", "The database holds its row and nothing else.")]
    operations = profiles.known(row, scene.seen.study.study.timing.threads)
    profile = _profile_card(row.trial, _profile(operations, dark=dark) if operations else None)
    cards = explained_cards(
        row, explained, evidence.confusion, names, typed=_typed(scene, reader, "explain", row.trial)
    )
    return [
        *found,
        html.Div(_scores(evidence, stages, names, learns=row.candidate.learns, dark=dark), className="two"),
        *cards,
        profile,
    ]


def _head(scene: Scene, row: Row) -> Any:
    picked = scene.seen.picked
    mine = picked is not None and picked.pick.trial == row.trial
    badges = [dmc.Badge("picked", color="yellow", autoContrast=True)] if mine else []
    badges.append(_standing(row))
    badges += [dmc.Badge("the knee, suggested", variant="light", tt="none")] if scene.suggested else []
    others = [trial for trial in scene.state.selected if trial != row.trial]
    switch = [
        dmc.Button(
            f"Trial {trial}", id={"type": "show", "trial": trial, "where": "switch"}, size="compact-sm", variant="light"
        )
        for trial in others
    ]
    where = to_address(View(study=scene.state.study, machine=scene.state.machine))
    pick = dmc.Button(
        "Pick ...", id={"type": "open-pick", "trial": row.trial, "where": "model"}, disabled=mine, size="sm"
    )
    files = [
        html.A("ONNX", href=f"model/{row.sha256}.onnx{where}", className="download", download=f"{row.sha256}.onnx"),
        html.A("JSON", href=f"trial/{row.trial}.json{where}", className="download", download=f"trial-{row.trial}.json"),
    ]
    lines = [dmc.Text(line, size="sm") for line in _gaps(scene, row)]
    return card(
        html.Div(
            [
                dmc.Group([dmc.Title(f"Trial {row.trial}", order=2, size="h3"), *badges], gap="sm"),
                html.Div([*switch, pick, *files], className="actions"),
            ],
            className="line",
        ),
        dmc.Text(describe(row.candidate), size="sm", c="dimmed", className="wraps", my="xs"),
        *lines,
    )


def _standing(row: Row) -> Any:
    if row.broken:
        return dmc.Badge(f"over {', '.join(map(str, row.broken))}", color="gray", tt="none")
    return dmc.Badge("on the front", color="blue") if row.on_front else dmc.Badge("dominated", color="gray")


def _gaps(scene: Scene, row: Row) -> list[str]:
    lines = next_words(scene.report, row)
    if row.tied:
        beats = "beats" if len(row.tied) == 1 else "beat"
        lines.append(f"{trial_names(row.tied).capitalize()} {beats} it, but not beyond the confidence intervals.")
    return lines


def _numbers(scene: Scene, row: Row, evidence: Evidence | None, stages: Sequence[StageRow]) -> Any:
    """Every number with where it comes from."""
    machine = next((one for one in scene.seen.machines if one.key == row.machine), None)
    trial = scene.seen.trial(row.trial)
    pairs = []
    for name, goal in OBJECTIVES.items():
        if name in row.values:
            shown = with_interval(row, name) if name in row.intervals else in_unit(goal, row.values[name])
            pairs.append((goal.title, f"{shown}{_source(name, row, evidence)}"))
    if row.confirmed is not None:
        over = row.confirmed
        ends = f"over {over.seeds} seeds, the first one included: {over.low:.3f} to {over.high:.3f}"
        pairs.append(("mIoU over seeds", f"{over.mean:.3f}, standard deviation {over.sd:.2g}, {ends}"))
    pairs.append(("machine", machine_words(machine) if machine else row.machine[:8]))
    pairs.append(("file", f"{row.sha256[:16]}... ({row.artifact.name[-5:]}), named by its SHA-256"))
    if evidence is not None:
        if evidence.parity_max_abs is not None:
            pairs.append(("parity", f"{evidence.parity_max_abs:.2g} of the largest logit between torch and the file"))
        pairs.append(("made with", ", ".join(f"{name} {version}" for name, version in evidence.versions)))
    if trial is not None and trial.finished is not None:
        ended = moment(trial.finished)
        shared = "" if trial.origin is None else f", of the training of trial {trial.origin}"
        pairs.append(("trial", f"seed {trial.seed}, attempt {trial.attempts}, finished {ended}{shared}"))
    if stages:
        left = [line for stage in stages for line in left_lines(row.candidate, stage.outcome.get("left", ()))]
        pairs += [("left as it was", line) for line in left]
        pairs.append(("stages", ", ".join(f"{stage.name} {stage.seconds:.1f} s" for stage in stages)))
    return card(heading("Numbers, and where they come from"), facts(pairs))


def _source(name: str, row: Row, evidence: Evidence | None) -> str:
    if evidence is None:
        return ""
    timing: Timing = evidence.timing
    if name == "miou":
        why = f"; no interval: {row.spread.reason}" if isinstance(row.spread, NoSpread) else "; 95 % over its images"
        return f", pooled over all pixels of the validation split{why}"
    if name == "latency_ms":
        ended = timing.comparison.ended_by if timing.comparison else ""
        how = {"interval": "until its interval was narrow enough", "time": "until its time was up"}.get(ended, "")
        return f" ms, {len(timing.samples_ms)} runs on the {timing.clock} clock, {timing.state}, {how}".rstrip(", ")
    if name == "energy_mj" and timing.energy is not None:
        return f", {timing.energy.idle_mj:.4g} mJ of the idle machine taken out of a run"
    return ", of the file's bytes" if name == "size_bytes" else ""


def _scores(
    evidence: Evidence, stages: Sequence[StageRow], names: Sequence[str], *, learns: bool, dark: bool
) -> list[Any]:
    found = []
    if evidence.confusion is not None:
        iou = class_iou_figure(evidence.confusion, names, dark=dark)
        shares = confusion_figure(evidence.confusion, names, dark=dark)
        found.append(card(heading("IoU of each class"), figure_of(iou, label="IoU of each class")))
        found.append(card(heading("What is taken for what"), figure_of(shares, label="Confusion matrix")))
    losses = {stage.name: stage.outcome["losses"] for stage in stages if _has_losses(stage.outcome)}
    bare = (
        "A model that shares another's training keeps no curve of its own."
        if learns
        else "Nothing was trained: its weights are those that it was brought with."
    )
    curve = (
        figure_of(losses_figure(losses, dark=dark), label="Loss of each epoch") if losses else dmc.Text(bare, size="sm")
    )
    found.append(card(heading("Training"), curve))
    return found


def _has_losses(outcome: Mapping[str, Any]) -> bool:
    losses = outcome.get("losses")
    return isinstance(losses, list) and len(losses) > 0


def _typed(scene: Scene, reader: Reader, what: str, trial: int) -> str:
    """A command about a trial of the study in view."""
    which = f" --study {quoted(scene.seen.study.name)}" if scene.state.study or reader.study else ""
    return f"segsearch {what} {quoted(shown(reader.where))} --trial {trial}{which}"


def _next(scene: Scene, reader: Reader, row: Row) -> Any:
    """Commands for what comes next."""
    file, database = quoted(row.artifact), quoted(shown(reader.where))
    which = f" --study {quoted(scene.seen.study.name)}" if scene.state.study or reader.study else ""
    folder = quoted(f"{scene.seen.study.name}-{row.trial}")
    hint = "The password is left out here: set PGPASSWORD, or write it into ~/.pgpass."
    trainings = (
        command(_typed(scene, reader, "confirm", row.trial), "train it again from three other seeds"),
        command(
            _typed(scene, reader, "retrain", row.trial),
            "train it to the end, by the long schedule, compressed as it is here",
        ),
    )
    missing = [dmc.Text(hint, size="xs", c="dimmed")] if hides_password(reader.where) else []
    return card(
        heading("What comes next"),
        html.Div(
            [
                command(
                    f"segsearch measure {file} --profile", "time this very file on another machine, layer by layer"
                ),
                command(f"segsearch remeasure {database} --on-front{which}", "time the whole front on another machine"),
                *(trainings if row.candidate.learns else ()),
                command(
                    f"segsearch export {database} --trial {row.trial} --out {folder}{which}",
                    "a folder to take to where it runs",
                ),
                command(
                    f"onnxruntime.InferenceSession({str(row.artifact)!r})", "deploy it: RGB 0..255 in, classes out"
                ),
                *missing,
            ],
            className="panel",
        ),
    )


def _profile_card(trial: int, measured: Any) -> Any:
    button = dmc.Button("Measure", id={"type": "profile-run", "trial": trial}, variant="default", size="compact-sm")
    place = html.Div(
        measured
        or dmc.Text(
            "Runs the file some dozen times on this machine, when no training or measurement is at work.", size="sm"
        ),
        id={"type": "profile", "trial": trial},
    )
    return card(html.Div([heading("Where its time goes, layer by layer"), button], className="line"), place)


def _profile(operations: Sequence[Operation], *, dark: bool) -> Any:
    total = sum(one.mean_ms for one in operations)
    words = f"{len(operations)} operations, {total:.3g} ms a run while the profiler looks on, on this machine."
    return [
        dmc.Text(words, size="sm"),
        figure_of(profile_figure(operations, dark=dark), label="Time per layer", height=420),
    ]
