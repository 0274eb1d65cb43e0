"""The space of `chain.py`: two networks, and each way of compressing them."""

from segsearch.space import Candidate, Draw, Factorize, Facts, Prune, Quantize
from spaces import efficientnet_lite, mobile

TRAINED = Quantize(float_convolutions=3, tail=0.07)
WAYS: dict[str, tuple[tuple[Prune | Factorize, ...], tuple[Quantize, ...]]] = {
    "float": ((), ()),
    "pruned 1/8": ((Prune(0.125),), ()),
    "pruned 1/4": ((Prune(0.25),), ()),
    "pruned 1/2": ((Prune(0.5),), ()),
    "pruned 1/4 by Taylor": ((Prune(0.25, "taylor"),), ()),
    "rank 1/2": ((Factorize(0.5),), ()),
    "int8": ((), (Quantize(),)),
    "int8 after 3": ((), (Quantize(float_convolutions=3),)),
    "int8, layers by measurement": ((), (Quantize(tolerance=0.005),)),
    "int8, trained": ((), (TRAINED,)),
    "pruned 1/4, int8 after 3": ((Prune(0.25),), (Quantize(float_convolutions=3),)),
    "pruned 1/4, int8, trained": ((Prune(0.25),), (TRAINED,)),
    "pruned 1/2, int8, trained": ((Prune(0.5),), (TRAINED,)),
    "rank 1/2, int8, trained": ((Factorize(0.5),), (TRAINED,)),
    "rank 1/2, pruned 1/4, int8, trained": ((Factorize(0.5), Prune(0.25)), (TRAINED,)),
}


def draw(choose: Draw, facts: Facts) -> Candidate:
    before, after = WAYS[choose.suggest_categorical("way", tuple(WAYS))]
    network = choose.suggest_categorical("network", ("lite0", "residual"))
    drawn = {"lite0": efficientnet_lite, "residual": mobile}[network].draw_architecture(choose, facts)
    return Candidate(drawn, before_export=before, after_export=after)
