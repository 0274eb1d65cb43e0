"""The page and the card of a handed-over model: what they say, that they need nothing else, and foreign words."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from segsearch import launch
from segsearch.commands.showing import report_of
from segsearch.handover.about import Form, about_of, with_files
from segsearch.handover.card import model_card
from segsearch.handover.chosen import Chosen, chosen
from segsearch.handover.page import examples, front_chart, report_page
from segsearch.handover.words import kind_lines
from segsearch.judging.fronts import Report
from segsearch.store import open_store
from segsearch.workshop import silent
from tests import fakes
from tests.handover.runs import RECIPE, finish, numbers_of

RETRAIN = "segsearch retrain run/study.db --trial 7"


def all_of(database: Path, trial: int) -> tuple[dict[str, Any], Chosen, Report, str]:
    """What is known of a trial, and its page."""
    with open_store(database, read_only=True) as store:
        row = store.study("small")
        model = chosen(store, row, trial=trial, machine="m")
        report = report_of(store, row.name, None, None)
        dataset = launch.open_data(row.study, row.artifacts.folder.parent, silent)
    form = Form(model.path.name, "mask", False, model.evidence.timing, model.evidence.confusion, model.spread)
    about = about_of(model, dataset, commands=[RETRAIN, "segsearch export run/study.db --trial 7 --out x"])
    about = with_files(about, model, [form], model.path.parent, [fakes.MACHINE])
    shown = examples(model.path, model, dataset, silent)
    assert len(shown) == 3, "as many as the split has"
    return about, model, report, report_page(about, model, report, form.confusion, shown)


def test_a_page_of_a_proxy_says_so_and_shows_everything(masks: Path) -> None:
    number = numbers_of(masks)[0]
    about, model, report, page = all_of(masks, number)
    assert f"A proxy: trial {number} of small" in page
    assert RETRAIN in page
    assert f"this model (trial {number})" in page
    assert page.count("data:image/png;base64,") == 9
    for one in about["classes"]:
        assert f"{one['index']} {one['name']}" in page
    assert f"on the front of {len(report.rows)} trained models" in page
    assert model.path.stem in page


def test_a_page_needs_nothing_else(masks: Path) -> None:
    page = all_of(masks, numbers_of(masks)[0])[3]
    outside = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "://" not in outside
    assert not re.search(r"<(link|iframe|script src)", page)
    assert not [address for address in re.findall(r'src="([^"]{,20})', outside) if not address.startswith("data:")]


def test_a_final_model_stands_beside_its_proxy(masks: Path) -> None:
    number = numbers_of(masks)[0]
    finish(masks, number, seed=10)
    finish(masks, number, seed=11)
    about, model, report, page = all_of(masks, number)
    chart = front_chart(report, model)
    (trace,) = [trace for trace in chart.data if trace.name == "this model, trained to the end"]
    assert (trace.x[-1], trace.y[-1]) == (model.values["latency_ms"], model.values["miou"])
    proxy = next(row for row in report.rows if row.trial == number)
    assert (trace.x[0], trace.y[0]) == (proxy.values["latency_ms"], proxy.values["miou"])
    assert chart.layout.xaxis.range[1] > model.values["latency_ms"]
    assert "the best of 2 trainings" in page
    assert "A proxy" not in page
    assert kind_lines(about)[1] == "It was chosen among them by its validation mIoU, which flatters that number."


def test_a_training_that_harmed_is_not_handed_over_in_silence(masks: Path) -> None:
    """Whoever tried `retrain --epochs 1` hands over what came of it from then on."""
    number = numbers_of(masks)[0]
    finish(masks, number, seed=10)
    about = all_of(masks, number)[0]
    scored = about["files"][0]["miou"]["value"]
    about["provenance"]["proxy_miou"] = scored
    assert not [line for line in kind_lines(about) if "as a proxy" in line]
    about["provenance"]["proxy_miou"] = scored + 0.2
    assert kind_lines(about)[-1] == (
        f"It scores a validation mIoU of {scored:.3f}, and as a proxy it scored {scored + 0.2:.3f}: this training was "
        "too short, or harmed it."
    )


def test_a_final_model_of_another_machine_is_on_no_chart_with_these(masks: Path) -> None:
    number = numbers_of(masks)[0]
    finish(masks, number, seed=10, machine="another")
    _, model, report, page = all_of(masks, number)
    assert model.final is not None
    assert "this model, trained to the end" not in {trace.name for trace in front_chart(report, model).data}
    assert "Trained to the end it was timed on another machine" in page


def test_what_learned_from_all_judges_nothing(masks: Path) -> None:
    number = numbers_of(masks)[0]
    finish(masks, number, seed=10, recipe=replace(RECIPE, train_on="train+val"), judged=False)
    about, _, _, page = all_of(masks, number)
    (file,) = about["files"]
    assert (file["miou"], file["class_iou"]) == (None, None)
    assert file["test_miou"]["value"] > 0
    assert "The validation images were learned from: they judge nothing." in page
    card = model_card(about)
    assert "It learned from the validation images, too, which therefore judge nothing." in card
    assert "| not measured |" in card


def test_the_card_says_what_it_is_for_and_what_was_not_measured(masks: Path) -> None:
    about = all_of(masks, numbers_of(masks)[0])[0]
    card = model_card(about)
    for words in (
        f"# {about['name']}",
        "sky, building, road",
        "python run.py IMAGE_OR_FOLDER --out DIR",
        "on any other machine it was not",
        "No test images were looked at",
        "It is a proxy",
        "none: trained from scratch",
        RETRAIN,
        "| sky |",
        "machine m, 1 thread",
        "(95 %: 1.98 to 2.04)",
        "Seed 0",
    ):
        assert words in card, words
    made = card.split("## Made by")[1]
    assert "segsearch export run/study.db" in made
    assert RETRAIN not in made, "nobody trained a proxy to the end"


def test_what_other_seeds_gave_is_told(masks: Path) -> None:
    number = numbers_of(masks)[0]
    assert "what another seed gives was not looked at" in model_card(all_of(masks, number)[0])
    with open_store(masks) as store:
        first = store.trial("small", number).values["miou"]
        store.keep_confirmation("small", number, 1, artifact="0" * 64 + ".onnx", miou=first + 0.02, images=None)
    card = model_card(all_of(masks, number)[0])
    assert f"As a proxy it scored a mIoU of {first + 0.01:.3f} over 2 seeds, standard deviation 0.014." in card
    assert "what another seed gives" not in card


@pytest.mark.parametrize(
    ("pretrained", "words"),
    [
        (
            {"weights": "efficientnet-lite0", "package": "p", "licence": "Apache-2.0", "artifact": None},
            "efficientnet-lite0 of the package p, Apache-2.0",
        ),
        (
            {"weights": "mine.pth", "package": None, "licence": None, "artifact": None},
            "a file whose licence segsearch does not know",
        ),
    ],
)
def test_the_licence_of_the_start_is_told(masks: Path, pretrained: dict[str, Any], words: str) -> None:
    about = all_of(masks, numbers_of(masks)[0])[0]
    about["provenance"]["pretrained"] = pretrained
    assert words in model_card(about)


def test_foreign_words_are_text(masks: Path) -> None:
    about, model, report, _ = all_of(masks, numbers_of(masks)[0])
    evil = "<img src=x onerror=alert(1)>"
    about["name"] = about["model"]["design"] = about["provenance"]["picked"] = evil
    about["classes"][0]["name"] = evil
    page = report_page(about, model, report, model.evidence.confusion, ())
    assert evil not in page
    assert "&lt;img src=x" in page


@pytest.mark.slow
def test_a_browser_draws_the_page_and_asks_for_nothing(masks: Path, tmp_path: Path, tab: Any) -> None:
    number = numbers_of(masks)[0]
    finish(masks, number, seed=10)
    file = tmp_path / "report.html"
    file.write_text(all_of(masks, number)[3])
    page = tab.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.route("**/*", lambda route: route.continue_())
    tab.wrong.clear()
    page.goto(file.as_uri())
    page.wait_for_selector("#front .main-svg")
    page.wait_for_selector("#classes .main-svg")
    assert page.locator("figure img").count() == 9
    assert page.evaluate("[...document.images].every(one => one.naturalWidth > 0)")
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [file.as_uri()]
    tab.wrong[:] = [words for words in tab.wrong if file.as_uri() not in words]
