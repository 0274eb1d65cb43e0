"""Numbers without weights are those of the network itself, and what cannot be built says why."""

from __future__ import annotations

import pytest

from segsearch.errors import TrialFailed
from segsearch.networks import build
from segsearch.references import REFERENCES
from segsearch.space.architecture import Architecture, EncoderPath, Head, Stage, Stem
from segsearch.trial.counts import counts_of
from segsearch.trial.export import count_macs, count_params


@pytest.mark.parametrize("name", ["unet-mobile", "deeplab-v3-mobile"])
def test_they_are_those_of_the_network_with_its_weights(name: str) -> None:
    architecture = REFERENCES[name].make()
    network = build(architecture, 5)
    assert counts_of(architecture, 5, (64, 96)) == (count_params(network), count_macs(network, (64, 96)))


def test_what_cannot_be_built_says_why() -> None:
    path = EncoderPath(Stem(8), (Stage("no such block", 8, 1),))
    with pytest.raises(TrialFailed, match=r"A block must be one of .*, got 'no such block'") as raised:
        counts_of(Architecture((path,), (), Head(8)), 5, (64, 96))
    assert raised.value.kind == "build"
