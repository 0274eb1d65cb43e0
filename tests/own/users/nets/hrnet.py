"""A small HRNet of three resolutions; it answers a dict at a quarter of the size, and has a loss on its way."""

import json
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file

from nets.exchange import Exchange
from nets.layers import conv3x3

CONFIG = Path(__file__).with_name("hrnet.json")


class HighResolutionNet(nn.Module):
    def __init__(self, num_classes, widths):
        super().__init__()
        a, b, c = widths
        self.stem = nn.Sequential(
            conv3x3(3, 16, 2),
            nn.BatchNorm2d(16),
            nn.ReLU(inplace=True),
            conv3x3(16, a, 2),
            nn.BatchNorm2d(a),
            nn.ReLU(inplace=True),
        )
        self.transition1 = nn.Sequential(conv3x3(a, b, 2), nn.BatchNorm2d(b), nn.ReLU(inplace=True))
        self.stage2 = Exchange((a, b))
        self.transition2 = nn.Sequential(conv3x3(b, c, 2), nn.BatchNorm2d(c), nn.ReLU(inplace=True))
        self.stage3 = nn.ModuleList([Exchange((a, b, c)), Exchange((a, b, c))])
        self.last_layer = nn.Sequential(
            nn.Conv2d(a + b + c, a + b + c, 1),
            nn.BatchNorm2d(a + b + c),
            nn.ReLU(inplace=True),
            nn.Conv2d(a + b + c, num_classes, 1),
        )
        self.aux_head = nn.Conv2d(a, num_classes, 1)

    def forward(self, x):
        x = self.stem(x)
        xs = self.stage2([x, self.transition1(x)])
        xs = [*xs, self.transition2(xs[1])]
        for module in self.stage3:
            xs = module(xs)
        size = xs[0].shape[-2:]
        ups = [F.interpolate(y, size=size, mode="bilinear", align_corners=False) for y in xs[1:]]
        result = {"features": xs[0], "out": self.last_layer(torch.cat([xs[0], *ups], 1))}
        if self.training:
            result["aux"] = self.aux_head(xs[0])
        return result


def build(weights=None):
    config = json.loads(CONFIG.read_text())
    net = HighResolutionNet(config["classes"], config["widths"])
    if weights is not None:
        net.load_state_dict(load_file(weights))
    return net


def network():
    return build(Path(__file__).with_name("hrnet.safetensors"))
