"""The classes of a folder as a table for people: what is stored, what it means, how much of each split it is."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from segsearch.survey.look import ClassRow
from segsearch.survey.splits import SPLITS

# Rows that are shown; the rest are counted, and stand on the page.
MOST_ROWS = 40


def class_table(rows: Sequence[ClassRow]) -> Table:
    """Value, name and, for each split, the share of its pixels and of its images that hold the class; void last."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    splits = [split for split in SPLITS if rows and split in rows[0].shares]
    table.add_column("stored", justify="right", no_wrap=True)
    table.add_column("class", overflow="fold")
    for split in splits:
        table.add_column(f"{split}: pixels", justify="right", no_wrap=True)
        table.add_column("images", justify="right", no_wrap=True)
    named = [row for row in rows if row.name is not None]
    for row in (*named[:MOST_ROWS], *(row for row in rows if row.name is None)):
        cells = [f"{value:.1%}" for split in splits for value in (row.shares[split].pixels, row.shares[split].images)]
        stored = row.stored if len(row.stored) <= 24 else f"{row.stored[:21]}..."
        table.add_row(Text(stored), Text("void" if row.name is None else row.name), *cells)
    if len(named) > MOST_ROWS:
        table.add_row("...", Text(f"and {len(named) - MOST_ROWS} more classes"))
    return table
