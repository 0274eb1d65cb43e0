"""The page of all settings of a study, made from their models: `python tools/study_docs.py > docs/study.md`.

Types, ranges and defaults are the models'; what a key means stands here. A key without words, or words without a key,
is an error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from segsearch.evidence.objectives import OBJECTIVES
from segsearch.settings.retrain import TIMES
from segsearch.settings.train import PRETRAINED, START_RATE, STEPS
from segsearch.store.studies import MAY_CHANGE
from segsearch.study import Study

TABLES: Mapping[str, str] = {
    "": "Above all tables.",
    "data": "Which images, and what their masks hold. `segsearch new` writes this table.",
    "train": "How each candidate is trained: one complete schedule, annealed to its end.",
    "teacher": "Whose logits teach the others, in one of five ways: `choices`, `first`, `reference`, `trial`, `file`. "
    "Without the table nobody teaches.",
    "timing": "How latency is measured. A measurement ends when its interval is narrow enough, or when its time is up.",
    "search": "What is drawn.",
    "network": "Somebody's own network, of which only the compression is searched. `segsearch compress` writes it.",
    "retrain": "How `segsearch retrain` trains a chosen model to the end; what is not said here, `[train]` says.",
}

WORDS: Mapping[str, str] = {
    "name": "What the study is called, in its database and for its folder: letters, digits and `_.-`.",
    "seed": "Settles initial weights, the order of images, crops, and what is drawn.",
    "trials": "How many candidates are trained; rejected, failed and repeated ones come on top.",
    "space": "A built-in space by its name, or a file ending in `.py`; relative paths are from the study's folder.",
    "objectives": f"What the front is drawn over: one or more of {', '.join(f'`{name}`' for name in OBJECTIVES)}.",
    "limits": 'Bounds on objectives, as in `"latency_ms<=12"`; one that breaks them untrained is not trained.',
    "output": "What files answer: the class of each pixel as uint8, or the scores of all classes.",
    "data.kind": "A folder of images and masks, or scenes that are drawn.",
    "data.height": "Height of the exported model's input, in pixels.",
    "data.width": "Width of the exported model's input, in pixels.",
    "data.root": "The folder of the data; relative paths are from the study's folder.",
    "data.images": "The folder of images, below the root.",
    "data.masks": "The folder of masks, below the root.",
    "data.train": "The training split: a folder, or a list that ends in `.txt`.",
    "data.validation": "The split that models are scored on.",
    "data.test": "The split that is kept aside: `segsearch retrain` alone looks at it.",
    "data.classes": "The file with the classes' names, one a line; line i, from 0, is class i.",
    "data.void": "The value of pixels that are of no class.",
    "data.map": 'What stored values are: `{"1" = 0, "128-255" = 1, "0" = "void"}`.',
    "data.colours": 'What colours are: `{"#ff0000" = 1}`. Either this or `map`.',
    "data.levels": "Of images with more than 8 bits, the stored values that are black and white.",
    "data.unlabelled": "A folder of images without masks, below the root or anywhere: the teacher's word alone is "
    "learned there. Files with the bytes of an image of a split are left out.",
    "data.exif": "Whether images and masks are turned as their EXIF orientation says.",
    "data.train_count": "Of drawn scenes, how many to train on.",
    "data.validation_count": "Of drawn scenes, how many to score on.",
    "train.epochs": "Length of a training in epochs. Either this or `steps`.",
    "train.steps": f"Length of a training in optimizer steps, {STEPS[0]} to {STEPS[1]:,}.",
    "train.crop": "The share of each side of the image that a view shows; 1.0 where no `height` and `width` are given.",
    "train.height": "Height of a view in pixels of the network's own grid, in place of `crop`.",
    "train.width": "Width of a view, with `height`.",
    "train.batch_size": "Images of a step.",
    "train.fine_tune_epochs": "Of a pruned candidate, the epochs after the pruning; 2 unless said.",
    "train.fine_tune_share": "Of a pruned candidate, the share of `steps` after the pruning; 0.25 unless said.",
    "train.fine_tune_on_top": "Whether these come on top of the whole schedule, which a pruned candidate then shares "
    "with its unpruned twin, or are taken from it.",
    "train.hold": "What candidates of all input scales have equal: images seen, steps, or about the seconds spent.",
    "train.learning_rate": "The highest rate of the schedule.",
    "train.weight_decay": "The optimizer's decay of weights.",
    "train.class_weights": "Whether rare classes weigh more in the loss, by the logarithm of their share.",
    "train.jaccard_weight": "Weight of a loss on the overlap of each class, beside the cross entropy.",
    "train.smallest_zoom": "The smallest random zoom of a view; raised where the view would reach beyond the image.",
    "train.largest_zoom": "The largest random zoom of a view.",
    "train.device": "Where training runs.",
    "train.threads": "Threads of training and scoring; without it torch's own choice.",
    "train.recipe": "How training is done where that has changed: 1 is for studies that began with it.",
    "train.pretrained": "Weights that encoders begin with where they match: "
    f"{', '.join(f'`{name}`' for name in PRETRAINED)}, the path of a file, or `none`.",
    "train.start_rate": f"The rate of layers that inherit, relative to the others; {START_RATE:g} unless said.",
    "teacher.epochs": "How long a teacher of `choices` or `reference` is trained.",
    "teacher.choices": "A design of the space, by all of its parameters.",
    "teacher.first": "One of the study's own first designs, counted from 0: its training is that of its trial.",
    "teacher.reference": "A network of the field by its name (`segsearch references` lists them).",
    "teacher.trial": "A trained trial, by its number: of `database`, or of another `study` in the run's own database.",
    "teacher.database": "The database of that trial: a file (relative paths are from the study's folder), or a URL "
    "without a password.",
    "teacher.study": "The study of that trial, where its database holds several.",
    "teacher.file": "An ONNX file that takes RGB 0 to 255 and answers scores of the study's classes, or a teacher that "
    "a run has kept (`.safetensors`, with its network in the metadata). A copy is kept with the run.",
    "teacher.better_by": "How much above the best of the first designs its mIoU must be: once it is known to be less, "
    "no further candidate is offered the teacher. 0 always offers it.",
    "teacher.unlabelled_share": "Of the images that a taught candidate sees, the share that is of `data.unlabelled`; "
    "they come on top of the batch.",
    "timing.threads": "Threads of the runtime.",
    "timing.cores": "Cores that a measurement may use; where they are not all, training keeps off them.",
    "timing.warmup_runs": "Runs before the first one that counts.",
    "timing.interval": "How narrow the 95 % interval must be, relative to the latency.",
    "timing.max_seconds": "How long a measurement may take.",
    "timing.state": "Whether a model runs among other work, or again and again with its own in the caches.",
    "search.sampler": "Who draws: TPE, NSGA-II, or chance alone.",
    "search.startup_trials": "Draws at random before the sampler uses what it learned.",
    "search.startup_on_top": "Whether these come on top of `first`, or count it.",
    "search.give_up_after": "So many candidates in a row that cannot be kept end the search.",
    "search.first": "Designs to begin with, each by all of the space's parameters (`[[search.first]]`).",
    "search.references": "Networks that `segsearch compare` compares the front with.",
    "search.siblings": "Further files that each training may leave: trials of their own that differ in what follows "
    "the training (precision, where a mask's classes are chosen) and count for none of `trials`.",
    "search.tails": "Networks that may learn on from each training for a while: int8, which leaves a file, then pruned "
    "ones with as many files as the first; trials of their own that count for none of `trials`.",
    "search.sibling_gain": "Of these the ones that are expected to add at least such a share to the hypervolume of the "
    "front are made, and no others. 0 makes all.",
    "search.screen": "How many candidates are looked at, timed and sized untrained, for each one that is trained: the "
    "most promising of all that wait. 0 trains whatever the sampler proposes. Begins after the first designs and the "
    'startup trials, and needs `sampler = "tpe"`: with `random` and `nsga2` a study is refused.',
    "search.proposals": "Each look of `screen` goes to one of so many proposals: the one that promises most by costs "
    "that are foreseen from earlier looks. 1 looks at whatever is proposed.",
    "search.after": "Databases of earlier studies, read once when the study begins: those of their models that this "
    "space draws, too, are a prior of the surrogate where the study screens, and a few of their front are trained "
    "first. "
    "Relative paths are from the study's folder.",
    "search.stop": "`converged` ends the search before all `trials` are trained, once the next ten trainings are "
    "expected to add less than `stop_gain` to the hypervolume of the front; twenty must be trained to say so.",
    "search.stop_gain": "That share of the hypervolume.",
    "network.file": "What `segsearch compress` wrote: the network with its sources and weights, or an ONNX file.",
    "network.mean": "What is taken from each channel of an image, in the order of `channels`, of pixels up to `top`.",
    "network.std": "What each channel is divided by then.",
    "network.top": "What white is before that: 255 as it is stored, 1 where pixels are divided by 255.",
    "network.channels": "The order of the channels that the network takes.",
    "network.ways": "How it may be compressed: what the space `compress_only` draws.",
    "retrain.epochs": f"How long; without it {TIMES} times as long as the study's own schedule.",
    "retrain.ema": "Decay of the average of the weights that remains; 0 keeps the last ones.",
    "retrain.auxiliary": "Weight of one more loss on the encoder's last map, where a network has none; 0 for none.",
    "retrain.small_start": "The share of the steps, from the first on, that see images at half their size.",
    "retrain.balanced": "Whether images that show rare classes are seen more often.",
}


# What is the same wherever it lies.
MAY_MOVE = (
    "space",
    "data.root",
    "data.unlabelled",
    "train.pretrained",
    "teacher.file",
    "teacher.database",
    "search.after",
    "network.file",
)
BEGINNING = (
    "A study is a TOML file, or [a mapping of the same structure in Python](python.md). Unknown keys are refused, and "
    "so are words where a number belongs. A study that is carried on must ask for what it began with; what may change "
    "all the same says so. This page is made from the models of the settings by `tools/study_docs.py`."
)


def keys(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any], bool]]:
    """(table, key, its schema, whether it must be given) of every setting, the ones above all tables first."""
    sections = []
    for name, found in schema["properties"].items():
        table = next((part["$ref"] for part in _parts(found) if "$ref" in part), None)
        if table is None:
            yield "", name, found, name in schema.get("required", ())
        else:
            sections.append((name, schema["$defs"][table.rsplit("/", 1)[1]]))
    for section, inner in sections:
        for name, found in inner["properties"].items():
            yield section, name, found, name in inner.get("required", ())


def _parts(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What a setting may be, without "not given"."""
    parts = found.get("anyOf", found.get("allOf", [found]))
    return [part for part in parts if part.get("type") != "null"]


def type_of(found: Mapping[str, Any]) -> str:
    """A setting's type as a TOML file has it."""
    return " or ".join(dict.fromkeys(_type(part) for part in _parts(found)))


def _type(part: Mapping[str, Any]) -> str:
    if "anyOf" in part:
        return type_of(part)
    if "enum" in part or "const" in part:
        return " or ".join(f"`{_toml(value)}`" for value in part.get("enum", [part.get("const")]))
    if part["type"] == "array":
        inner = [type_of(one) for one in part["prefixItems"]] if "prefixItems" in part else [type_of(part["items"])]
        return f"two of {inner[0]}" if len(inner) == 2 else f"list of {inner[0]}"
    if part["type"] == "object":
        return f"table of {type_of(part['additionalProperties'])}"
    return {"integer": "whole number", "number": "number", "string": "text", "boolean": "`true` or `false`"}[
        part["type"]
    ]


def range_of(found: Mapping[str, Any]) -> str:
    """The range of a number, or of the numbers of a list."""
    parts = [part.get("items", part) for part in _parts(found)]
    told = []
    for part in parts:
        low, high = part.get("minimum"), part.get("maximum")
        above, below = part.get("exclusiveMinimum"), part.get("exclusiveMaximum")
        words = [f"from {low:,}"] if low is not None else [f"above {above:,}"] if above is not None else []
        words += [f"to {high:,}"] if high is not None else [f"below {below:,}"] if below is not None else []
        told += [" ".join(words)] if words else []
    return " or ".join(told)


def default_of(found: Mapping[str, Any], *, must: bool) -> str:
    if must:
        return "must be given"
    default = found.get("default")
    return "" if default is None else f"`{_toml(default)}`"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_toml, value))}]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def page() -> str:
    """The whole page. Raises `ValueError` where a key has no words, or words have no key."""
    found = list(keys(Study.model_json_schema()))
    named = {f"{table}.{key}".lstrip(".") for table, key, _, _ in found}
    if named != WORDS.keys() or {table for table, _, _, _ in found} != TABLES.keys():
        apart = sorted(named ^ WORDS.keys())
        raise ValueError(f"Every key of a study needs words in tools/study_docs.py, and no others: {', '.join(apart)}.")
    lines = ["# Every setting of a study", "", BEGINNING]
    for table, words in TABLES.items():
        lines += ["", f"## `[{table}]`" if table else "## The study", "", words, ""]
        lines += ["| key | type | range | default | meaning |", "|---|---|---|---|---|"]
        for section, key, schema, must in found:
            if section == table:
                dotted = f"{table}.{key}".lstrip(".")
                changes = " May lie elsewhere later." if dotted in MAY_MOVE else " May change."
                meaning = WORDS[dotted] + (changes if dotted in MAY_CHANGE else "")
                cells = (f"`{key}`", type_of(schema), range_of(schema), default_of(schema, must=must), meaning)
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(page())
