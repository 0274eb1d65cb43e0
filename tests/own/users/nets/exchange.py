"""Two branches that exchange, after HRNet."""

import torch.nn as nn
import torch.nn.functional as F

from .layers import BasicBlock, conv3x3


class Exchange(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(BasicBlock(w), BasicBlock(w)) for w in widths)
        self.fuse_layers = nn.ModuleList()
        for i, out in enumerate(widths):
            row = nn.ModuleList()
            for j, inp in enumerate(widths):
                if i == j:
                    row.append(nn.Identity())
                elif j > i:
                    row.append(nn.Sequential(nn.Conv2d(inp, out, 1, bias=False), nn.BatchNorm2d(out)))
                else:
                    steps, channels = [], inp
                    for step in range(i - j):
                        last = step == i - j - 1
                        steps += [conv3x3(channels, out if last else inp, stride=2)]
                        steps += [nn.BatchNorm2d(out if last else inp)]
                        steps += [] if last else [nn.ReLU(inplace=True)]
                        channels = inp
                    row.append(nn.Sequential(*steps))
            self.fuse_layers.append(row)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, xs):
        xs = [branch(x) for branch, x in zip(self.branches, xs)]
        out = []
        for i, row in enumerate(self.fuse_layers):
            y = None
            for j, layer in enumerate(row):
                z = layer(xs[j])
                if j > i:
                    z = F.interpolate(z, size=xs[i].shape[-2:], mode="bilinear", align_corners=False)
                y = z if y is None else y + z
            out.append(self.relu(y))
        return out
