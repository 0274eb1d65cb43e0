"""How a stage of a trial is run: once, by its name and the key of all that it reads, with a reason where it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from segsearch.errors import StorageFull, TrialFailed, UserError
from segsearch.evidence.objectives import Rejected
from segsearch.training.checkpoint import Keep, Look
from segsearch.training.loop import out_of_memory_fails
from segsearch.workshop import Artifacts, Outcome, Progress, Workshop, silent

# Enough to tell what went wrong; some libraries print whole tensors.
REASON_CHARACTERS = 400
# With less than this left, a failed write is a full disk and not the candidate's fault.
FULL_BYTES = 4 * 2**20


Told = Callable[[Look, int], None]


def unheard(look: Look, total: int) -> None:
    """What a look found, where nobody asks."""


@dataclass(frozen=True)
class Stages:
    """The stages of one trial: where they leave their work, and who watches: steps, and what a look at one found."""

    workshop: Workshop
    progress: Progress = silent
    told: Told = unheard

    @property
    def artifacts(self) -> Artifacts:
        return self.workshop.artifacts

    def once(self, name: str, key: str, make: Callable[[], Outcome]) -> Outcome:
        """The stored outcome of a stage, or what `make` returns. Every failure has a kind and a reason.

        Raises `TrialFailed`, `StorageFull` where the disk is full, and `UserError` and `Rejected` as `make` did.
        """

        def guarded() -> Outcome:
            self.progress(name, 0, 1)
            try:
                with out_of_memory_fails():
                    return make()
            except (UserError, Rejected):
                raise
            except Exception as error:  # whatever a library raises here belongs to this one candidate
                if _is_full(self.artifacts):
                    raise StorageFull(
                        f"{self.artifacts.folder}: no room left in {name}. Free some space, then run the same command "
                        "again: nothing finished is lost."
                    ) from error
                if isinstance(error, TrialFailed):
                    raise
                reason = " ".join(str(error).split()) or "no message"
                raise TrialFailed(name, f"{type(error).__name__}: {reason[:REASON_CHARACTERS]}") from error

        return self.workshop.once(name, key, guarded)

    def once_resumed(self, name: str, key: str, make: Callable[[Keep], Outcome]) -> Outcome:
        """`once` for a long stage that is kept on its way, and goes on from there where it was killed."""
        keep = Keep(self.artifacts.checkpoint(key), key)
        outcome = self.once(name, key, lambda: make(keep))
        keep.path.unlink(missing_ok=True)
        return outcome


def _is_full(artifacts: Artifacts) -> bool:
    try:
        return artifacts.free_bytes() < FULL_BYTES
    except OSError:  # a folder that is away says nothing of room
        return False
