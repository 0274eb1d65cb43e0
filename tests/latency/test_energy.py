"""The processor's energy counter, from a folder that looks as the system's does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from segsearch.evidence.timing import Energy
from segsearch.latency.energy import Counter, Part, find_counter, of_turn


def package(folder: Path, name: str, energy: str, span: str = "1000") -> Path:
    place = folder / name
    place.mkdir(parents=True)
    (place / "energy_uj").write_text(f"{energy}\n")
    (place / "max_energy_range_uj").write_text(f"{span}\n")
    return place / "energy_uj"


def found(folder: Path) -> Counter:
    counter = find_counter(folder)
    assert counter is not None
    return counter


def test_a_reading_and_what_was_spent_since(tmp_path: Path) -> None:
    energy = package(tmp_path, "intel-rapl:0", "400", "262143328850")
    counter = found(tmp_path)
    before = counter.read()
    assert before == (400,)
    energy.write_text("12900\n")
    assert counter.spent_mj(before, counter.read()) == 12.5


def test_a_counter_that_wrapped_around_goes_on_from_its_range(tmp_path: Path) -> None:
    energy = package(tmp_path, "intel-rapl:0", "900", "1000")
    counter = found(tmp_path)
    before = counter.read()
    energy.write_text("50")
    assert counter.spent_mj(before, counter.read()) == 0.15


def test_nothing_spent_is_nothing(tmp_path: Path) -> None:
    package(tmp_path, "intel-rapl:0", "900")
    counter = found(tmp_path)
    assert counter.spent_mj(counter.read(), counter.read()) == 0


def test_packages_add_up_and_each_wraps_at_its_own_range(tmp_path: Path) -> None:
    package(tmp_path, "intel-rapl:1", "700", "5000")
    package(tmp_path, "intel-rapl:0", "100", "1000")
    counter = found(tmp_path)
    assert counter.read() == (100, 700)
    assert counter.spent_mj((100, 700), (350, 900)) == 0.45
    assert counter.spent_mj((900, 4900), (100, 100)) == 0.4


def test_parts_of_a_package_are_not_counted_twice(tmp_path: Path) -> None:
    package(tmp_path, "intel-rapl:0", "100")
    package(tmp_path, "intel-rapl:0:0", "40")  # cores
    package(tmp_path, "intel-rapl:0:1", "20")  # memory
    package(tmp_path, "intel-rapl-mmio:0", "100")  # the same package by another way
    (tmp_path / "intel-rapl").mkdir()  # the driver itself
    (tmp_path / "dtpm").mkdir()
    assert found(tmp_path).read() == (100,)


def test_where_there_is_no_counter_there_is_none(tmp_path: Path) -> None:
    assert find_counter(tmp_path) is None
    assert find_counter(tmp_path / "absent") is None
    (tmp_path / "intel-rapl").mkdir()
    assert find_counter(tmp_path) is None


@pytest.mark.parametrize("file", ["energy_uj", "max_energy_range_uj"])
def test_a_counter_that_is_not_whole_is_none(tmp_path: Path, file: str) -> None:
    package(tmp_path, "intel-rapl:0", "100")
    spoiled = package(tmp_path, "intel-rapl:1", "100").parent / file
    spoiled.write_text("")
    assert find_counter(tmp_path) is None
    spoiled.unlink()
    assert find_counter(tmp_path) is None


def test_a_counter_that_may_not_be_read_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    energy = package(tmp_path, "intel-rapl:0", "100")
    if os.geteuid() == 0:  # root reads whatever its mode says
        real = Path.read_text

        def read(self: Path) -> str:
            if self == energy:
                raise PermissionError(13, "Permission denied", str(self))
            return real(self)

        monkeypatch.setattr(Path, "read_text", read)
    else:
        energy.chmod(0)
    assert find_counter(tmp_path) is None


# ---- a turn: idle, model, reference, reference, model, idle

# 10 W idle, 2 W more while the model runs for 10 ms each: 20 mJ. The reference: 1 W more for 5 ms.
IDLE = (Part(2500.0, 0.25), Part(2500.0, 0.25))
MODEL = (Part(3000.0, 0.25, 25), Part(3000.0, 0.25, 25))
REFERENCE = (Part(2750.0, 0.25, 50), Part(2750.0, 0.25, 50))


def test_a_turn_by_hand() -> None:
    assert of_turn(IDLE, MODEL, REFERENCE) == (20.0, Energy((10_000.0, 10_000.0), 100.0, 5.0))


def test_parts_of_different_lengths_lose_the_idle_machine_of_their_own() -> None:
    """3 runs of 0.1 s and 5 of 0.1 s, of 50 mJ each above 1 W."""
    idle = (Part(1000.0, 1.0), Part(500.0, 0.5))
    model = (Part(450.0, 0.3, 3), Part(750.0, 0.5, 5))
    found = of_turn(idle, model, (Part(300.0, 0.2, 2), Part(300.0, 0.2, 2)))
    assert found is not None
    assert found[0] == pytest.approx(50.0)
    assert (found[1].idle_mj, found[1].reference_mj) == (pytest.approx(100.0), pytest.approx(50.0))


def test_what_drifts_steadily_over_the_turn_is_taken_out() -> None:
    """Other work takes 0.1 W more from part to part; the model and the reference are as in the turn by hand."""
    others = [25.0 * number for number in range(6)]
    parts = [
        Part(part.spent_mj + more, part.seconds, part.runs)
        for part, more in zip(
            (IDLE[0], *MODEL, *REFERENCE, IDLE[1]), (others[i] for i in (0, 1, 4, 2, 3, 5)), strict=True
        )
    ]
    found = of_turn((parts[0], parts[5]), (parts[1], parts[2]), (parts[3], parts[4]))
    assert found is not None
    assert found[0] == pytest.approx(20.0)
    assert found[1].idle_mw == (10_000.0, 10_500.0)
    assert (found[1].idle_mj, found[1].reference_mj) == (pytest.approx(102.5), pytest.approx(5.0))


@pytest.mark.parametrize(
    ("idle", "model", "reference"),
    [
        ((IDLE[0], Part(3000.0, 0.25)), MODEL, REFERENCE),  # idle differs by 2 W, and the model adds 1
        ((IDLE[0], Part(1500.0, 0.25)), MODEL, REFERENCE),  # 4 W less afterwards, and the model adds 4
        (IDLE, (Part(2500.0, 0.25, 25),) * 2, REFERENCE),
        (IDLE, (Part(2400.0, 0.25, 25),) * 2, REFERENCE),  # less than idle: other work ended
        (IDLE, MODEL, (Part(2500.0, 0.25, 50),) * 2),
    ],
)
def test_a_turn_that_says_nothing_is_none(
    idle: tuple[Part, Part], model: tuple[Part, Part], reference: tuple[Part, Part]
) -> None:
    assert of_turn(idle, model, reference) is None
