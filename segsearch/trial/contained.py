"""A worker's side of its child: trials are handed over, outcomes are kept here, and a death is a failed trial."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from segsearch.errors import StudyError, TrialFailed, UserError
from segsearch.evidence.layers import Choice, Explained
from segsearch.evidence.types import Evidence
from segsearch.settings.retrain import Recipe
from segsearch.space.candidate import Candidate
from segsearch.space.keys import from_json, to_json
from segsearch.trial.child import GRACE_SECONDS, Task
from segsearch.trial.types import Again, Estimate, Grown
from segsearch.trial.waiting import environment_of_training
from segsearch.trial.wire import Message, Wire, error_from_message
from segsearch.workshop import Artifacts, Forgetful, Outcome, Progress, Workshop, silent

COMMAND = (sys.executable, "-P", "-m", "segsearch.trial.child")
# Of what a library says before it dies, this much of the last line is kept.
LAST_WORDS = 200

Looked = Callable[[str, int, float, float, int], None]


def unwatched(stage: str, step: int, loss: float, miou: float, total: int) -> None:
    """What a look found, where nobody asks."""


@contextmanager
def contained(
    order: Task, *, progress: Progress = silent, looked: Looked = unwatched, command: Sequence[str] = COMMAND
) -> Iterator[Contained]:
    """A child for this worker: started at its first job, kept warm, begun anew after a death.

    `looked` hears of each look at a long training: its stage, step, mean loss since the last one, mIoU, the stage's
    steps in all.
    """
    child = Contained(order, progress, tuple(command), looked=looked)
    try:
        yield child
    finally:
        child.close()


@dataclass
class Contained:
    """The child, or none while none is needed. `begun` are the stages under way, the innermost last.

    `was_ready` says that a child has settled in here once: that one more does not is then a trial's bad luck.
    """

    order: Task
    progress: Progress
    command: tuple[str, ...]
    process: subprocess.Popen[str] | None = None
    last_words: IO[bytes] | None = None
    begun: list[str] = field(default_factory=list)
    was_ready: bool = False
    looked: Looked = unwatched
    teachers_lost: int = 0

    def evaluate(self, number: int, candidate: Candidate, workshop: Workshop) -> Evidence:
        """`evaluate`, over there. Raises what that raises, and `TrialFailed` of kind `crash` where the child died."""
        return from_json(Evidence, self._do(workshop, evaluate=to_json(candidate)))

    def gate(self, number: int, candidate: Candidate, workshop: Workshop) -> Evidence:
        """The gate of `evaluate` alone, over there: the untrained file. Raises as `evaluate` does."""
        return from_json(Evidence, self._do(workshop, gate=to_json(candidate)))

    def finish(self, number: int, candidate: Candidate, workshop: Workshop) -> Evidence:
        """`finish` of a candidate whose training is done, over there. Raises as `evaluate` does."""
        return from_json(Evidence, self._do(workshop, finish=to_json(candidate)))

    def train_again(self, candidate: Candidate, seed: int, workshop: Workshop) -> Again:
        """`train_again` from another seed, over there. Raises as `evaluate` does."""
        return from_json(Again, self._do(workshop, again=to_json(candidate), seed=seed))

    def grow(self, candidate: Candidate, recipe: Recipe, seed: int, workshop: Workshop) -> Grown:
        """`grow` by a recipe from a seed, over there, judged on the study's test images too. Raises as `evaluate`."""
        return from_json(Grown, self._do(workshop, grow=to_json(candidate), recipe=to_json(recipe), seed=seed))

    def explain(
        self, candidate: Candidate, shipped: str, workshop: Workshop, *, choice: Choice | None, **files: Any
    ) -> Explained:
        """`explain` of a stored file, over there. Raises what that raises."""
        chosen = None if choice is None else to_json(choice)
        job = {"explain": to_json(candidate), "shipped": shipped, "choice": chosen, **files}
        return from_json(Explained, self._do(workshop, **job))

    def teach(self, workshop: Workshop) -> None:
        """Ask the study's teacher, over there, before anybody learns from it. Raises as `evaluate` does."""
        self._do(workshop, teach=True)

    def estimate(self, candidates: Sequence[Candidate], artifacts: Artifacts) -> Estimate:
        """`estimate` of what these candidates cost. Raises what that raises."""
        return from_json(Estimate, self._do(Forgetful(artifacts), estimate=[to_json(one) for one in candidates]))

    def close(self) -> None:
        """End the child: it is hung up on, and ended where it does not listen."""
        process, self.process = self.process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            process.wait(2 * GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self.last_words is not None:
            self.last_words.close()

    def _do(self, workshop: Workshop, **job: Any) -> str:
        wire = self._ready()
        try:
            _forget(self.last_words)
            _tell(wire, **job)
            ended = self._serve(wire, workshop)
        except BaseException:
            self.close()  # it waits for an answer that will not come
            raise
        if "bug" in ended:
            raise RuntimeError(f"in the process that trains:\n{ended['bug']}")
        if "failed" in ended:
            error = error_from_message(ended["failed"])
            if isinstance(error, TrialFailed) and error.kind == "memory":
                self.close()  # what it holds of the memory would be the next trial's to miss
            raise error
        return str(ended["done"])

    def _ready(self) -> Wire:
        """The wire to a child that is settled in."""
        if self.process is not None and self.process.poll() is not None:
            self.close()  # it died between two trials: nobody's fault
        self.begun.clear()
        if self.process is not None:
            return _wire(self.process)
        self.last_words = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the child)
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.last_words,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is for us to handle, not for it
            env=environment_of_training(os.environ),
        )
        wire = _wire(self.process)
        try:
            _tell(wire, **asdict(self.order))
            answer = self._until(wire, ("ready", "refused"))
        except TrialFailed as died:
            if self.was_ready:
                raise
            raise UserError(
                f"The process that trains could not start: {died} `segsearch doctor` looks at this machine."
            ) from None
        if "refused" in answer:
            self.close()
            raise error_from_message(answer["refused"])
        self.was_ready = True
        return wire

    def _serve(self, wire: Wire, workshop: Workshop) -> Message:
        """Keep the child's stages until its job has ended."""
        while True:
            message = self._until(wire, ("once", "made", "unmade", "done", "failed", "bug"))
            if "once" not in message:
                return message
            stage, key = message["once"]
            try:
                outcome = workshop.once(stage, key, self._maker(wire, workshop, stage))
            except _Unmade:
                continue  # the child knows, and goes on with the error
            _tell(wire, outcome=dict(outcome))

    def _maker(self, wire: Wire, workshop: Workshop, stage: str) -> Callable[[], Outcome]:
        def make() -> Outcome:
            self.begun.append(stage)
            _tell(wire, make=True)
            ended = self._serve(wire, workshop)
            self.begun.pop()
            if "unmade" in ended:
                raise _Unmade
            if "made" not in ended:
                raise RuntimeError(f"the process that trains left {stage} without a word: {dict(ended)}")
            outcome: Mapping[str, Any] = ended["made"]
            return outcome

        return make

    def _until(self, wire: Wire, kinds: Sequence[str]) -> Message:
        """The next message of one of these kinds; progress is passed on meanwhile."""
        while True:
            message = wire.receive()
            if message is None:
                raise self._died()
            if "progress" in message:
                stage, done, total = message["progress"]
                self.progress(stage, done, total)
            elif "look" in message:
                self.looked(self.begun[-1], *message["look"])
            elif any(kind in message for kind in kinds):
                return message

    def _died(self) -> TrialFailed | StudyError:
        """Why the child is gone, and in which stage. A teacher that is lost twice is not made for every student."""
        process = self.process
        assert process is not None
        try:
            code = process.wait(2 * GRACE_SECONDS)
        except subprocess.TimeoutExpired:  # it has nothing more to say, and yet it lives
            process.kill()
            code = process.wait()
        said = _last_line(self.last_words)
        self.close()
        where = f" in {self.begun[-1]}" if self.begun else ""
        died = _as_failure(code, where, said)
        if "teacher" in self.begun:
            self.teachers_lost += 1
            if self.teachers_lost > 1:
                return StudyError(
                    f"The teacher could not be trained, twice: {died} "
                    "Change [teacher] under another study name, or leave it out."
                )
        return died


class _Unmade(Exception):
    """A stage was not made; the child goes on with the reason."""


def _as_failure(code: int, where: str, said: str) -> TrialFailed:
    """The failure of a trial whose process ended with that code."""
    if code == -signal.SIGKILL:
        return TrialFailed("crash", f"The process died of SIGKILL{where}: memory ran out, or somebody ended it.")
    how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return TrialFailed("crash", f"The process {how}{where}{': ' + said if said else ''}.")


def _forget(stream: IO[bytes] | None) -> None:
    """Begin the child's last words anew: what it said of an earlier trial explains nothing."""
    if stream is not None:
        os.ftruncate(stream.fileno(), 0)
        os.lseek(stream.fileno(), 0, os.SEEK_SET)  # its own place as well: the child writes through the same one


def _wire(process: subprocess.Popen[str]) -> Wire:
    assert process.stdin is not None
    assert process.stdout is not None
    return Wire(process.stdout, process.stdin)  # type: ignore[arg-type]


def _tell(wire: Wire, **message: Any) -> None:
    """Say something to the child; one that is gone is found out when it is listened to."""
    with contextlib.suppress(BrokenPipeError):
        wire.send(**message)


def _last_line(stream: IO[bytes] | None) -> str:
    """The last line that a library said before it died, without its end mark."""
    if stream is None:
        return ""
    stream.seek(0)
    lines = stream.read()[-4096:].decode(errors="replace").strip().splitlines()
    return " ".join(lines[-1].split())[:LAST_WORDS].rstrip(".") if lines else ""
