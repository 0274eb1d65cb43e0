"""Fake quantization: numbers as the int8 file holds them, in float, with a gradient that goes straight through.

The arithmetic is that of ONNX Runtime and its quantizer: rounding half to even, saturation, weights symmetric and per
output channel, biases in int32 at the input's scale times the weight's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

# As ONNX Runtime's quantizer has them: a bias must fit into 32 bits, with a little room.
_BIAS_ROOM = 1.0001
_INT32 = 2**31 - 1
# 7 of the 8 bits of a weight, and all of them.
REDUCED, FULL = 64, 127


class _Straight(torch.autograd.Function):
    """Takes another value and passes the gradient on as it comes."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, other: Tensor) -> Tensor:
        return other

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, None]:
        return gradients[0], None


def straight_through(value: Tensor, other: Tensor) -> Tensor:
    """`other`, exactly, with the gradient of `value`."""
    return _Straight.apply(value, other)  # type: ignore[no-any-return, no-untyped-call]


def weight_scales(weight: Tensor, most: int, *, bias: Tensor | None, input_scale: Tensor) -> Tensor:
    """The scale of each output channel of weights (out, in, h, w), float32: (out,).

    The largest weight is +-`most` steps; of a channel that is all zero a step is 1. Where a bias would not fit into 32
    bits the channel's scale is as much larger: so a dead channel keeps its bias.
    """
    largest = weight.detach().abs().amax(dim=(1, 2, 3)).double()
    scales = (2 * largest) / (2 * most)
    scales = torch.where(scales < torch.finfo(torch.float32).tiny, torch.ones_like(scales), scales).float()
    if bias is None:
        return scales
    least = (_BIAS_ROOM * (2.0 * bias.detach().abs())).double() / (2.0 * _INT32)
    found = input_scale.detach().double() * scales.double()
    return torch.where((found < least) & (found > 0), scales.double() * (least / found), scales.double()).float()


class ActivationQuantizer(nn.Module):
    """A map as the file holds it in 8 bits: `scale`, and a zero point from `lowest` to `highest`.

    The gradient is zero where a value was cut off. With `learn` the scale learns, too (Esser et al.,
    arXiv:1902.08153).
    """

    def __init__(self, scale: float, zero_point: int, *, signed: bool, learn: bool = False) -> None:
        super().__init__()
        self.zero_point = zero_point
        self.lowest, self.highest = (-128, 127) if signed else (0, 255)
        self._begun = scale
        self._scale: Tensor
        self.register_buffer("_scale", torch.tensor(scale), persistent=False)
        self.relative_scale = nn.Parameter(torch.ones(())) if learn else None

    @property
    def scale(self) -> Tensor:
        return self._scale if self.relative_scale is None else self._scale * self.relative_scale.clamp(min=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        if self.relative_scale is None:
            return torch.fake_quantize_per_tensor_affine(x, self._begun, self.zero_point, self.lowest, self.highest)
        scale, zero = self.scale.reshape(1), torch.full_like(self._scale, self.zero_point).reshape(1)
        least = 1.0 / (x.numel() * (self.highest - self.lowest)) ** 0.5
        return torch._fake_quantize_learnable_per_tensor_affine(x, scale, zero, self.lowest, self.highest, least)


def _units(values: Tensor) -> Tensor:
    """A power of two about as large as the values along the first axis, so that to divide by it loses nothing."""
    largest = values.abs().reshape(values.shape[0], -1).amax(dim=1)
    largest = torch.where(largest > 0, largest, torch.ones_like(largest))
    return torch.exp2(largest.log2().ceil()).reshape(-1, *[1] * (values.dim() - 1))


class FloatWeights(nn.Module):
    """A convolution's weights (out, in, h, w) and bias (out,) that the file holds in float.

    What learns is relative to the largest weight of its channel and to the largest bias: batch norm is folded in, so
    that channels differ by orders of magnitude, and an optimizer's step must mean as much in each.
    """

    def __init__(self, weight: NDArray[np.float32], bias: NDArray[np.float32] | None) -> None:
        super().__init__()
        whole = torch.from_numpy(weight.copy())
        self.weight_units: Tensor
        self.register_buffer("weight_units", _units(whole), persistent=False)
        self.relative_weight = nn.Parameter(whole / self.weight_units)
        self.bias_unit: Tensor
        self.relative_bias: nn.Parameter | None = None
        if bias is not None:
            added = torch.from_numpy(bias.copy())
            self.register_buffer("bias_unit", _units(added[None])[0], persistent=False)
            self.relative_bias = nn.Parameter(added / self.bias_unit)

    @property
    def weight(self) -> Tensor:
        return self.relative_weight * self.weight_units

    @property
    def bias(self) -> Tensor | None:
        return None if self.relative_bias is None else self.relative_bias * self.bias_unit

    def forward(self) -> tuple[Tensor, Tensor | None]:
        return self.weight, self.bias


class QuantizedWeights(FloatWeights):
    """A convolution's weights (out, in, h, w) and bias (out,), learnt in float and seen as the file holds them.

    Weights are int8 within +-`most`, each output channel by a scale of its own that follows the weights. Biases are
    int32, or float where the file has them so.
    """

    def __init__(
        self,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32] | None,
        *,
        most: int,
        source: ActivationQuantizer,
        whole_bias: bool = True,
    ) -> None:
        super().__init__(weight, bias)
        self.most, self.whole_bias = most, whole_bias
        self._source = (source,)  # no part of this module: its scale is another's to learn

    @property
    def input_scale(self) -> Tensor:
        return self._source[0].scale

    def integers(self) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """Weights in int8 and their scales (out,), biases in int32 and theirs; None without biases in integers."""
        with torch.no_grad():
            weight, bias = self.weight, self.bias if self.whole_bias else None
            scales = weight_scales(weight, self.most, bias=bias, input_scale=self.input_scale)
            steps = (weight / scales[:, None, None, None]).round().clamp(-128, 127)
            if bias is None:
                return steps.to(torch.int8), scales, None, None
            fine = self.input_scale * scales
            whole = (bias.double() / fine.double()).round().clamp(-_INT32 - 1, _INT32)
            return steps.to(torch.int8), scales, whole.to(torch.int32), fine

    def forward(self) -> tuple[Tensor, Tensor | None]:
        steps, scales, whole, fine = self.integers()
        weight = straight_through(self.weight, steps.float() * scales[:, None, None, None])
        bias = self.bias
        if bias is None or whole is None or fine is None:
            return weight, bias
        return weight, straight_through(bias, whole.float() * fine)
