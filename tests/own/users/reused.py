"""One ReLU for all, a convolution that is called twice, one that has two names, and two that share their weights."""

import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self, classes=8):
        super().__init__()
        self.relu = nn.ReLU()
        self.first = nn.Conv2d(3, 32, 3, padding=1)
        self.bn = nn.BatchNorm2d(32)
        self.again = nn.Conv2d(32, 32, 3, padding=1)
        self.down = nn.Conv2d(32, 64, 3, 2, 1)
        self.refine = nn.Conv2d(64, 64, 3, padding=1)
        self.same = self.refine
        self.left = nn.Conv2d(64, 32, 1)
        self.right = nn.Conv2d(64, 32, 1)
        self.right.weight = self.left.weight
        self.head = nn.Conv2d(96, classes, 1)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, x):
        x = self.relu(self.bn(self.first(x)))
        x = self.relu(self.again(x))
        skip = self.relu(self.again(x) + x)
        y = self.relu(self.down(skip))
        y = self.relu(self.refine(y))
        y = self.relu(self.same(y))
        z = torch.cat([self.left(y), self.right(self.relu(y * 0.5))], 1)
        return self.head(torch.cat([self.up(z), skip], 1))


def network():
    torch.manual_seed(3)
    return Net()
