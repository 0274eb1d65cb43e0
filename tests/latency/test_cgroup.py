from __future__ import annotations

from pathlib import Path

from segsearch.latency.cgroup import Allowance, allowance


def write(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def member(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "membership"
    path.write_text(text)
    return path


def test_the_second_version_says_a_quota_and_a_limit(tmp_path: Path) -> None:
    write(tmp_path / "root", **{"a/b/cpu.max": "150000 100000\n", "a/b/memory.max": "1073741824\n"})
    found = allowance(tmp_path / "root", member(tmp_path, "0::/a/b\n"))
    assert found == Allowance(1.5, 2**30)


def test_the_tightest_limit_on_the_way_up_counts(tmp_path: Path) -> None:
    files = {"a/cpu.max": "50000 100000", "a/b/cpu.max": "max 100000", "a/memory.max": "4096", "a/b/memory.max": "8192"}
    write(tmp_path / "root", **files)
    assert allowance(tmp_path / "root", member(tmp_path, "0::/a/b\n")) == Allowance(0.5, 4096)


def test_the_first_version_has_folders_of_its_own_and_a_number_for_none(tmp_path: Path) -> None:
    files = {
        "cpu/x/cpu.cfs_quota_us": "200000",
        "cpu/x/cpu.cfs_period_us": "100000",
        "cpu/cpu.cfs_quota_us": "-1",
        "cpu/cpu.cfs_period_us": "100000",
        "memory/x/memory.limit_in_bytes": "9223372036854771712",
    }
    write(tmp_path / "root", **files)
    found = allowance(tmp_path / "root", member(tmp_path, "4:memory:/x\n3:cpu,cpuacct:/x\n9:name=systemd:/\n"))
    assert found == Allowance(2.0, None)


def test_inside_a_container_only_the_root_may_be_there(tmp_path: Path) -> None:
    write(tmp_path / "root", **{"memory/memory.limit_in_bytes": "2048", "cpu/other": ""})
    found = allowance(tmp_path / "root", member(tmp_path, "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n"))
    assert found == Allowance(None, 2048)


def test_where_there_are_no_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert allowance(tmp_path / "nowhere", tmp_path / "nothing") == Allowance(None, None)
    assert allowance(tmp_path / "nowhere", member(tmp_path, "0::/\n")) == Allowance(None, None)
