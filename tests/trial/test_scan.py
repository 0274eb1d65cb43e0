from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from segsearch.networks import build
from segsearch.networks.layers import Conv2d
from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
from segsearch.space.steps import Factorize, Prune
from segsearch.trial.convolutions import SCANNER, Convolution, ScanOrder, scan_convolutions
from segsearch.trial.making import apply_model_steps
from segsearch.trial.scan import apart, attempt, convolutions_of, tried

SPACES = sorted((Path(__file__).parents[2] / "spaces").glob("[!_]*.py"))

# A scanner whose convolutions of 3x3 with a stride end the process, as the broken ones of a library do.
CRASHING = """
import os, sys
from segsearch.trial import scan
def attempt(conv):
    if conv.kernel == 3 and conv.stride == 2 and conv.inputs == 3:
        os.abort()
    return scan.attempt(conv)
sys.exit(scan.main(attempt))
"""


def conv(inputs: int = 8, outputs: int = 16, kernel: int = 1, stride: int = 2, groups: int = 1) -> Convolution:
    return Convolution(inputs, outputs, kernel, stride, 1, groups, False, 12, 16, True)


# What a network that somebody brought holds is not drawn.
@pytest.mark.parametrize("path", [path for path in SPACES if path.stem != "compress_only"], ids=lambda path: path.stem)
def test_every_convolution_that_a_space_draws_learns_and_ends_nothing(path: Path) -> None:
    mobile = path.stem == "mobile"
    found = scan_convolutions(str(path), draws=12 if mobile else 4)
    assert not found.faults, "\n".join(f"{fault.what}: {fault.reason}" for fault in found.faults)
    assert len(found.tried) > (200 if mobile else 30)
    assert {one.kernel for one in found.tried} >= {1, 3}
    assert not mobile or any(one.kernel == 1 and one.stride == 2 for one in found.tried)


def test_the_scan_looks_at_pruned_widths_too() -> None:
    # 24 channels were sound where the 16 that pruning leaves of them were not.
    path = EncoderPath(Stem(16), (Stage("residual", 24, 1, 2), Stage("conv", 32, 1)))
    network = build(Architecture((path,), (), Head(32)), 5)
    before = convolutions_of(network, 32, 48)
    network = apply_model_steps(network, (Prune(0.25),))
    after = convolutions_of(network, 32, 48)
    shortcut = [one for one in before if one.kernel == 1 and one.stride == 2]
    assert [str(one) for one in shortcut] == ["16 -> 24, 1x1, stride 2, on 16x24, channels_last"]
    pruned = [one for one in after if one.kernel == 1 and one.stride == 2]
    assert [str(one) for one in pruned] == ["16 -> 16, 1x1, stride 2, on 16x24, channels_last"]
    assert len(before) == len(after) == 7


def test_the_scan_looks_at_factors_too() -> None:
    path = EncoderPath(Stem(16), (Stage("residual", 64, 1, 2), Stage("residual", 96, 1, 2)))
    network = build(Architecture((path,), (), Head(32)), 5)
    network = apply_model_steps(network, (Factorize(0.25, least_macs=0),))
    found = [str(one) for one in convolutions_of(network, 64, 96) if one.kernel == 1 and one.stride == 2]
    assert found == [
        "16 -> 8, 1x1, stride 2, on 32x48, channels_last",
        "64 -> 16, 1x1, stride 2, on 16x24, channels_last",
    ]


def test_a_crash_is_told_with_its_convolution_and_the_rest_is_tried() -> None:
    found = scan_convolutions("mobile", draws=4, scanner=[sys.executable, "-c", CRASHING])
    assert found.faults
    for fault in found.faults:
        assert fault.reason == "SIGABRT"
        assert fault.convolution is not None
        assert (fault.convolution.inputs, fault.convolution.kernel, fault.convolution.stride) == (3, 3, 2)
        assert "3 -> " in fault.what
        assert "3x3, stride 2, on 96x128" in fault.what
    guilty = {fault.convolution for fault in found.faults}
    assert len(set(found.tried) - guilty) > 100


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGSEGV, "SIGSEGV"), (signal.SIGKILL, "SIGKILL"), (signal.SIGBUS, "SIGBUS")]
)
def test_the_signal_is_named(number: int, name: str) -> None:
    bad, good = conv(inputs=8), conv(inputs=16)
    faults = tried([good, bad, good], lambda one: os.kill(os.getpid(), number) if one == bad else None)
    assert [(fault.convolution, fault.reason) for fault in faults] == [(bad, name)]


def test_a_crash_that_shows_only_later_is_not_lost() -> None:
    # What writes beyond its memory may end the process at its neighbour's turn, and never alone.
    count = [0]

    def third(one: Convolution) -> str | None:
        count[0] += 1
        if count[0] == 3:
            os.abort()
        return None

    several = [conv(inputs=width) for width in (8, 16, 24, 32)]
    (fault,) = tried(several, third)
    assert fault.reason == "SIGABRT"
    assert fault.convolution == several[2]
    assert "only after others" in fault.what


def test_a_convolution_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segsearch.trial.scan.PATIENCE_SECONDS", 1)
    (fault,) = tried([conv()], lambda one: time.sleep(60))  # type: ignore[func-returns-value]
    assert fault.reason == "no end after 1 s"


def test_wrong_numbers_and_errors_are_faults_too() -> None:
    faults = tried([conv(8), conv(16)], lambda one: "not finite" if one.inputs == 8 else None)
    assert [fault.reason for fault in faults] == ["not finite"]
    told = attempt(Convolution(6, 6, 3, 1, 1, 2, True, 1, 1, True))
    assert told is None
    assert str(attempt(conv(inputs=8, kernel=3, stride=0))).startswith("RuntimeError: ")


def test_the_attempt_runs_backward(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[torch.Tensor] = []

    def spoiled(self: Conv2d, x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x.sqrt().mean(dim=(1, 2, 3)) + self.weight.sum()  # finite forward, infinite backward at 0

    monkeypatch.setattr(Conv2d, "forward", spoiled)
    monkeypatch.setattr(torch, "randn", lambda *size: torch.zeros(size))
    assert attempt(conv()) == "not finite"
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_a_fork_tells_what_it_has_before_it_ends() -> None:
    def work(tell: object) -> None:
        tell([1, "a"])  # type: ignore[operator]
        os._exit(3)

    assert apart(work) == ([[1, "a"]], "exit code 3")
    assert apart(lambda tell: tell(None)) == ([None], None)


def test_a_scanner_that_cannot_begin_is_a_fault_and_not_a_sound_machine() -> None:
    found = scan_convolutions("mobile", draws=2, scanner=[sys.executable, "-c", "import sys; sys.exit('no torch')"])
    assert [(fault.what, fault.reason) for fault in found.faults] == [("the scan itself", "no torch")]
    assert not found.tried


def test_a_scanner_ends_where_nobody_asks_any_more() -> None:
    order = {"space": "mobile", "draws": list(range(1000)), "height": 96, "width": 128, "parent": 1}
    assert set(order) == set(ScanOrder.__dataclass_fields__)
    done = subprocess.run([*SCANNER], input=json.dumps(order), capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (1, "")


def test_no_scanner_outlives_an_interruption() -> None:
    script = "import os, time; print(os.getpid(), flush=True); time.sleep(900)"
    ask = (
        "import sys\nfrom segsearch.trial.convolutions import scan_convolutions\n"
        "def see(stage, done, total):\n    print('begun', flush=True)\n    raise KeyboardInterrupt\n"
        f"scan_convolutions('mobile', draws=1, progress=see, scanner=[sys.executable, '-c', {script!r}])"
    )
    # Leaving waits for every scanner: one that lives on would hold it.
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, timeout=300)
    assert done.stdout == "begun\n"
    assert "KeyboardInterrupt" in done.stderr


def test_a_space_that_prints_disturbs_nothing(tmp_path: Path) -> None:
    loud = tmp_path / "loud.py"
    quiet = (SPACES[0].parent / "mobile.py").read_text()
    loud.write_text("print('hello')\n" + quiet.replace("def draw(choose", "def drawn(choose", 1))
    with loud.open("a") as file:
        file.write("\n\ndef draw(choose, facts):\n    print('a draw', flush=True)\n    return drawn(choose, facts)\n")
    found = scan_convolutions(str(loud), draws=2)
    assert not found.faults
    assert found.tried


def test_a_scanner_that_says_what_is_no_answer_is_a_fault_and_no_endless_wait() -> None:
    found = scan_convolutions("mobile", draws=1, scanner=[sys.executable, "-c", "print('what?')"])
    assert [fault.what for fault in found.faults] == ["the scan itself"]
    assert "not understood" in found.faults[0].reason
