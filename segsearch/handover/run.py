"""Run the model of this folder on images: python run.py PHOTOS --out MASKS. Needs numpy, Pillow and onnxruntime alone.

MASKS/masks gets the class of each pixel (8-bit PNG, numbered as in model.json) at each image's own size,
MASKS/overlays the classes' colours over the image. What cannot be read is skipped and named at the end.
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor, ImageOps

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
BACK = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what takes back the turn that Pillow gives TIFF files by itself


def read(path: Path, exif: str, levels: Any) -> Any:
    """An image as the model learned to see it: RGB (height, width, 3), 0 to 255."""
    with Image.open(path, formats=FORMATS) as stored:
        several = getattr(stored, "n_frames", 1) > 1 and stored.format in ("TIFF", "GIF")
        if several or stored.width * stored.height > 89_478_485:
            raise ValueError("several pictures in one file, or more pixels than 89478485")
        wide = bool(stored.tile) and ";16" in str(stored.tile[0].args) and not stored.mode.startswith("I")
        turn = stored.getexif().get(0x0112, 1)
        if stored.format == "TIFF" and turn in (5, 6, 7, 8):
            stored.filename = ""  # Pillow would map the file into memory with the sides as shown, and mix up its rows
        stored.load()
        image = ImageOps.exif_transpose(stored) if exif == "turn" else stored.copy()
        if exif == "ignore" and stored.format == "TIFF" and turn in BACK and stored.getexif().get(0x0112, 1) == 1:
            image = stored.transpose(Image.Transpose(BACK[turn]))
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(to_bytes(np.asarray(image), levels))
    pixels = np.asarray((image.convert("RGBA") if image.mode == "P" else image).convert("RGB"))
    if wide and levels != "high_byte" and pixels.max() <= 63:
        raise ValueError("16 bits a colour, of which the upper 8 hold next to nothing")
    return pixels


def to_bytes(values: Any, levels: Any) -> Any:
    """Values of more than 8 bits as 0 to 255, black and white where model.json says."""
    if levels == "high_byte":
        return (values.astype(np.int64) >> 8).clip(0, 255).astype(np.uint8)
    if levels is None or not np.isfinite(values).all():
        raise ValueError("more than 8 bits without levels in model.json, or NaN or infinity")
    scaled = (values.astype(np.float64) - levels["black"]) * (255.0 / (levels["white"] - levels["black"]))
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def mask_of(pixels: Any, session: Any, fed: dict[str, Any]) -> Any:
    """The class of each pixel, (height, width): the image is resized for the model, its answer brought back."""
    small = Image.fromarray(pixels).resize((fed["width"], fed["height"]), Image.Resampling.BILINEAR)
    image = np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1)[None], dtype=np.float32)
    answer = session.run(None, {fed["name"]: image})[0][0]
    chosen = answer.argmax(axis=0) if answer.ndim == 3 else answer
    sides = zip(pixels.shape[:2], chosen.shape, strict=True)
    rows, columns = (((np.arange(wanted) + 0.5) * have / wanted).astype(np.int64) for wanted, have in sides)
    return chosen[rows[:, None], columns[None, :]].astype(np.uint8)


def main(images: Path, out: Path) -> int:
    import onnxruntime

    about = json.loads(Path(__file__).with_name("model.json").read_text(encoding="utf-8"))
    options, model = onnxruntime.SessionOptions(), Path(__file__).with_name(about["files"][0]["file"])
    if hashlib.sha256(model.read_bytes()).hexdigest() != about["files"][0]["sha256"]:
        sys.exit(f"{model}: holds other bytes than model.json tells of; copy the folder anew")
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    colours = np.array([ImageColor.getrgb(one["colour"]) for one in about["classes"]], dtype=np.uint8)
    there = [one for one in sorted(images.rglob("*")) if one.suffix.lower() in SUFFIXES]
    own = {out.resolve() / kind for kind in ("masks", "overlays")}
    found, skipped = [one for one in there if own.isdisjoint(one.resolve().parents)], list[str]()
    root, paths = (images, found) if found else (images.parent, [images])
    alike = len({one.with_suffix("") for one in paths}) < len(paths)  # a.jpg and a.png: all keep their whole names
    for path in paths:
        try:
            pixels = read(path, about["exif"], about["input"]["levels"])
        except Exception as error:  # Pillow's decoders raise errors of many kinds
            skipped.append(f"  {path}: {error or type(error).__name__}\n")
            continue
        mask, name = mask_of(pixels, session, about["input"]), path.relative_to(root)
        over = Image.blend(Image.fromarray(pixels), Image.fromarray(colours[mask]), 0.5)
        for kind, picture in (("masks", Image.fromarray(mask)), ("overlays", over)):
            target = out / kind / f"{name if alike else name.with_suffix('')}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            picture.save(target)
    sys.stdout.writelines([f"{len(paths) - len(skipped)} masks in {out}, {len(skipped)} skipped\n", *skipped])
    return 1 if skipped else 0


if __name__ == "__main__":
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    parser = argparse.ArgumentParser(description="Masks of images, by the model beside this file.")
    parser.add_argument("images", type=Path, help="an image, or a folder of images")
    parser.add_argument("--out", type=Path, required=True, help="the folder for masks/ and overlays/")
    sys.exit(main(**vars(parser.parse_args())))
