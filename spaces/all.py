"""Every family of this folder in one space: which one is drawn first, and what it asks for after that."""

from segsearch.space import Candidate, Draw, Facts
from spaces import bisenet, deeplab, efficientnet_lite, espnet, fcn, icnet, mobile, pspnet, unet

FAMILIES = {
    "fcn": fcn,
    "unet": unet,
    "pspnet": pspnet,
    "deeplab": deeplab,
    "icnet": icnet,
    "bisenet": bisenet,
    "espnet": espnet,
    "mobile": mobile,
    "efficientnet_lite": efficientnet_lite,
}


def draw(choose: Draw, facts: Facts) -> Candidate:
    return FAMILIES[choose.suggest_categorical("family", tuple(FAMILIES))].draw(choose, facts)
