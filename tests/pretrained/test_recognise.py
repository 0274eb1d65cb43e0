"""Which network a file is of: known ones by their keys and shapes, all others with the first difference."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from segsearch.errors import StudyError
from segsearch.pretrained.families import LAYOUTS
from segsearch.pretrained.recognise import expected_shapes, recognise
from tests.pretrained.files import KINDS, state_of

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def lite0() -> State:
    return state_of("lite0")


@pytest.mark.parametrize("kind", KINDS)
def test_each_network_is_known_by_its_keys_and_shapes(kind: str) -> None:
    state = state_of(kind)
    assert recognise(state, where="w").name == KINDS[kind][0]
    bare = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    assert recognise(bare, where="w").name == KINDS[kind][0]


def test_layouts_differ() -> None:
    """No file is two networks: every two layouts differ in a key or a shape."""
    found = [expected_shapes(layout) for layout in LAYOUTS]
    assert all(one != other for index, one in enumerate(found) for other in found[:index])


def test_no_two_convolutions_of_a_layout_have_one_name() -> None:
    for layout in LAYOUTS:
        names = [name for key in layout.convolutions() for name in (key.conv, key.norm) if name]
        assert len(set(names)) == len(names), layout.name


def test_what_classifies_may_be_there_or_not(lite0: State) -> None:
    encoder = {key: value for key, value in lite0.items() if not key.startswith(("_conv_head", "_bn1.", "_fc"))}
    assert len(encoder) < len(lite0)
    assert recognise(encoder, where="w").name == "EfficientNet-Lite0"


def without(*keys: str) -> Callable[[State], State]:
    return lambda state: {key: value for key, value in state.items() if key not in keys}


def shaped(name: str, *shape: int) -> Callable[[State], State]:
    return lambda state: {**state, name: torch.zeros(shape)}


SQUEEZE = "_blocks.0._se_reduce.weight"  # EfficientNet-B0's, which is called as Lite0 is otherwise
EXPAND = "_blocks.3._expand_conv.weight"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: {f"encoder.{key}": value for key, value in state.items()}, "keys of another, such as 'encoder."),
        (lambda state: {"fc.weight": torch.zeros(2, 2)}, "keys of another, such as 'fc.weight'"),
        (shaped(SQUEEZE, 8, 32, 1, 1), f"EfficientNet-Lite0, and this is another one: got '{SQUEEZE}', which that has"),
        (shaped(EXPAND, 90, 24, 1, 1), f"got '{EXPAND}' of shape (90, 24, 1, 1) in place of (144, 24, 1, 1)"),
        (without("_bn0.bias"), "EfficientNet-Lite0 must hold its whole encoder, and it lacks '_bn0.bias'; take"),
        (without("_bn0.bias", EXPAND), f"lacks '{EXPAND}' and 1 more of its keys; take a file that is whole."),
    ],
)
def test_a_file_that_is_of_none_says_the_first_difference(
    lite0: State, change: Callable[[State], State], words: str
) -> None:
    with pytest.raises(StudyError, match=re.escape(words)) as raised:
        recognise(change(lite0), where="w.pth")
    assert str(raised.value).startswith("w.pth: ")
    assert len(str(raised.value).splitlines()) == 1


def test_a_file_of_which_most_is_gone_still_says_what_it_lacks(lite0: State) -> None:
    few = {key: value for key, value in lite0.items() if key.startswith(("_conv_stem", "_bn0", "_blocks.0."))}
    with pytest.raises(StudyError, match="of EfficientNet-Lite0 must hold its whole encoder"):
        recognise(few, where="w")


def test_a_larger_network_of_the_same_names_is_another_one() -> None:
    """ResNet-152 has all of ResNet-101's keys, and more."""
    state = {key: torch.zeros(shape) for key, shape in expected_shapes(LAYOUTS[6]).items()}
    assert recognise(state, where="w").name == "ResNet-101"
    more = {key.replace("layer2.3", "layer2.4"): value for key, value in state.items() if key.startswith("layer2.3")}
    with pytest.raises(StudyError, match=r"ResNet-101, and this is another one: got 'layer2\.4\.bn1\.bias'"):
        recognise({**state, **more}, where="w")
