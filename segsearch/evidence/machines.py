"""What names a machine: the key that its latencies are kept under, and the one that it had before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from segsearch.evidence.timing import Machine
from segsearch.space.keys import content_key

# The instruction sets that runtimes choose their kernels by, as Linux spells them. A new kernel of the system, or a
# hypervisor's setting, adds and removes other flags without moving any latency.
INSTRUCTION_SETS = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx_vnni",
    "amx_int8",
    "amx_bf16",
    "neon",
    "asimd",
    "asimddp",
    "i8mm",
    "bf16",
    "sve",
)


def machine_key(machine: Machine) -> str:
    """The key of a machine, whatever stands in its `key`.

    It counts the cores that a measurement may use and does not name them: a scheduler gives others each time. The
    governor and the highest clock are told and not hashed: the reference that is timed in turn feels them as well.
    """
    named = [machine.cpu, str(machine.cores), machine.system, machine.runtime, str(machine.threads)]
    sets = [name for name in INSTRUCTION_SETS if name in machine.flags]
    return content_key(["a machine by the number of its cores", *named, str(len(machine.affinity)), " ".join(sets)])


def former_key(machine: Machine) -> str:
    """The key that segsearch gave this machine up to schema 2: by which cores, all flags, governor and clock."""
    named = [machine.cpu, str(machine.cores), machine.system, machine.runtime, str(machine.threads)]
    told = [str(machine.affinity), " ".join(machine.flags), str(machine.governor), str(machine.max_mhz)]
    return content_key([*named, *told])


def known_as(machine: Machine, stored: Machine) -> Machine:
    """A machine with the reference times and former keys that are stored of it; further ones are its own."""
    references = dict(machine.references) | dict(stored.references)
    aliases = {*machine.aliases, *stored.aliases}
    return replace(machine, references=tuple(sorted(references.items())), aliases=tuple(sorted(aliases)))


def find_machine(wanted: str, keys: Iterable[str], machines: Iterable[Machine]) -> frozenset[str]:
    """Those of `keys` that `wanted` begins; where it begins none, those of machines that had such a key before."""
    among = frozenset(keys)
    found = frozenset(key for key in among if key.startswith(wanted))
    return found or frozenset(machine.key for machine in machines if machine.had(wanted)) & among
