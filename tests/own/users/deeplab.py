"""DeepLabV3+ on MobileNetV2."""

import torch
from torch import nn
from torch.nn import functional as F


class ConvBNReLU(nn.Sequential):
    def __init__(self, inp, oup, kernel_size=3, stride=1, groups=1, dilation=1):
        padding = (kernel_size - 1) // 2 * dilation
        super().__init__(
            nn.Conv2d(inp, oup, kernel_size, stride, padding, dilation, groups, bias=False),
            nn.BatchNorm2d(oup),
            nn.ReLU6(inplace=True),
        )


class InvertedResidual(nn.Module):
    def __init__(self, inp, oup, stride, expand_ratio, dilation=1):
        super().__init__()
        hidden = int(round(inp * expand_ratio))
        self.use_res_connect = stride == 1 and inp == oup
        layers = []
        if expand_ratio != 1:
            layers.append(ConvBNReLU(inp, hidden, kernel_size=1))
        layers += [
            ConvBNReLU(hidden, hidden, stride=stride, groups=hidden, dilation=dilation),
            nn.Conv2d(hidden, oup, 1, bias=False),
            nn.BatchNorm2d(oup),
        ]
        self.conv = nn.Sequential(*layers)

    def forward(self, x):
        if self.use_res_connect:
            return x + self.conv(x)
        return self.conv(x)


class ASPP(nn.Module):
    def __init__(self, in_channels, out_channels, rates):
        super().__init__()
        self.convs = nn.ModuleList([ConvBNReLU(in_channels, out_channels, 1)])
        for rate in rates:
            self.convs.append(ConvBNReLU(in_channels, out_channels, 3, dilation=rate))
        self.pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.ReLU(inplace=True)
        )
        self.project = nn.Sequential(ConvBNReLU((2 + len(rates)) * out_channels, out_channels, 1), nn.Dropout(0.5))

    def forward(self, x):
        res = [conv(x) for conv in self.convs]
        pooled = F.interpolate(self.pool(x), size=x.shape[-2:], mode="bilinear", align_corners=False)
        return self.project(torch.cat([*res, pooled], dim=1))


class DeepLabV3Plus(nn.Module):
    def __init__(self, classes):
        super().__init__()
        cfgs = [
            (1, 16, 1, 1, 1),
            (6, 24, 2, 2, 1),
            (6, 32, 2, 2, 1),
            (6, 64, 2, 2, 1),
            (6, 96, 2, 1, 1),
            (6, 160, 1, 1, 2),
        ]
        features, inp = [ConvBNReLU(3, 32, stride=2)], 32
        for t, c, n, s, d in cfgs:
            for i in range(n):
                features.append(InvertedResidual(inp, c, s if i == 0 else 1, t, d))
                inp = c
        self.low_level = nn.Sequential(*features[:4])
        self.high_level = nn.Sequential(*features[4:])
        self.aspp = ASPP(inp, 64, (3, 6))
        self.project = ConvBNReLU(24, 16, 1)
        self.classifier = nn.Sequential(ConvBNReLU(64 + 16, 64), nn.Conv2d(64, classes, 1))

    def forward(self, x):
        low = self.low_level(x)
        high = self.aspp(self.high_level(low))
        high = F.interpolate(high, size=low.shape[-2:], mode="bilinear", align_corners=False)
        out = self.classifier(torch.cat([self.project(low), high], dim=1))
        return F.interpolate(out, size=x.shape[-2:], mode="bilinear", align_corners=False)


def network():
    torch.manual_seed(3)
    return DeepLabV3Plus(8)
