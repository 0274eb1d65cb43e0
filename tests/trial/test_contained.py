"""The child that trains: its death costs a trial, its parent's death costs the child, and outcomes stay here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from segsearch.datasets import open_dataset
from segsearch.errors import DataError, StorageFull, StudyError, TrialFailed, UserError
from segsearch.evidence.objectives import Rejected
from segsearch.latency.machine import this_machine
from segsearch.runtimes import RUNTIMES
from segsearch.settings.retrain import Recipe
from segsearch.space.candidate import Candidate
from segsearch.space.keys import to_json
from segsearch.space.steps import Distill, Prune, Quantize
from segsearch.study import dump_study
from segsearch.trial.child import Task
from segsearch.trial.contained import contained
from segsearch.trial.types import teacher_of
from segsearch.trial.waiting import DECIDED
from segsearch.workshop import Artifacts, Outcome
from tests.trial.benches import ARCHITECTURE, INT8, PLAIN, Notebook
from tests.trial.studies import TEACHER, draw, make_study

WHOLE = replace(PLAIN, distill=Distill(0.5, 2.0), before_export=(Prune(0.5),), after_export=(Quantize(),))
STAGES = ("gate", "train", "teacher", "fine-tune", "export", "quantize", "measure", "score")
DATA = {"kind": "synthetic", "height": 64, "width": 96, "train_count": 8, "validation_count": 2}


def make_order(tmp_path: Path, **changes: object) -> Task:
    study = make_study(**{"data": DATA, "teacher": TEACHER, **changes})
    cache = tmp_path.parent / "cache"  # one for all tests of this process
    dataset = open_dataset(study.data, cache=cache)
    machine = replace(this_machine(RUNTIMES["onnxruntime"]), references=(("float32-1", 5.0), ("int8-1", 9.0)))
    return Task(
        study=dump_study(study),
        teacher=to_json(teacher_of(study, draw)),
        machine=to_json(machine),
        cache=str(cache),
        data_key=dataset.key,
        artifacts=str(tmp_path / "artifacts"),
    )


@pytest.fixture
def order(tmp_path: Path) -> Task:
    return make_order(tmp_path)


def wait_until_gone(*processes: psutil.Process) -> None:
    until = time.monotonic() + 60
    while left := [process for process in processes if is_alive(process)]:
        assert time.monotonic() < until, left
        time.sleep(0.05)


def is_alive(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def trains(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):  # a stopwatch that has just ended
        return "segsearch.trial.child" in process.cmdline()
    return False


def test_a_trial_over_there_is_the_trial_here(order: Task, notebook: Notebook) -> None:
    heard: list[str] = []
    with contained(order, progress=lambda stage, done, total: heard.append(stage)) as child:
        evidence = child.evaluate(0, WHOLE, notebook)
        first = child.process
        assert notebook.made == list(STAGES)
        assert evidence.confusion is not None
        assert notebook.artifacts.path(evidence.artifact).is_file()
        assert child.evaluate(1, WHOLE, notebook) == evidence  # all of it is known here
        notebook.known.clear()
        assert child.finish(2, WHOLE, notebook) == evidence
        assert notebook.known == [stage for stage in STAGES if stage not in ("gate", "teacher")]
        assert child.process is first, "one child for all trials of a worker"
    assert {*STAGES} <= {*heard}
    assert first is not None
    assert first.poll() is not None, "it ends with the block"


def test_a_gate_over_there_is_the_first_part_of_a_trial_and_done_once(order: Task, notebook: Notebook) -> None:
    with contained(order) as child:
        gate = child.gate(0, PLAIN, notebook)
        assert notebook.made == ["gate"]
        assert gate.confusion is None
        assert gate.size_bytes > 0
        child.evaluate(0, PLAIN, notebook)
        assert notebook.made.count("gate") == 1
    with contained(replace(order, study=dump_study(make_study(data=DATA, limits=["size_bytes<=1"])))) as child:
        with pytest.raises(Rejected) as rejected:
            child.gate(1, PLAIN, notebook)
        assert rejected.value.evidence == gate


def test_another_seed_goes_through_the_same_stages_untimed_and_keeps_the_teacher(
    order: Task, notebook: Notebook
) -> None:
    with contained(order) as child:
        first = child.evaluate(0, WHOLE, notebook)
        notebook.made.clear()
        again = child.train_again(WHOLE, 1, notebook)
        assert notebook.made == ["train", "fine-tune", "export", "quantize", "score"]
        assert again.artifact != first.artifact
        assert again.images is not None
        assert again.images.miou == again.confusion.miou
        same = child.train_again(WHOLE, first.seed, notebook)
        assert notebook.made[5:] == [], "from the study's own seed it is the very same"
        assert (same.artifact, same.confusion, same.images) == (first.artifact, first.confusion, first.images)


# A child that goes no further in one stage: a kill that is late finds it where it was meant.
STAYS = """
import os, threading
from segsearch.trial import child
tell = child.Parent.progress
def stay(self, stage, done, total):
    tell(self, stage, done, total)
    if stage == os.environ.get("STAYS_IN"):
        threading.Event().wait()
child.Parent.progress = stay
child.main()
"""


@pytest.mark.slow
def test_a_child_killed_in_any_stage_fails_that_trial_and_the_next_goes_on(
    order: Task, notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = list(STAGES)

    def kill(name: str, done: int, total: int, /) -> None:
        if left and name == left[0] and child.process is not None:
            os.kill(child.process.pid, signal.SIGKILL)

    with contained(order, progress=kill, command=[sys.executable, "-c", STAYS]) as child:
        while left:  # in each stage once
            monkeypatch.setenv("STAYS_IN", left[0])
            done = dict(notebook.outcomes)
            with pytest.raises(
                TrialFailed, match=rf"^The process died of SIGKILL in {left[0]}: memory ran out,"
            ) as died:
                child.evaluate(0, WHOLE, notebook)
            assert died.value.kind == "crash"
            assert notebook.outcomes.items() >= done.items()
            left.pop(0)
        monkeypatch.delenv("STAYS_IN")
        finished = set(notebook.outcomes)
        assert child.evaluate(1, WHOLE, notebook).confusion is not None
    assert len(finished) == len(STAGES) - 1, "what was finished before a death is kept: all but the last stage"


ABORTS = """
import os
from segsearch.networks import blocks
from torch import nn

class Aborts(nn.Module):
    def forward(self, x):
        if self.training:
            print("terminate called after throwing an instance of 'std::bad_alloc'.", flush=True)
            os.abort()
        return x

blocks.BLOCKS = {**blocks.BLOCKS, "aborts": lambda *a: nn.Sequential(blocks.conv(*a), Aborts())}
from segsearch.networks import check, encoders
from segsearch.space import block_rules, shapes
encoders.BLOCKS = blocks.BLOCKS
block_rules.BLOCK_RULES = {**block_rules.BLOCK_RULES, "aborts": block_rules.BlockRule()}
check.BLOCK_RULES = shapes.BLOCK_RULES = block_rules.BLOCK_RULES
from segsearch.trial.child import main
main()
"""


def test_a_module_that_aborts_fails_its_trial_with_the_signal_and_the_stage(order: Task, notebook: Notebook) -> None:
    path = ARCHITECTURE.paths[0]
    stages = (path.stages[0], replace(path.stages[1], block="aborts"))
    bad = Candidate(replace(ARCHITECTURE, paths=(replace(path, stages=stages),)))
    with contained(order, command=[sys.executable, "-c", ABORTS]) as child:
        with pytest.raises(TrialFailed) as failure:
            child.evaluate(0, bad, notebook)
        assert failure.value.kind == "crash"
        said = str(failure.value)
        assert said.startswith("The process died of SIGABRT in train: ")
        assert "bad_alloc" in said
        assert child.evaluate(1, PLAIN, notebook).confusion is not None


def test_what_a_library_prints_disturbs_nothing(order: Task, notebook: Notebook) -> None:
    chatty = (
        "import os\nfrom segsearch.trial.child import main\nimport segsearch.trial.evaluate as e\nreal = e.evaluate\n"
    )
    chatty += "def loud(*a, **k):\n    os.write(1, b'half a line')\n    print('more')\n    return real(*a, **k)\n"
    chatty += "e.evaluate = loud\n"
    with contained(order, command=[sys.executable, "-c", chatty + "main()"]) as child:
        assert child.evaluate(0, PLAIN, notebook).confusion is not None


@pytest.mark.parametrize(
    ("decided", "spins"),
    [({}, "2000"), ({"GOMP_SPINCOUNT": "77"}, "77"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
    ids=["by nobody", "by its rounds", "by its policy"],
)
def test_threads_that_train_sleep_soon_unless_somebody_decided_how_they_wait(
    order: Task, notebook: Notebook, monkeypatch: pytest.MonkeyPatch, decided: dict[str, str], spins: str | None
) -> None:
    """A training whose threads stay awake for each other takes many times as long beside one busy process."""
    for name in DECIDED:
        monkeypatch.delenv(name, raising=False)
    for name, value in decided.items():
        monkeypatch.setenv(name, value)
    with contained(order) as child:
        child.gate(0, PLAIN, notebook)
        assert child.process is not None
        found = psutil.Process(child.process.pid).environ()
    assert found.get("GOMP_SPINCOUNT") == spins
    assert {name: found[name] for name in decided} == decided


def test_looks_at_a_long_training_are_told_with_their_stage(order: Task, notebook: Notebook) -> None:
    """The steps of a pruned model's two trainings are counted apart: whoever shows them must know which they are."""
    heard = list[tuple[str, int, float, float, int]]()
    recipe = Recipe(epochs=4, ema=0.9, auxiliary=0.4, small_start=0.0, balanced=False)
    with contained(order, looked=lambda *look: heard.append(look)) as child:
        found = child.grow(replace(WHOLE, distill=None), recipe, 0, notebook)
    assert found.evidence.confusion is not None
    assert list(dict.fromkeys(stage for stage, *_ in heard)) == ["train", "fine-tune"]
    ends = {stage: (step, total) for stage, step, _, _, total in heard}
    assert all(step == total for step, total in ends.values())


def test_a_child_that_died_between_two_trials_is_started_again(order: Task, notebook: Notebook) -> None:
    with contained(order) as child:
        child.evaluate(0, PLAIN, notebook)
        assert child.process is not None
        os.kill(child.process.pid, signal.SIGKILL)
        child.process.wait()
        assert child.evaluate(1, INT8, notebook).confusion is not None


def test_errors_arrive_as_what_they_were(order: Task, tmp_path: Path, notebook: Notebook) -> None:
    impossible = make_order(tmp_path, limits=["params<=10"])
    with contained(impossible) as child, pytest.raises(Rejected, match=r"params<=10 broken by \d+") as rejection:
        child.evaluate(0, PLAIN, notebook)
    assert [str(limit) for limit in rejection.value.broken] == ["params<=10"]
    assert rejection.value.evidence.params > 10
    wrong = replace(PLAIN, architecture=replace(ARCHITECTURE, paths=()))
    with contained(order) as child:
        with pytest.raises(TrialFailed, match="must hold at least one path") as failure:
            child.evaluate(0, wrong, notebook)
        assert failure.value.kind == "gate"
        with pytest.raises(StudyError, match="none of 1 could"):
            child.estimate([wrong], notebook.artifacts)
        assert child.estimate([PLAIN], notebook.artifacts).gate_seconds > 0


def test_a_study_that_cannot_be_carried_out_is_told_at_the_start(tmp_path: Path, notebook: Notebook) -> None:
    large = {"epochs": 1, "height": 32, "width": 48, "batch_size": 64}
    with contained(make_order(tmp_path, train=large)) as child:
        for _ in range(2):
            with pytest.raises(StudyError, match=r"at most the number of training images \(8\), got 64"):
                child.evaluate(0, PLAIN, notebook)


def test_data_that_changed_meanwhile_is_told(order: Task, notebook: Notebook) -> None:
    with contained(replace(order, data_key="another")) as child, pytest.raises(DataError, match="changed while it ran"):
        child.evaluate(0, PLAIN, notebook)


def test_a_child_that_cannot_start_is_no_failed_trial(order: Task, notebook: Notebook) -> None:
    died = [sys.executable, "-c", "import os, sys; print('no such library', file=sys.stderr, flush=True); os.abort()"]
    with (
        contained(order, command=died) as child,
        pytest.raises(UserError, match=r"SIGABRT: no such library. `segsearch doctor`"),
    ):
        child.evaluate(0, PLAIN, notebook)


def test_a_mistake_of_ours_keeps_its_traceback(order: Task, notebook: Notebook) -> None:
    broken = "import segsearch.trial.evaluate as e\ndef evaluate(*a, **k): return 1 / 0\ne.evaluate = evaluate\n"
    broken += "from segsearch.trial.child import main\nmain()"
    child = contained(order, command=[sys.executable, "-c", broken])
    with child as working, pytest.raises(RuntimeError, match="ZeroDivisionError"):
        working.evaluate(0, PLAIN, notebook)


@pytest.mark.parametrize(
    ("stage", "raised"),
    [("export", "OSError(5, 'the folder is away')"), ("export", "float('nan')"), ("teacher", "OSError(5, 'away')")],
)
def test_whatever_leaves_a_stage_leaves_nobody_waiting(
    order: Task, notebook: Notebook, stage: str, raised: str
) -> None:
    """An error that is none of ours, and an outcome that is no JSON: both sides must hear of it."""
    broken = f"""
from segsearch.trial import stages
real = stages.Stages.once
def once(self, name, key, make):
    def bad():
        error = {raised}
        if name != {stage!r}:
            return make()
        if isinstance(error, Exception):
            raise error
        return {{"weights": error}}
    return self.workshop.once(name, key, bad) if name == {stage!r} else real(self, name, key, make)
stages.Stages.once = once
from segsearch.trial.child import main
main()
"""
    with contained(order, command=[sys.executable, "-c", broken]) as child:
        with pytest.raises((RuntimeError, TrialFailed)):
            child.evaluate(0, WHOLE, notebook)
        assert stage not in notebook.outcomes


def test_a_teacher_that_is_lost_twice_ends_the_study_and_not_each_student(
    order: Task, notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAYS_IN", "teacher")

    def kill(stage: str, done: int, total: int, /) -> None:
        if stage == "teacher" and child.process is not None:
            os.kill(child.process.pid, signal.SIGKILL)

    with contained(order, progress=kill, command=[sys.executable, "-c", STAYS]) as child:
        with pytest.raises(TrialFailed, match="SIGKILL in teacher"):
            child.evaluate(0, WHOLE, notebook)
        with pytest.raises(StudyError, match=r"could not be trained, twice: .*SIGKILL in teacher.* Change \[teacher\]"):
            child.evaluate(1, WHOLE, notebook)


class Full(Notebook):
    """A workshop whose disk is full when the outcome of training is to be kept."""

    def once(self, stage: str, key: str, make: object, /) -> Outcome:
        outcome = super().once(stage, key, make)  # type: ignore[arg-type]
        if stage == "train":
            raise StorageFull("no room left")
        return outcome


def test_trouble_of_the_parent_ends_the_child_and_not_in_silence(order: Task, tmp_path: Path) -> None:
    with contained(order) as child:
        with pytest.raises(StorageFull):
            child.evaluate(0, PLAIN, Full(Artifacts(tmp_path / "artifacts")))
        assert child.process is None, "it waited for an answer that will not come"
        assert child.evaluate(0, PLAIN, Notebook(Artifacts(tmp_path / "artifacts"))).confusion is not None


def test_an_interrupt_ends_the_child_within_seconds_and_leaves_no_scratch(order: Task, notebook: Notebook) -> None:
    def interrupt(stage: str, done: int, total: int, /) -> None:
        if stage == "export":
            raise KeyboardInterrupt

    with contained(order, progress=interrupt) as child:
        with pytest.raises(KeyboardInterrupt):
            child.evaluate(0, PLAIN, notebook)
        assert child.process is None
    assert not list(notebook.artifacts.folder.glob(".tmp-*"))


PARENT = """
import sys
from pathlib import Path
from segsearch.trial.child import Task
from segsearch.trial.contained import contained
from segsearch.workshop import Artifacts, Forgetful
from segsearch.space.candidate import Candidate
from segsearch.space.keys import from_json
import json
order = Task(**json.loads(sys.argv[1]))
def show(stage, done, total):
    print(stage, flush=True)
with contained(order, progress=show) as child:
    child.evaluate(0, from_json(Candidate, sys.argv[2]), Forgetful(Artifacts(Path(order.artifacts))))
"""


@pytest.mark.parametrize(
    ("stage", "number"), [("gate", signal.SIGKILL), ("train", signal.SIGKILL), ("train", signal.SIGTERM)]
)
def test_a_parent_that_dies_leaves_no_orphan(tmp_path: Path, stage: str, number: int) -> None:
    order = make_order(tmp_path, train={"epochs": 100_000})  # a loaded machine looks late: it must still be at it
    arguments, said = [sys.executable, "-c", PARENT, json.dumps(asdict(order)), to_json(WHOLE)], tmp_path / "said"
    with (
        said.open("w") as errors,
        subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=errors, text=True) as parent,
    ):
        assert parent.stdout is not None
        reached = any(line.strip() == stage for line in parent.stdout)
        assert reached, f"it ended before: {said.read_text()}"
        if stage == "gate":
            time.sleep(0.5)  # amid the timing, which has a process of its own
        left = psutil.Process(parent.pid).children(recursive=True)
        assert any(map(trains, left)), (left, parent.poll())
        parent.send_signal(number)
        parent.wait(30)
    wait_until_gone(*left)


def test_signals_to_the_whole_group_are_the_parents_to_handle(order: Task, notebook: Notebook) -> None:
    def signals(stage: str, done: int, total: int, /) -> None:
        if stage == "train" and child.process is not None:
            os.kill(child.process.pid, signal.SIGTERM)

    with contained(order, progress=signals) as child:
        assert child.evaluate(0, PLAIN, notebook).confusion is not None


HUNGRY = """
import segsearch.trial.memory_limit as m
m.memory_bytes = lambda: 2**30
from segsearch.trial.child import main
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit is Linux's")
def test_more_memory_than_there_may_be_fails_the_trial_and_not_the_machine(order: Task, notebook: Notebook) -> None:
    wide = replace(PLAIN.architecture, head=replace(PLAIN.architecture.head, channels=120_000))
    with contained(order, command=[sys.executable, "-c", HUNGRY]) as child:
        with pytest.raises(TrialFailed) as failure:
            child.evaluate(0, Candidate(wide), notebook)
        assert failure.value.kind == "memory"
        assert str(failure.value).startswith("Memory ran out: ")
        assert child.evaluate(1, PLAIN, notebook).confusion is not None
