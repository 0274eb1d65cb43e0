"""What the rest of segsearch asks of the database: studies, trials, stages, machines and picks."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from segsearch.evidence import Evidence, Machine
from segsearch.pareto import Pick
from segsearch.store.rows import Counts, PickRow, StageRow, State, StudyRow, TrialRow
from segsearch.study import Study
from segsearch.workshop import Workshop


def open_store(
    where: str | Path, *, create: bool = False, read_only: bool = False, timeout_seconds: float = 30.0
) -> Store:
    """Open the database at a path or a SQLAlchemy URL; with `create`, make it where there is none.

    Raises `DatabaseError` for one that is missing, not ours, of a newer schema, locked, or not writable.
    """
    raise NotImplementedError


@dataclass(frozen=True)
class Store:
    """An open database. `where` is how messages name it, `url` what SQLAlchemy opens."""

    where: str
    url: str

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        raise NotImplementedError

    def begin_study(self, study: Study, *, artifacts: Path, space: str, data_key: str) -> StudyRow:
        """Store a new study, or check that the stored one of that name asks for the same and update what may change.

        `space` names the artifact that holds the space's source. May change: `trials`, `search.give_up_after`,
        `train.device`, `data.root` (the same pixels elsewhere) and `space` (the same source elsewhere).
        Raises `StudyError` naming the first key that differs.
        """
        raise NotImplementedError

    def studies(self) -> tuple[StudyRow, ...]:
        """All studies, oldest first."""
        raise NotImplementedError

    def study(self, name: str | None = None) -> StudyRow:
        """The study of that name; without a name the only one. Raises `StudyError` naming those that are there."""
        raise NotImplementedError

    def trials(self, study: str, states: Collection[State] | None = None) -> tuple[TrialRow, ...]:
        """Trials by number; all of them, or those in `states`."""
        raise NotImplementedError

    def trial(self, study: str, number: int) -> TrialRow:
        """One trial. Raises `StudyError` where there is none of that number."""
        raise NotImplementedError

    def evidence(self, study: str, number: int) -> Evidence | None:
        """The raw evidence of a trial: None before it is measured and for a failed one."""
        raise NotImplementedError

    def counts(self, study: str) -> Counts:
        """How many trials are in each state."""
        raise NotImplementedError

    def stages(self, study: str, trial: int | None = None) -> tuple[StageRow, ...]:
        """Finished stages in the order they finished; those that `trial` did, or all."""
        raise NotImplementedError

    def picks(self, study: str) -> tuple[PickRow, ...]:
        """Recorded picks, oldest first."""
        raise NotImplementedError

    def add_pick(self, study: str, pick: Pick) -> None:
        """Record a pick."""
        raise NotImplementedError

    def machines(self) -> tuple[Machine, ...]:
        """Every machine that a latency in here was taken on."""
        raise NotImplementedError

    def keep_machine(self, machine: Machine) -> None:
        """Store a machine under its key; storing it again changes nothing."""
        raise NotImplementedError

    def workshop(self, study: str, trial: int) -> Workshop:
        """The artifacts and the stage memory that `evaluate` works with. Stages are shared by all trials of a study."""
        raise NotImplementedError
