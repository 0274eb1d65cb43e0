"""A machine's key: how many cores and which kernels, the key that it had before, and who answers to it."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from segsearch.evidence.machines import INSTRUCTION_SETS, find_machine, former_key, known_as, machine_key
from segsearch.evidence.timing import Machine

CHIP = Machine(
    "", "A Chip", 4, 1024, "Linux x86_64", "onnxruntime 1.31.1", affinity=(0,), flags=("avx2", "fpu", "sse2")
)
# What segsearch answered for these two before machines were named by the number of their cores.
FORMER = {
    "cc1d596315c4b12d8924bd046b6c92b0e31953a09174ce2ce38c36eb8dab8108": CHIP,
    "d37e9f5c7891ff19db36e7184f24335f467c097f3f7836a5dd81b1558d7ec456": replace(
        CHIP, affinity=(1,), governor="performance", max_mhz=3500.0
    ),
}


def test_a_key_is_the_hash_of_these_words() -> None:
    """Whoever changes it makes every stored machine another one: that takes a migration."""
    words = '["a machine by the number of its cores","A Chip","4","Linux x86_64","onnxruntime 1.31.1","1","1","avx2"]\0'
    assert machine_key(CHIP) == hashlib.sha256(words.encode()).hexdigest()


@pytest.mark.parametrize("key", FORMER)
def test_the_former_key_is_what_it_was(key: str) -> None:
    assert former_key(FORMER[key]) == key


@pytest.mark.parametrize(
    "change",
    [
        {"affinity": (3,)},
        {"flags": ("avx2",)},
        {"flags": ("avx2", "fpu", "vaes")},
        {"governor": "powersave"},
        {"max_mhz": 1234.0},
        {"memory_bytes": 1},
        {"references": (("float32-1", 1.0),)},
        {"aliases": ("a",)},
        {"key": "anything"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_moves_no_latency_names_no_other_machine(change: dict[str, object]) -> None:
    assert machine_key(replace(CHIP, **change)) == machine_key(CHIP)


def test_what_moves_a_latency_names_another_machine() -> None:
    changes: list[dict[str, object]] = [
        {"cpu": "Another Chip"},
        {"cores": 8},
        {"system": "Linux aarch64"},
        {"runtime": "onnxruntime 1.32"},
        {"threads": 2},
        {"affinity": (0, 1)},
        {"affinity": ()},
        {"flags": ()},
        *({"flags": (*CHIP.flags, name)} for name in INSTRUCTION_SETS if name != "avx2"),
    ]
    keys = {machine_key(replace(CHIP, **change)) for change in changes}
    assert len(keys | {machine_key(CHIP)}) == len(changes) + 1


def test_reference_times_that_are_stored_stay() -> None:
    here = replace(CHIP, key="k", affinity=(2,), references=(("float32-1", 1.0), ("int8-2", 3.0)))
    stored = replace(CHIP, key="k", references=(("float32-1", 5.0), ("int8-1", 9.0)), aliases=("old",))
    assert known_as(here, stored) == replace(
        here, references=(("float32-1", 5.0), ("int8-1", 9.0), ("int8-2", 3.0)), aliases=("old",)
    )


def test_a_machine_is_found_by_a_key_that_it_had_before() -> None:
    one, other = replace(CHIP, key="aaaa", aliases=("bbcc", "dddd")), replace(CHIP, key="bbbb", aliases=("ddee",))
    machines, keys = (one, other), ("aaaa", "bbbb")
    assert find_machine("aa", keys, machines) == {"aaaa"}
    assert find_machine("dde", keys, machines) == {"bbbb"}
    assert find_machine("bb", keys, machines) == {"bbbb"}  # a key of today goes before one of former times
    assert find_machine("dd", keys, machines) == {"aaaa", "bbbb"}
    assert find_machine("dde", ("aaaa",), machines) == frozenset()
    assert find_machine("x", keys, machines) == frozenset()
