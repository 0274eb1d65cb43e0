"""The arithmetic of the int8 file, in float: rounding, saturation, scales of channels, gradients."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper

from segsearch.compression.fake_quantize import (
    FULL,
    REDUCED,
    ActivationQuantizer,
    FloatWeights,
    QuantizedWeights,
    weight_scales,
)

UNIT = ActivationQuantizer(0.25, 0, signed=False)


def runtime_says(values: np.ndarray, scale: float, zero: int, kind: int) -> np.ndarray:
    """Quantized and back by ONNX Runtime itself."""
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"]),
    ]
    values_in = helper.make_tensor_value_info("x", TensorProto.FLOAT, list(values.shape))
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    constants = [
        helper.make_tensor("scale", TensorProto.FLOAT, [], [scale]),
        helper.make_tensor("zero", kind, [], [zero]),
    ]
    model = helper.make_model(
        helper.make_graph(nodes, "pair", [values_in], [out], constants),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found: np.ndarray = session.run(None, {"x": values})[0]
    return found


@pytest.mark.parametrize(("zero", "signed"), [(0, False), (3, False), (128, False), (-5, True)])
def test_halves_are_rounded_to_even_and_what_is_out_of_range_saturates(zero: int, signed: bool) -> None:
    values = np.concatenate([np.arange(-300, 300) * 0.5, [-1e6, 1e6]]).astype(np.float32) * 0.25
    expected = runtime_says(values, 0.25, zero, TensorProto.INT8 if signed else TensorProto.UINT8)
    for learn in (False, True):
        quantizer = ActivationQuantizer(0.25, zero, signed=signed, learn=learn)
        assert np.array_equal(quantizer(torch.from_numpy(values)).detach().numpy(), expected)


def test_the_zero_point_at_the_minimum_is_the_relu_and_stops_its_gradient() -> None:
    """The file has no ReLU any more: what lies below 0, and above the range, learns nothing."""
    x = torch.tensor([-1.0, -0.01, 0.3, 63.75, 64.0, 100.0], requires_grad=True)
    found = UNIT(x)
    assert found.tolist() == [0.0, 0.0, 0.25, 63.75, 63.75, 63.75]
    found.sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [0.0, 1.0, 1.0, 1.0, 0.0, 0.0]  # -0.01 rounds to the lowest step and is in the range


def test_a_scale_learns_from_what_it_cuts_off() -> None:
    quantizer = ActivationQuantizer(0.25, 0, signed=False, learn=True)
    quantizer(torch.full((1, 2, 2, 2), 1e3)).sum().backward()
    (scale,) = quantizer.parameters()
    assert scale.grad is not None
    assert float(scale.grad) > 0


def test_each_channel_has_the_scale_of_its_largest_weight() -> None:
    weight = torch.zeros(4, 2, 1, 1)
    weight[0, 0], weight[1, 1], weight[2, 0] = 1.0, -0.01, 1e-42
    scales = weight_scales(weight, REDUCED, bias=None, input_scale=torch.tensor(1.0))
    assert scales.tolist() == pytest.approx([1 / 64, 0.01 / 64, 1.0, 1.0])
    assert weight_scales(weight, FULL, bias=None, input_scale=torch.tensor(1.0))[0] == pytest.approx(1 / 127)


def test_a_channel_that_is_nearly_dead_keeps_its_bias() -> None:
    """At the scale of its weights the bias would need more than 32 bits: the file would hold another one."""
    weight = np.full((2, 1, 1, 1), 1e-9, np.float32)
    bias = np.array([5.0, 1e-9], np.float32)
    _, scales, whole, fine = QuantizedWeights(weight, bias, most=REDUCED, source=UNIT).integers()
    assert scales[0] > 100 * scales[1]
    assert whole is not None
    assert fine is not None
    assert (whole.double() * fine.double()).tolist() == pytest.approx([5.0, 1e-9], rel=1e-3)


@pytest.mark.parametrize("most", [REDUCED, FULL])
def test_weights_never_leave_their_bits_however_they_learn(most: int) -> None:
    """Products of weights with 8 bits overflow in 16 on some processors; a scale that stays behind would do so."""
    torch.manual_seed(0)
    weights = QuantizedWeights(
        np.random.default_rng(0).normal(size=(8, 4, 3, 3)).astype(np.float32), None, most=most, source=UNIT
    )
    for _ in range(20):
        with torch.no_grad():
            weights.relative_weight.add_(torch.randn_like(weights.relative_weight))
        steps = weights.integers()[0].int().abs()
        assert steps.amax(dim=(1, 2, 3)).tolist() == [most] * 8


def test_a_gradient_goes_straight_through_the_rounding_of_weights_and_biases() -> None:
    weights = QuantizedWeights(
        np.full((1, 1, 1, 2), 0.7, np.float32), np.array([0.3], np.float32), most=REDUCED, source=UNIT
    )
    weight, bias = weights()
    assert bias is not None
    (weight.sum() * 3 + bias.sum() * 5).backward()
    assert weights.relative_bias is not None
    grads = weights.relative_weight.grad, weights.relative_bias.grad
    assert grads[0] is not None
    assert grads[1] is not None
    units = float(weights.weight_units), float(weights.bias_unit)
    assert grads[0].flatten().tolist() == [3 * units[0]] * 2
    assert grads[1].tolist() == [5 * units[1]]


def test_what_learns_is_exactly_what_was_given() -> None:
    """Channels are brought to one size by powers of two, which lose nothing."""
    weight = (np.random.default_rng(0).normal(size=(6, 3, 3, 3)) * np.logspace(-8, 4, 6)[:, None, None, None]).astype(
        np.float32
    )
    weight[2] = 0
    held = FloatWeights(weight, weight[:, 0, 0, 0])
    assert np.array_equal(held.weight.detach().numpy(), weight)
    assert held.bias is not None
    assert np.array_equal(held.bias.detach().numpy(), weight[:, 0, 0, 0])
    largest = held.relative_weight.detach().abs().amax(dim=(1, 2, 3))
    assert ((largest > 0.49) | (largest == 0)).all()
    assert (largest <= 1).all()
