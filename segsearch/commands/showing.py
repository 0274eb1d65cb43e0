"""What several commands show: a report, its front, sizes, files."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from segsearch.errors import StudyError
from segsearch.terminal import console, quoted, say

if TYPE_CHECKING:
    from segsearch.judging.fronts import Report
    from segsearch.progress import Watch
    from segsearch.store import Store


NONE_YET = "No trained trials yet; `segsearch status` says how far it is."


def open_to_read(db: str) -> Store:
    """A database to read. One of an older segsearch is brought up to date first, where it can be written."""
    from segsearch.judging import reading

    return reading.open_to_read(db)


def report_of(store: Store, study: str | None, limits: Sequence[str] | None, machine: str | None) -> Report:
    """A study of a database under further limits, as it is on one machine."""
    from segsearch.judging import reading

    return reading.report_of(store, study, limits, machine)


def show_front(found: Report) -> None:
    """The front as a table, and what is to be said of it."""
    from segsearch.judging.tables import as_table
    from segsearch.judging.words import unsure_lines

    if not found.rows:
        key, count = found.machine[:8], found.untimed
        say(f"None of {count} trained models was timed on machine {key} for every objective." if count else NONE_YET)
        return
    if not found.front:
        say(f"No trained trial meets {', '.join(map(str, found.limits))}.")
        return
    limits = f" under {', '.join(map(str, found.limits))}" if found.limits else ""
    console().print(as_table(found))
    tied = (
        " ~ is beaten by another, but not beyond the confidence intervals." if any(r.tied for r in found.front) else ""
    )
    say("", f"{len(found.front)} of {len(found.rows)} trained models are on the front{limits}; * is its knee.{tied}")
    say(*unsure_lines(found))
    if any(row.confirmed for row in found.front):
        say("miou over seeds is the mean, the standard deviation and the number of seeds, the first one included.")
    if found.untimed:
        say(
            f"{found.untimed} more were never timed on machine {found.machine[:8]}; "
            "`segsearch remeasure` times them there."
        )
    if found.grown:
        from segsearch.judging.finals import as_table as finals_table
        from segsearch.judging.finals import lines_of

        say("", "Trained to the end by `segsearch retrain`:")
        console().print(finals_table(found))
        say(*lines_of(found))
    if found.references:
        from segsearch.judging.references import as_table as references_table

        say("", "Networks of the field by the study's recipe; `segsearch compare` says how the front stands to them:")
        screen = console()
        screen.print(references_table(found.references, width=screen.width))


def save_page(path: Path, text: str) -> None:
    """Write a page to where `--html` says."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StudyError(f"{path}: --html must be a file that can be written: {error.strerror}.") from None


def to_type(db: str, study: str | None = None) -> str:
    """A database, and the study where it is given, as a command takes them; never with a password."""
    from segsearch.store.location import shown

    return quoted(shown(db)) + (f" --study {quoted(study)}" if study else "")


def password_lines(db: str) -> list[str]:
    """How a command of `to_type` is given the password that it leaves out."""
    from segsearch.store.location import hides_password

    return ["The password is left out here: set PGPASSWORD, or write it into ~/.pgpass."] if hides_password(db) else []


def watched() -> AbstractContextManager[Watch]:
    """Show on standard output how far the work is."""
    from segsearch.progress import watching

    return watching(console())


def size_in_words(count: float) -> str:
    from segsearch.judging.words import in_words

    return in_words("size_bytes", count)
