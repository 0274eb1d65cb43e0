"""What the pages for users show: each snippet of Python runs, and the list of settings says every key there is."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from segsearch.compression import GRAPH_STEPS, MODEL_STEPS
from segsearch.networks.blocks import BLOCKS
from segsearch.networks.contexts import CONTEXTS
from segsearch.space.block_rules import BLOCK_RULES

ROOT = Path(__file__).resolve().parent.parent
FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TABLES: tuple[Mapping[object, object], ...] = (BLOCKS, BLOCK_RULES, CONTEXTS, MODEL_STEPS, GRAPH_STEPS)  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def own_tables() -> Iterator[None]:
    """A page may put a line into the tables of this process; the next test finds them as they were."""
    before = [dict(table) for table in TABLES]
    yield
    for table, was in zip(TABLES, before, strict=True):
        assert isinstance(table, dict)
        table.clear()
        table.update(was)


def run_page(page: Path) -> int:
    """Run a page's snippets in order, in one namespace; a failure names the page's line."""
    text = page.read_text()
    namespace: dict[str, object] = {"__name__": "page"}
    found = list(FENCE.finditer(text))
    for snippet in found:
        line = text[: snippet.start(1)].count("\n")
        exec(compile("\n" * line + snippet[1], str(page), "exec", dont_inherit=True), namespace)
    return len(found)


@pytest.mark.slow
def test_each_snippet_of_the_page_for_python_runs(tiny: Path) -> None:
    assert run_page(ROOT / "docs" / "python.md") >= 10


@pytest.mark.slow
def test_each_snippet_of_the_page_for_spaces_runs() -> None:
    assert run_page(ROOT / "docs" / "spaces.md") >= 6


@pytest.mark.slow
def test_the_readme_says_what_runs(tiny: Path) -> None:
    shutil.copytree(tiny / "runs" / "mine", tiny / "runs" / "quickstart")
    assert run_page(ROOT / "README.md") == 1


def test_the_list_of_settings_is_that_of_the_models() -> None:
    """`python tools/study_docs.py > docs/study.md` after a key, a range or a default has changed."""
    made = subprocess.run(
        [sys.executable, ROOT / "tools" / "study_docs.py"], check=True, capture_output=True, text=True, cwd=ROOT
    )
    assert (ROOT / "docs" / "study.md").read_text() == made.stdout
