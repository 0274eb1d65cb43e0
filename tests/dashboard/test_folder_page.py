"""The page that `new` writes shows what a study will train on, as it will be read, in a real browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segsearch.masks.folder_page import folder_page
from segsearch.readings.types import Wanted
from segsearch.survey.look import Found, look
from segsearch.survey.scaffold import page_of, write_study
from tests.browsing import Page
from tests.conftest import Command
from tests.survey.trees import save, scene, write


@pytest.fixture
def ade(tmp_path: Path) -> Path:
    """0 is not labelled, names are 1 to 3; one name tries to be markup."""
    root = tmp_path / "data"
    for seed in range(12):
        image, label = scene(seed, classes=4)
        save(root / f"images/{seed:02}.png", image)
        save(root / f"masks/{seed:02}.png", label)
    write(root / "classes.txt", "wall\n<script>window.hurt = 1</script>\nsky\n")
    return root


def test_the_page_shows_images_masks_and_what_each_value_is(
    ade: Path, command: Command, tmp_path: Path, tab: Page
) -> None:
    out = tmp_path / "mine.toml"
    said = command("new", ade, "--out", out, "--void", "0")
    assert said.code == 0, said.err
    assert str(page_of(out)) in said.out
    page = tab.page
    page.goto(page_of(out).as_uri())
    tab.wrong = [words for words in tab.wrong if not words.endswith(page_of(out).as_uri())]  # the page itself
    assert page.locator("h1").inner_text() == "mine"
    rows = page.locator("table tr").all_inner_texts()
    assert rows[1].split()[:2] == ["1", "wall"]
    assert rows[2].split("\t")[1:3] == ["2", "<script>window.hurt = 1</script>"]
    assert rows[4].split()[:2] == ["0", "void"]
    assert page.evaluate("() => window.hurt === undefined")
    pictures = page.locator("img")
    assert pictures.count() == 2 * (10 + 2), "of each pair the image and the mask over it"
    assert page.evaluate("() => [...document.images].every(image => image.complete && image.naturalWidth > 0)")


def test_a_page_holds_all_of_itself(ade: Path, tmp_path: Path) -> None:
    found: Found = look(ade, Wanted(void=0))
    pages: list[str] = []
    write_study(
        found,
        tmp_path / "mine.toml",
        page=lambda settings, how: pages.append(folder_page(found, settings, how, name="mine")) or pages[0],
    )
    text = page_of(tmp_path / "mine.toml").read_text()
    assert text == pages[0]
    assert "http" not in text.replace("http-equiv", "")
    assert "default-src 'none'" in text
    assert "<script" not in text


def test_the_mask_that_is_drawn_is_the_mask_that_is_trained(ade: Path, tmp_path: Path) -> None:
    """Void is dark, classes have their legend's colours: read back from the page's own picture."""
    import base64
    import io
    import re

    from PIL import Image

    from segsearch.masks.paint import class_colours

    found = look(ade, Wanted(void=0))
    holder: list[str] = []
    write_study(
        found,
        tmp_path / "mine.toml",
        page=lambda settings, how: holder.append(folder_page(found, settings, how, name="x")) or holder[0],
    )
    first = found.splits.train[0]
    addresses = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', holder[0])
    image, over = (np.asarray(Image.open(io.BytesIO(base64.b64decode(one))), dtype=float) for one in addresses[:2])
    label = scene(int(first.image.stem), classes=4)[1]
    colours = class_colours(found.reading.classes)
    for value, colour in enumerate(colours, start=1):
        inside = label == value
        if inside.sum() < 60:
            continue
        wanted = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)])
        painted = (over[inside] - 0.5 * image[inside]).mean(axis=0) * 2
        np.testing.assert_allclose(painted, wanted, atol=25)
