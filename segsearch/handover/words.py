"""What `model.json` says, as a person reads it: lines that the page, the card and the command share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segsearch.judging.words import in_words

About = Mapping[str, Any]


def kind_lines(about: About) -> list[str]:
    """What it is: trained to the end, or a proxy and how it becomes more."""
    found = about["provenance"]
    if found["kind"] == "proxy":
        retrain = next((one for one in found["commands"] if one.startswith("segsearch retrain")), "segsearch retrain")
        return [
            (
                f"A proxy: trial {found['trial']} of {found['study']} had the study's short training, which ranks "
                f"models and is not their best. `{retrain}` trains it to the end; export it again then."
            )
        ]
    recipe = found["recipe"]
    which = "newest" if recipe["train_on"] == "train+val" else "best"
    of = f", the {which} of {found['trainings']} trainings" if found["trainings"] > 1 else ""
    lines = [
        (
            f"Trained to the end: trial {found['trial']} of {found['study']}, {recipe['epochs']} epochs from seed "
            f"{found['seed']}{of}."
        )
    ]
    if recipe["train_on"] == "train+val":
        lines.append("It learned from the validation images, too, which therefore judge nothing.")
    elif found["trainings"] > 1:
        lines.append("It was chosen among them by its validation mIoU, which flatters that number.")
    scored, before = about["files"][0]["miou"], found["proxy_miou"]
    if scored is not None and before is not None and scored["value"] < before:
        lines.append(
            f"It scores a validation mIoU of {scored['value']:.3f}, and as a proxy it scored {before:.3f}: this "
            "training was too short, or harmed it."
        )
    return lines


def made_by(about: About) -> list[str]:
    """The commands that made it: of a proxy none trained it to the end."""
    found = about["provenance"]
    return [one for one in found["commands"] if found["kind"] == "final" or not one.startswith("segsearch retrain")]


def latency_words(one: Mapping[str, Any]) -> str:
    """`4.21 ms (95 %: 4.18 to 4.25), machine a5e00aa9, 1 thread, pipeline`."""
    found = one["latency_ms"]
    ends = "" if found["low"] is None else f" (95 %: {found['low']:.4g} to {found['high']:.4g})"
    threads = f"{found['threads']} thread{'' if found['threads'] == 1 else 's'}"
    return f"{found['value']:.4g} ms{ends}, machine {found['machine'][:8]}, {threads}, {found['state']}"


def miou_words(found: Mapping[str, Any] | None) -> str:
    """`0.612 (95 %: 0.598 to 0.626)`; why it has no interval, or that there is none."""
    if found is None:
        return "not measured"
    if found["low"] is not None:
        return f"{found['value']:.3f} (95 %: {found['low']:.3f} to {found['high']:.3f})"
    reason = found.get("no_interval")
    return f"{found['value']:.3f}" + (f" (no interval: {reason})" if reason else "")


def fed_words(about: About) -> str:
    """What a file is fed, in one line."""
    found = about["input"]
    words = (
        f"{found['name']}: {found['dtype']} (1, 3, {found['height']}, {found['width']}), {found['order']} from 0 to "
        f"255, resized {found['resize']}"
    )
    levels = found["levels"]
    if levels == "high_byte":
        words += "; of images with 16 bits the upper 8"
    elif levels is not None:
        words += f"; images with more than 8 bits are stretched: {levels['black']:g} is 0, {levels['white']:g} is 255"
    return words + ("" if about["exif"] == "turn" else "; the EXIF orientation is ignored")


def pretrained_words(about: About) -> str:
    found = about["provenance"]["pretrained"]
    if found is None:
        return "none: trained from scratch"
    if found["licence"] is None:
        return f"{found['weights']}, a file whose licence segsearch does not know: look it up before you pass it on"
    return f"{found['weights']} of the package {found['package']}, {found['licence']}"


def data_words(about: About) -> str:
    found = about["provenance"]["data"]
    where = found["folder"] or found["kind"]
    return f"{where}: {found['train']} training and {found['validation']} validation images, key {found['key'][:12]}"


def parted(about: About) -> list[tuple[str, str]]:
    """Where it comes from, as names with words."""
    found, model = about["provenance"], about["model"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    here = ", ".join(f"{name} {version}" for name, version in found["exported"]["versions"].items())
    parts = [
        ("design", model["design"]),
        (
            "parameters",
            f"{in_words('params', model['params'])}, {in_words('macs', model['macs'])} multiply-accumulates",
        ),
        ("input", fed_words(about)),
        ("brought back", about["back"]),
        ("data", data_words(about)),
        ("seed", str(found["seed"])),
        ("pretrained", pretrained_words(about)),
        ("stored file", f"SHA-256 {found['artifact']}"),
        ("trained with", versions),
        ("exported with", f"{here}, {found['exported']['date']}"),
    ]
    parts += [("recipe", ", ".join(f"{k} {v}" for k, v in found["recipe"].items()))] if found["recipe"] else []
    parts += [("picked", found["picked"])] if found["picked"] else []
    for key, one in about["machines"].items():
        parts.append((f"machine {key[:8]}", f"{one['cpu']}, {one['cores']} cores, {one['system']}, {one['runtime']}"))
    return [*parts, *(("command", command) for command in made_by(about))]
