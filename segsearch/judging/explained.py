"""An explanation of what int8 does to a model, for people: a table of layers, one of classes, and two lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from segsearch.evidence.layers import Explained, LayerLoss, LayerTime, Step
from segsearch.evidence.types import Confusion
from segsearch.space.candidate import Candidate

# A file that loses no more than this of mIoU needs no cure.
LITTLE = 0.003
# Layers that lose so much of all that single layers lose are told as the ones that matter.
MOST_OF_IT = 0.6
# ... where they are no more than this; and so many of the first convolutions can be left in float by a number, where
# they lose half of it.
FEW = 6
HALF = 0.5
# A file that takes more of the float file's time than this is not quicker.
NO_QUICKER = 0.97
# What is no layer is told of from this share of a file's time on.
LEAST_SHARE = 0.005
# A cure that is named by a tolerance.
TOLERANCE = 0.004


@dataclass(frozen=True)
class Told:
    """A layer as the table has it: its times, what it loses, its form in the shipped file, and why that.

    `back` is how much less mIoU the int8 file is expected to lose with this layer in float, `alone` how much the float
    file is expected to lose with this layer in int8; None of what follows its neighbours.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    float_ms: float
    int8_ms: float
    back: float | None
    alone: float | None
    form: str
    why: str


@dataclass(frozen=True)
class Explanation:
    """What is told of a trial: `shipped` is what its file scores on the validation split."""

    trial: int
    candidate: Candidate
    found: Explained
    shipped: Confusion
    classes: tuple[str, ...]

    @property
    def drop(self) -> float:
        """The mIoU that the shipped file loses to the float file on the validation split."""
        return self.found.confusion.miou - self.shipped.miou


def layers_of(explanation: Explanation) -> tuple[Told, ...]:
    """Every layer in the order of the graph, then what is no layer and takes time."""
    found = explanation.found
    times, told = found.times.by_name, []
    for layer in found.losses.layers:
        time, in_float = times[layer.name], layer.name in found.in_float
        told.append(
            Told(
                name=layer.name,
                kind=layer.kind,
                shape=layer.shape,
                float_ms=time.float_ms,
                int8_ms=time.int8_ms,
                back=None if layer.back is None else found.losses.whole.expected - layer.back.expected,
                alone=None if layer.alone is None else layer.alone.expected,
                form="float" if in_float else "int8",
                why=_why_float(explanation, layer, time) if in_float else _note(time),
            )
        )
    for other in found.times.others:
        if max(other.float_ms / found.times.float_ms, other.int8_ms / found.times.int8_ms) < LEAST_SHARE:
            continue
        why = _OTHERS.get(other.kind, "no integer form is asked of it")
        form = "-" if other.kind == "to and from int8" else "float"
        told.append(Told(other.name, other.kind, (), other.float_ms, other.int8_ms, None, None, form, why))
    return tuple(told)


_OTHERS: Mapping[str, str] = {
    "to and from int8": "what int8 costs around its layers; in float, changes of layout",
    "Mul": "pixel normalisation: to round it would round every pixel twice",
    "Sub": "pixel normalisation: to round it would round every pixel twice",
    "Resize": "ONNX Runtime is not asked for an integer form of it",
    "ArgMax": "it chooses among scores, which stay exact",
    "ConvTranspose": "ONNX Runtime has no integer kernel of it",
}
_IN_FLOAT = ("Conv", "FusedConv")


def _note(time: LayerTime) -> str:
    """What is odd about a layer in int8."""
    if time.runs_as in _IN_FLOAT:
        return "runs in float between conversions: ONNX Runtime has no integer kernel of it here"
    if time.float_ms == 0:
        return "in float part of the layer before"
    if time.float_ms <= time.int8_ms:
        return "no quicker in int8"
    return f"alone, {time.boundary_ms:.3f} ms of conversions" if time.boundary_ms > time.float_ms else ""


def _why_float(explanation: Explanation, layer: LayerLoss, time: LayerTime) -> str:
    """Why a layer of the shipped file is in float."""
    choice = explanation.found.choice
    if choice is not None:
        before = choice.steps[0]
        for step in choice.steps[1:]:
            if layer.name in step.layers:
                return _gained(before, step)
            before = step
    first = explanation.candidate.float_convolutions
    if layer.kind != "Conv":
        return "what it reads is made in float"
    return f"within the first {first} convolutions of a path" if first else "left in float"


def _gained(before: Step, step: Step) -> str:
    spent = step.spent_ms - before.spent_ms
    time = f"for {spent:.2f} ms" if spent > 0 else f"and saves {-spent:.2f} ms"
    beside = f" with {len(step.layers) - 1} more" if step.layers[1:] else ""
    return f"given back{beside}: gains {before.lost - step.lost:.4f} {time}"


def summary_lines(explanation: Explanation) -> tuple[str, str]:
    """Where int8 loses, and what to do."""
    found, names = explanation.found, explanation.classes
    drops = sorted(class_drops(explanation), key=lambda one: -one[3])[:2]
    classes = ", ".join(f"{names[index]} {_signed(-drop)}" for index, _, _, drop in drops if drop > 0)
    ends = f"{found.confusion.miou:.3f} in float, {explanation.shipped.miou:.3f} as it ships"
    loses = f"loses {explanation.drop:.4f}" if explanation.drop > 0 else f"gains {-explanation.drop:.4f}"
    first = f"Trial {explanation.trial} {loses} of mIoU to int8 ({ends}{'; ' + classes if classes else ''})."
    few, share = worst_of(explanation)
    if explanation.drop <= LITTLE:
        return first, _advice(explanation, few)
    if few:
        which = ", ".join(_short(layer.name) for layer in few)
        first += f" {share:.0%} of what whole int8 loses layer by layer comes of {len(few)}: {which}."
    else:
        first += " Whole int8 loses a little in many layers, and much in none."
    return first, _advice(explanation, few)


def worst_of(explanation: Explanation) -> tuple[tuple[LayerLoss, ...], float]:
    """The few layers that lose most of what single layers lose in int8, in the graph's order, and their share.

    None where many lose it together.
    """
    layers = [layer for layer in explanation.found.losses.layers if layer.alone is not None]
    lost = {layer.name: max(0.0, layer.alone.divergence) for layer in layers if layer.alone is not None}
    total, taken = sum(lost.values()), list[LayerLoss]()
    for layer in sorted(layers, key=lambda one: -lost[one.name])[: FEW if total > 0 else 0]:
        taken.append(layer)
        share = sum(lost[one.name] for one in taken) / total
        if share >= MOST_OF_IT:
            return tuple(layer for layer in layers if layer in taken), share
    return (), 0.0


def _advice(explanation: Explanation, few: Sequence[LayerLoss]) -> str:
    times = explanation.found.times
    if times.int8_ms > NO_QUICKER * times.float_ms:
        return (
            f"Int8 is no quicker than float here ({times.int8_ms:.2f} and {times.float_ms:.2f} ms): ship the float "
            "file, or time both on the machine that it is for (`segsearch remeasure`)."
        )
    if explanation.drop <= LITTLE:
        return "Nothing is to be done: that is little, and within what a seed moves."
    first = _beginning(explanation) if few else 0
    measured = f"Quantize(tolerance={TOLERANCE}) chooses layers by measurement"
    if explanation.candidate.tail == 0:
        measured += ", Quantize(tail=0.07) learns on as it is rounded"
    if first and explanation.candidate.float_convolutions < first:
        return f"Leave the first {first} convolutions in float: Quantize(float_convolutions={first}); {measured}."
    return f"{measured}; a space draws them in `after_export`."


def _beginning(explanation: Explanation) -> int:
    """How many of the first convolutions lose half of what single layers lose; 0 where it is more than a few."""
    lost = [max(0.0, layer.alone.divergence) for layer in explanation.found.losses.layers if layer.alone is not None]
    return next((count for count in range(1, FEW + 1) if sum(lost[:count]) >= HALF * sum(lost)), 0)


def class_drops(explanation: Explanation) -> list[tuple[int, float, float, float]]:
    """(class, IoU in float, IoU as shipped, drop) of each class that the validation split has."""
    both = zip(explanation.found.confusion.class_iou, explanation.shipped.class_iou, strict=True)
    return [
        (index, exact, shipped, exact - shipped)
        for index, (exact, shipped) in enumerate(both)
        if exact is not None and shipped is not None
    ]


LAYER_COLUMNS = ("layer", "operator", "shape", "ms float", "ms int8", "given back", "alone", "ships", "why")
CLASS_COLUMNS = ("class", "IoU float", "IoU shipped", "change")


def layer_table(explanation: Explanation) -> Table:
    """Layers as a table for a terminal."""
    return _table(LAYER_COLUMNS, layer_cells(explanation))


def layer_cells(explanation: Explanation) -> list[tuple[str, ...]]:
    """The rows of that table."""
    return [cells_of(told) for told in layers_of(explanation)]


def cells_of(told: Told) -> tuple[str, ...]:
    """A layer's row in words; a change of mIoU has a sign."""
    shape = "x".join(map(str, told.shape[1:])) or "-"
    changes = ("-" if value is None else _signed(value) for value in (told.back, _minus(told.alone)))
    times = (f"{ms:.3f}" for ms in (told.float_ms, told.int8_ms))
    return (_short(told.name), told.kind, shape, *times, *changes, told.form, told.why)


def class_table(explanation: Explanation) -> Table:
    """IoU of each class in float and as shipped."""
    return _table(CLASS_COLUMNS, class_cells(explanation))


def class_cells(explanation: Explanation) -> list[tuple[str, ...]]:
    """The rows of that table."""
    return [
        (explanation.classes[index], f"{exact:.3f}", f"{shipped:.3f}", _signed(-drop))
        for index, exact, shipped, drop in class_drops(explanation)
    ]


def how_lines(explanation: Explanation) -> list[str]:
    """How the numbers of the table were found."""
    losses, times = explanation.found.losses, explanation.found.times
    which = (
        "that the calibration does not use" if losses.drawn.unseen else "that the calibration uses, too: none is left"
    )
    sums = f"{times.float_ms:.2f} in float, {times.int8_ms:.2f} in int8"
    back = "Given back is what the int8 file gains with this layer alone in float, alone what the float file loses"
    loses = f"Whole int8 is expected to lose {losses.whole.expected:.4f}."
    clock = f"Milliseconds are the runtime's own of the quickest runs on machine {times.machine[:8]}: {sums}"
    return [
        f"{back} with it alone in int8: expected mIoU on {losses.drawn.images} training images {which}.",
        f"{loses} {clock}; to convert a million numbers takes {times.million_ms:.2f}.",
    ]


def as_object(explanation: Explanation) -> dict[str, Any]:
    """All of it as plain data, with the divergences and what the labels say."""
    found, losses = explanation.found, {layer.name: layer for layer in explanation.found.losses.layers}
    times = found.times.by_name
    layers = []
    for told in layers_of(explanation):
        loss, time = losses.get(told.name), times.get(told.name)
        layers.append(
            {
                "name": told.name,
                "operator": told.kind,
                "runs_as": time.runs_as if time else told.kind,
                "shape": list(told.shape),
                "float_ms": told.float_ms,
                "int8_ms": told.int8_ms,
                "boundary_ms": time.boundary_ms if time else None,
                "ships": told.form,
                "why": told.why,
                "given_back": _apart(loss.back) if loss else None,
                "alone": _apart(loss.alone) if loss else None,
            }
        )
    return {
        "trial": explanation.trial,
        "files": {"shipped": found.shipped, "float": found.exact, "int8": found.rounded},
        "miou": {"float": found.confusion.miou, "shipped": explanation.shipped.miou, "drop": explanation.drop},
        "classes": [
            {"class": explanation.classes[index], "float": exact, "shipped": shipped, "drop": drop}
            for index, exact, shipped, drop in class_drops(explanation)
        ],
        "sample": {"images": found.losses.drawn.images, "unseen": found.losses.drawn.unseen},
        "whole_int8": _apart(found.losses.whole),
        "machine": found.times.machine,
        "ms": {"float": found.times.float_ms, "int8": found.times.int8_ms, "per_million": found.times.million_ms},
        "layers": layers,
        "choice": None if found.choice is None else _choice(explanation),
        "summary": list(summary_lines(explanation)),
    }


def _apart(found: Any) -> dict[str, float] | None:
    return None if found is None else {"lost": found.expected, "divergence": found.divergence, "labels": found.labelled}


def _choice(explanation: Explanation) -> dict[str, Any]:
    choice = explanation.found.choice
    assert choice is not None
    steps = [{"layers": list(step.layers), "spent_ms": step.spent_ms, "lost": step.lost} for step in choice.steps]
    return {"tolerance": choice.tolerance, "ended": choice.ended, "steps": steps}


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    words = ("layer", "operator", "shape", "ships", "why", "class")
    for name in columns:
        table.add_column(name, justify="left" if name in words else "right", no_wrap=name != "why", min_width=len(name))
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _short(name: str) -> str:
    """A node's name without what its place repeats: `/stages.0/stages.0.1/expand/expand.0/Conv` is
    `stages.0.1.expand.0`. Of a graph that somebody brought, names are theirs (`own.graph` begins them with `core.`)."""
    parts = [part.rstrip(".") for part in name.removeprefix("core.").split("/") if part]
    parts = parts[:-1] if len(parts) > 1 and parts[-1] in ("Conv",) else parts
    kept: list[str] = []
    for part in parts:
        if kept and part.startswith(f"{kept[-1]}."):
            kept[-1] = part
        else:
            kept.append(part)
    return ".".join(kept)


def _signed(value: float) -> str:
    return f"{value:+.4f}" if round(value, 4) else "0.0000"


def _minus(value: float | None) -> float | None:
    return None if value is None else -value
