"""`MODEL_CARD.md`: what the model is for, what it was measured on and what not, and how to make it again."""

from __future__ import annotations

from typing import Any

from segsearch.handover.words import (
    About,
    data_words,
    fed_words,
    kind_lines,
    latency_words,
    made_by,
    miou_words,
    pretrained_words,
)
from segsearch.judging.words import in_words


def model_card(about: About) -> str:
    """The whole card, as Markdown."""
    found, model, classes = about["provenance"], about["model"], about["classes"]
    parts = [
        f"# {about['name']}",
        *kind_lines(about),
        "## Use",
        (
            f"Semantic segmentation of images like those that it learned from, into {len(classes)} classes: "
            f"{', '.join(one['name'] for one in classes)}. Each pixel gets one of them, also where none is right."
        ),
        "```\npython run.py IMAGE_OR_FOLDER --out DIR    # needs numpy, Pillow and onnxruntime\n```",
        (
            f"Fed with {fed_words(about)}. A mask is brought to the image's own size by {about['back']}. "
            "`model.json` says all of it for programs."
        ),
        "## Files",
        "\n".join(_file_lines(about)),
        "## IoU of each class, validation",
        "\n".join(_class_lines(about)),
        "## Network and data",
        (
            f"{model['design']} ({model['precision']}; {in_words('params', model['params'])} parameters, "
            f"{in_words('macs', model['macs'])} multiply-accumulates)."
        ),
        f"Data: {data_words(about)}. Seed {found['seed']}. Pretrained start: {pretrained_words(about)}.",
        "## Limits",
        "\n".join(f"- {line}" for line in _limits(about)),
        "## Made by",
        "```\n" + "\n".join(made_by(about)) + "\n```",
        f"Stored file SHA-256 {found['artifact']}, exported {found['exported']['date']}.",
    ]
    return "\n\n".join(parts) + "\n"


def _file_lines(about: About) -> list[str]:
    lines = ["| file | answers | size | latency | validation mIoU | test mIoU |", "|---|---|---:|---|---|---|"]
    for one in about["files"]:
        made = ", made of the stored file" if one["derived"] else ""
        cells = [one["file"], one["answers"] + made, in_words("size_bytes", one["size_bytes"]), latency_words(one)]
        cells += [miou_words(one["miou"]), miou_words(one["test_miou"])]
        lines.append(f"| {' | '.join(cells)} |")
    for key, machine in about["machines"].items():
        lines.append(f"\nMachine {key[:8]}: {machine['cpu']}, {machine['cores']} cores, {machine['runtime']}.")
    return lines


def _class_lines(about: About) -> list[str]:
    heads = [one["file"] for one in about["files"]]
    lines = [f"| class | {' | '.join(heads)} |", f"|---|{'---:|' * len(heads)}"]
    for one in about["classes"]:
        cells = [_iou(file["class_iou"], one["index"]) for file in about["files"]]
        lines.append(f"| {one['name'].replace('|', '/')} | {' | '.join(cells)} |")
    return lines


def _iou(found: Any, index: int) -> str:
    if found is None:
        return "not measured"
    return "not in the images" if found[index] is None else f"{found[index]:.3f}"


def _limits(about: About) -> list[str]:
    """What the numbers do not say."""
    found = about["provenance"]
    lines = [
        (
            "Latency was measured on the machines above alone, with the runtime and threads named there; on any other "
            "machine it was not."
        ),
        (
            "mIoU was measured on the validation images of this data set alone: other places, cameras, seasons and "
            "light were not looked at, and its interval is over images like these."
        ),
        "The study chose this model by these very images, which flatters it.",
    ]
    if (seeds := found["over_seeds"]) is not None:
        lines.append(
            f"As a proxy it scored a mIoU of {seeds['mean']:.3f} over {seeds['seeds']} seeds, standard deviation "
            f"{seeds['sd']:.2g}."
        )
    elif found["trainings"] <= 1:
        lines.append("One training from one seed; what another seed gives was not looked at.")
    if all(one["test_miou"] is None for one in about["files"]):
        lines.append("No test images were looked at.")
    if found["kind"] == "proxy":
        lines.append("It is a proxy: the same network trained to the end is likely better.")
    if any(one["derived"] for one in about["files"]):
        lines.append("A derived file answers as its own numbers say; the study's are those of the stored file.")
    lines.append("No confidence is calibrated, and nothing tells an image that is unlike the data.")
    return lines
