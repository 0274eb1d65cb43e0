"""The process that trains, exports and scores: what crashes here costs a trial, never the study.

`python -m segsearch.trial.child`; `contained` starts it once a worker and keeps it warm. It holds no database: before a
stage is made it asks its parent, who keeps the outcomes.
"""

from __future__ import annotations

import _thread
import contextlib
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segsearch.errors import DataError, SegsearchError
from segsearch.space.candidate import Candidate
from segsearch.space.keys import from_json, to_json
from segsearch.trial.memory_limit import go_first, limit_memory
from segsearch.trial.wire import Message, Wire, error_as_message, private_output
from segsearch.workshop import Artifacts, Outcome, Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from segsearch.datasets import Dataset
    from segsearch.own.graph import GraphMaker
    from segsearch.own.made import Maker
    from segsearch.study import Study
    from segsearch.training.checkpoint import Look
    from segsearch.trial.bench import Beside

# An interrupted stage may clean up for so long.
GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class Task:
    """What the child works on: a study and a machine as JSON, the teacher's architecture, and where its files lie.

    `texts` are the lists that the study names, where its run has kept them; `start` is the artifact of the pretrained
    weights that it begins with, `unlabelled` the key of its images without labels.
    """

    study: str
    teacher: str | None
    machine: str | None
    cache: str
    data_key: str
    artifacts: str
    texts: Mapping[str, str] | None = None
    start: str | None = None
    unlabelled: str | None = None


@dataclass(frozen=True)
class Parent:
    """The other side, as it looks from here: a memory of stages and somebody who watches."""

    wire: Wire
    messages: queue.SimpleQueue[Message] = field(default_factory=queue.SimpleQueue)

    def listen(self) -> None:
        """Take messages in until the parent is gone, however that came; then end this process."""
        while (message := self.wire.receive()) is not None:
            self.messages.put(message)
        self.messages.put({"gone": True})
        _thread.interrupt_main()
        threading.Event().wait(GRACE_SECONDS)
        os._exit(1)

    def hear(self) -> Message:
        """The next message. Raises `KeyboardInterrupt` where the parent is gone."""
        message = self.messages.get()
        if "gone" in message:
            raise KeyboardInterrupt
        return message

    def progress(self, stage: str, done: int, total: int, /) -> None:
        self.wire.send(progress=[stage, done, total])

    def told(self, look: Look, total: int) -> None:
        self.wire.send(look=[look.step, look.loss, look.miou, total])


@dataclass(frozen=True)
class RemoteWorkshop:
    """The `Workshop` of one trial whose memory is the parent's."""

    artifacts: Artifacts
    parent: Parent

    def once(self, stage: str, key: str, make: Callable[[], Outcome], /) -> Outcome:
        """The outcome that the parent holds, or what `make` returns, once the parent has stored it."""
        self.parent.wire.send(once=[stage, key])
        answer = self.parent.hear()
        if "make" in answer:
            try:
                self.parent.wire.send(made=make())
            except Exception:  # also what is no JSON: the parent waits for one word or the other
                self.parent.wire.send(unmade=True)
                raise
            answer = self.parent.hear()
        outcome: Outcome = answer["outcome"]
        return outcome


def main() -> int:
    parent = Parent(Wire(sys.stdin, private_output()))
    # A signal to stop is the parent's to handle; it ends this process by hanging up.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    go_first()
    threading.Thread(target=parent.listen, name="segsearch-parent", daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt):
        _work(parent)
    return 0


def _work(parent: Parent) -> None:
    order = Task(**parent.hear())
    try:
        answer = _settle(order, parent.progress, parent.told)
        parent.wire.send(ready=True)
    except SegsearchError as error:
        parent.wire.send(refused=error_as_message(error))
        return
    workshop = RemoteWorkshop(Artifacts(Path(order.artifacts)), parent)
    while True:
        job = parent.hear()
        try:
            parent.wire.send(done=answer(job, workshop))
        except SegsearchError as error:
            parent.wire.send(failed=error_as_message(error))
        except Exception:
            parent.wire.send(bug=traceback.format_exc())


def _settle(
    order: Task, progress: Progress, told: Callable[[Look, int], None]
) -> Callable[[Message, RemoteWorkshop], object]:
    """Load what all jobs share; what is returned does one of them. Heavy rooms are loaded here and not before."""
    from segsearch.datasets import open_dataset, open_test
    from segsearch.evidence.layers import Choice
    from segsearch.evidence.timing import Machine
    from segsearch.settings.retrain import Recipe
    from segsearch.study import load_study
    from segsearch.trial.evaluate import evaluate, finish, gated, train_again
    from segsearch.trial.explain import explain
    from segsearch.trial.grow import grow
    from segsearch.trial.prepare import estimate, make_bench
    from segsearch.trial.settle import settle_in
    from segsearch.trial.stages import Stages
    from segsearch.trial.types import teacher_from
    from segsearch.trial.weights import teacher_logits

    study = load_study(order.study)
    dataset = open_dataset(study.data, cache=Path(order.cache), progress=progress, texts=order.texts)
    if dataset.key != order.data_key:
        raise DataError(f"The images or masks of {study.name} changed while it ran. Start the same command again.")
    machine = None if order.machine is None else from_json(Machine, order.machine)
    teacher = None if order.teacher is None else teacher_from(order.teacher)

    own, beside = _own_of(study, order), _beside_of(study, order, progress)
    start = order.start if own is None else None
    bench = make_bench(study, dataset, teacher=teacher, machine=machine, start=start, beside=beside, own=own)
    settle_in(study.train.threads, study.timing.cores)
    if bench.device.type == "cpu":
        limit_memory()

    @cache
    def test_images() -> Dataset | None:
        return open_test(study.data, cache=Path(order.cache), progress=progress, texts=order.texts)

    def answer(job: Message, workshop: RemoteWorkshop) -> object:
        if "estimate" in job:
            candidates = [from_json(Candidate, text) for text in job["estimate"]]
            return to_json(estimate(candidates, bench, workshop.artifacts, progress=progress))
        if "gate" in job:
            return to_json(gated(from_json(Candidate, job["gate"]), bench, workshop, progress=progress))
        if "finish" in job:
            return to_json(finish(from_json(Candidate, job["finish"]), bench, workshop, progress=progress))
        if "again" in job:
            candidate = from_json(Candidate, job["again"])
            return to_json(train_again(candidate, bench, workshop, seed=job["seed"], progress=progress))
        if "teach" in job and bench.teacher is not None:
            return str(len(teacher_logits(bench.teacher, bench, Stages(workshop, progress))))
        if "grow" in job:
            candidate, recipe = from_json(Candidate, job["grow"]), from_json(Recipe, job["recipe"])
            about: dict[str, Any] = {"recipe": recipe, "seed": job["seed"], "test": test_images()}
            return to_json(grow(candidate, bench, workshop, **about, progress=progress, told=told))
        if "explain" in job:
            candidate, given = from_json(Candidate, job["explain"]), job["choice"]
            files = {name: job[name] for name in ("calibrated", "floats")}
            choice = None if given is None else from_json(Choice, given)
            found = explain(candidate, job["shipped"], bench, workshop, **files, choice=choice, progress=progress)
            return to_json(found)
        candidate = from_json(Candidate, job["evaluate"])
        return to_json(evaluate(candidate, bench, workshop, progress=progress))

    return answer


def _own_of(study: Study, order: Task) -> Maker | GraphMaker | None:
    """Who makes the network that somebody brought, where the study has one."""
    from segsearch.own.graph import GraphMaker
    from segsearch.own.made import Maker

    if study.network is None or order.start is None:
        return None
    path = Artifacts(Path(order.artifacts)).path(order.start)
    return GraphMaker(path) if path.suffix == ".onnx" else Maker(path, Path(order.cache) / "networks")


def _beside_of(study: Study, order: Task, progress: Progress) -> Beside | None:
    """The images without labels that a teacher speaks of, where the study has any; opened when they are needed."""
    from segsearch.datasets import open_unlabelled
    from segsearch.trial.bench import Beside

    @cache
    def opened() -> NDArray[np.uint8]:
        found = open_unlabelled(study.data, cache=Path(order.cache), progress=progress, texts=order.texts)
        if found is None or found.key != order.unlabelled:
            raise DataError(
                f"The images without labels of {study.name} changed while it ran. Put them back as they were."
            )
        return found.images

    if order.unlabelled is None or study.teacher is None:
        return None
    return Beside(order.unlabelled, opened, study.teacher.unlabelled_share)


if __name__ == "__main__":
    sys.exit(main())
