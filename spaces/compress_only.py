"""The compression of a network that somebody brought, and nothing else: what `segsearch compress` searches.

The network is the study's (`[network]`), and so are the ways of compressing it: what cannot be done with it is not
drawn. The first choice of each parameter leaves it as it is.
"""

from dataclasses import replace

from segsearch.space import Candidate, Distill, Draw, Factorize, Facts, OwnNetwork, Prune, Quantize

# The choices that leave the network as it was brought, where all ways are open and nobody teaches.
UNTOUCHED = {"pruned": "0", "rank": "1", "bits": "32", "answer_scale": "1"}


def draw(choose: Draw, facts: Facts) -> Candidate:
    network = facts.network
    if network is None:
        raise ValueError("this space needs a study with a [network] table; `segsearch compress MODEL.py` writes one")
    before: tuple[Prune | Factorize, ...] = (*draw_prune(choose, facts), *draw_factorize(choose, facts))
    return Candidate(
        network if facts.output == "scores" else at_answer_scale(choose, network),
        distill=draw_distill(choose) if before and facts.has_teacher else None,
        before_export=before,
        after_export=draw_quantize(choose, facts),
    )


def draw_prune(choose: Draw, facts: Facts) -> tuple[Prune, ...]:
    """A share of the channels of every layer that can lose some; what is left learns on for a while.

    Layers of few channels have only multiples of 8 to go to; of more, multiples of 16 are quicker
    (`benchmarks/widths.py`).
    """
    if "prune" not in facts.ways:
        return ()
    ratio = float(choose.suggest_categorical("pruned", ("0", "0.125", "0.25", "0.375", "0.5")))
    if not ratio:
        return ()
    criterion = choose.suggest_categorical("criterion", ("l1", "l2", "taylor"))
    return (Prune(ratio, criterion, round_to=int(choose.suggest_categorical("multiple", ("8", "16")))),)


def draw_factorize(choose: Draw, facts: Facts) -> tuple[Factorize, ...]:
    """Convolutions of so small a rank, where that saves enough."""
    if "factorize" not in facts.ways:
        return ()
    rank = float(choose.suggest_categorical("rank", ("1", "0.5", "0.25")))
    return () if rank == 1 else (Factorize(rank),)


def draw_distill(choose: Draw) -> Distill | None:
    """What has lost channels may be taught by the study's teacher, such as the network as it was."""
    weight = float(choose.suggest_categorical("taught", ("0", "0.4", "0.7")))
    return Distill(weight, 2.0, kind="channel") if weight else None


def draw_quantize(choose: Draw, facts: Facts) -> tuple[Quantize, ...]:
    """Floats, int8, mixed: int8 but for the first three convolutions; or mixed and trained on as it is rounded."""
    names = {"int8": "8", "mixed": "mixed", "trained": "trained"}
    bits = choose.suggest_categorical("bits", ("32", *(name for way, name in names.items() if way in facts.ways)))
    if bits == "32":
        return ()
    return (Quantize(float_convolutions=0 if bits == "8" else 3, tail=0.07 if bits == "trained" else 0.0),)


def at_answer_scale(choose: Draw, network: OwnNetwork) -> OwnNetwork:
    """Where a mask's classes are chosen: at the image's size, or coarser and repeated up to it."""
    return replace(network, answer_scale=float(choose.suggest_categorical("answer_scale", ("1", "0.5", "0.25"))))
