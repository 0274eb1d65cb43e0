"""Every family of this folder in one space: which one is drawn first, and what it asks for after that."""

from collections.abc import Callable, Mapping

from segsearch.space import Candidate, Draw, Facts
from spaces import bisenet, deeplab, efficientnet_lite, espnet, fcn, icnet, mobile, pspnet, unet

FAMILIES: Mapping[str, Callable[[Draw, Facts], Candidate]] = {
    "fcn": fcn.draw,
    "unet": unet.draw,
    "pspnet": pspnet.draw,
    "deeplab": deeplab.draw,
    "icnet": icnet.draw,
    "bisenet": bisenet.draw,
    "espnet": espnet.draw,
    "mobile": mobile.draw,
    "efficientnet_lite": efficientnet_lite.draw,
}


def draw(choose: Draw, facts: Facts) -> Candidate:
    return FAMILIES[choose.suggest_categorical("family", tuple(FAMILIES))](choose, facts)
