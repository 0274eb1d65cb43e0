"""A packed network is made again and tried on a study's images: its pixels, its export, and what can be compressed."""

from __future__ import annotations

import copy
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import onnx
import safetensors.torch
import torch

from segsearch.compression import GRAPH_STEPS
from segsearch.compression.graph_module import float_module
from segsearch.datasets import Dataset, open_dataset
from segsearch.errors import SegsearchError, StudyError, TrialFailed
from segsearch.networks.answers import masking
from segsearch.networks.layers import resize
from segsearch.networks.own import OwnModule, entry_of
from segsearch.own.answers import noise
from segsearch.own.graph import GraphMaker, header_in
from segsearch.own.header import Left, header_of
from segsearch.own.made import facts_of, made_again
from segsearch.own.prunable import RANKS, fault_after, left_whole, takes_nothing
from segsearch.own.reading import pack
from segsearch.own.sources import hidden, listening
from segsearch.runtimes import RUNTIMES, Image
from segsearch.space.candidate import Output
from segsearch.space.own import OwnNetwork, Pixels, Way
from segsearch.space.steps import Factorize, Quantize
from segsearch.study import Study, load_study
from segsearch.trial.bring_orders import Tried, TryOrder
from segsearch.trial.by_pixels import by_pixels
from segsearch.trial.export import check_parity, count_macs, count_params, export
from segsearch.trial.files import PARITY_IMAGES, spread_over
from segsearch.trial.graph_parity import graph_parity, taken


def tried(order: TryOrder) -> Tried:
    """What is found of a packed network. Raises `UserError` where it cannot be searched."""
    packed, study = Path(order.packed), load_study(order.study)
    module = _made_without(order, packed)
    dataset = open_dataset(study.data, cache=Path(order.cache), texts=order.texts)
    header = header_of(packed)
    own = OwnNetwork(f"{'0' * 64}.safetensors", order.pixels or Pixels())

    def says(image: Image, pixels: Pixels) -> Image:
        asked = OwnModule(module, replace(own, pixels=pixels), facts_of(header)).eval()
        with torch.no_grad():
            answered: Image = asked(torch.from_numpy(image)).numpy()
        return answered

    mious, images = by_pixels(says, dataset, order.pixels)
    if order.pixels is None:
        return Tried(images, mious)
    network = OwnModule(module, own, facts_of(header)).eval()
    _demand_copies(network, header.name)
    parity, trains = _exported(network, dataset, study, header.name)
    ways: list[Way] = ["int8", "mixed"]
    without: list[str] = []
    if trains is None:
        ways.append("trained")
    else:
        without.append(f"learning in int8: {trains}")
    left: tuple[Left, ...] = ()
    try:
        left = left_whole(network)
        ways.insert(0, "prune")
    except Exception as error:  # torch-pruning's, of what it does not know
        without.append(f"pruning: {' '.join(str(error).split())[:200].rstrip('.')}")
    idle = _idle(network)
    network = OwnModule(module, own, replace(facts_of(header), idle=tuple(f"inner.{name}" for name in idle))).eval()
    tied = [f"inner.{one.layer}" for one in left if one.why.startswith("its weights are those of")]
    fault = next((one for ratio in RANKS if (one := fault_after(network, Factorize(ratio), tied))), None)
    if fault is None and takes_nothing(network, Factorize(min(RANKS)), tied):
        fault = "no convolution is large enough to save time by it"
    if fault is None:
        ways.insert(len(ways) - 2 - ("trained" in ways), "factorize")
    else:
        without.append(f"factorization: {fault.replace('without some of its channels', 'with factors')}")
    pack(module, replace(header, left=left, idle=idle), Path(order.target))
    return Tried(
        images,
        mious,
        ways=tuple(ways),
        without=tuple(without),
        left=tuple((one.layer, one.why) for one in left),
        params=count_params(network),
        macs=count_macs(network, (study.data.height, study.data.width)),
        parity=parity,
    )


def _made_without(order: TryOrder, packed: Path) -> torch.nn.Module:
    """The module made again while the files that it was read from are out of reach; it must answer the very same."""
    name = header_of(packed).name
    gone = {Path(path) for path in order.files}
    closed = True

    def refuse(path: Path, named: str) -> None:
        if closed and path in gone:
            raise StudyError(
                f"reads {path.name} again by its whole path, and a study goes on without that file; "
                "read it relative to the source, as in Path(__file__).with_name(...)."
            )

    listening(refuse)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with hidden(gone):
        module = made_again(packed, Path(order.folder))
    expected = safetensors.torch.load_file(order.expected)["answer"]
    header = header_of(packed)
    with torch.no_grad():
        found = entry_of(module(noise(header.size)), header.entry)
    closed = False
    torch.set_num_threads(threads)
    if not torch.equal(found, expected):
        raise StudyError(
            f"{name} must be made alike each time from its sources and weights; made again, its answer differs by up "
            f"to {float((found - expected).abs().max()):.3g}. What is no parameter or buffer of a layer is not kept."
        )
    return module


# ---- what can be done with it


def _demand_copies(network: OwnModule, name: str) -> None:
    try:
        copy.deepcopy(network)
    except Exception as error:
        said = " ".join(str(error).split())[:200].rstrip(".")
        raise StudyError(f"{name} must return a module that can be copied (copy.deepcopy): {said}.") from None


def _exported(network: OwnModule, dataset: Dataset, study: Study, name: str) -> tuple[float, str | None]:
    """The parity of its file with torch, and why that file could not learn in int8; None where it could."""
    with tempfile.TemporaryDirectory(prefix="segsearch-own-") as scratch:
        target = Path(scratch) / "model.onnx"
        try:
            export(network, (study.data.height, study.data.width), target, output=study.output)
            onnx.checker.check_model(onnx.load(str(target)))
            images = spread_over(dataset.validation.images, PARITY_IMAGES)
            parity = check_parity(network, target, RUNTIMES["onnxruntime"], *images, output=study.output)
        except TrialFailed as error:
            raise StudyError(
                f"{name} must say the same as an ONNX file: {error} A branch on values or on a shape may be why."
            ) from None
        except SegsearchError:
            raise
        except Exception as error:
            said = " ".join(str(error).split())[:250].rstrip(".")
            raise StudyError(f"{name} must export to ONNX (opset 17): {type(error).__name__}: {said}.") from None
        try:
            graph, image = float_module(target), torch.from_numpy(images[0])
            with torch.no_grad():
                apart = float((graph.scores(image) - _scores_of(network, study.output, image)).abs().max())
            if apart > 1e-3 * max(1e-6, float(network.scores(image).detach().abs().max())):
                return parity, f"the scores that would learn are {apart:.2g} beside the network's"
        except Exception as error:
            return parity, " ".join(str(error).split())[:120].rstrip(".")
        return parity, None


def _scores_of(network: OwnModule, output: Output, image: torch.Tensor) -> torch.Tensor:
    """The scores that are within its file, on their own grid."""
    return network(image) if output == "scores" else masking(network).scores(image)


def _idle(network: OwnModule) -> tuple[str, ...]:
    """Parameters that the answer does not need: of layers that are not run, or whose maps nobody reads."""
    assert network.example is not None
    image = torch.rand(1, 3, *network.example, generator=torch.Generator().manual_seed(0)) * 255
    run: set[torch.nn.Module] = set()
    hooks = [part.register_forward_pre_hook(lambda part, inputs: run.add(part)) for part in network.modules()]
    network.zero_grad(set_to_none=True)
    before = network.eval().scores(image)
    before.sum().backward()  # type: ignore[no-untyped-call]
    for hook in hooks:
        hook.remove()
    idle = {
        f"{name}.{own}": (value, part in run)
        for name, part in network.named_modules()
        for own, value in part.named_parameters(recurse=False)
        if value.grad is None
    }
    network.zero_grad(set_to_none=True)
    used = [value for value, ran in idle.values() if ran]
    if used and not _is_alike(network, image, before.detach(), used):  # by a way that has no slope, as an argmax
        idle = {name: (value, ran) for name, (value, ran) in idle.items() if not ran}
    return tuple(name.removeprefix("inner.") for name in idle)


def _is_alike(network: OwnModule, image: torch.Tensor, before: torch.Tensor, values: list[torch.nn.Parameter]) -> bool:
    """Whether the answer is the very same with other numbers in these parameters; they are put back."""
    kept = [value.detach().clone() for value in values]
    with torch.no_grad():
        for value in values:
            value.add_(torch.rand_like(value) - 0.5)
        alike = torch.equal(network.scores(image), before)
        for value, was in zip(values, kept, strict=True):
            value.copy_(was)
    return alike


# ---- an ONNX file


def tried_graph(order: TryOrder) -> Tried:
    """What is found of a kept ONNX file: it can be quantized, and no more. Raises `UserError`."""
    maker, study = GraphMaker(Path(order.packed)), load_study(order.study)
    header, runtime = header_in(maker.path), RUNTIMES["onnxruntime"]
    dataset = open_dataset(study.data, cache=Path(order.cache), texts=order.texts)
    session = runtime.open(maker.path, threads=torch.get_num_threads())

    def says(image: Image, pixels: Pixels) -> Image:
        scores = torch.from_numpy(session.run(taken(image, pixels)))
        if header.binary:
            scores = torch.cat([torch.zeros_like(scores), scores], dim=1)
        answered: Image = resize(scores, header.size).numpy()
        return answered

    mious, images = by_pixels(says, dataset, order.pixels)
    if order.pixels is None:
        return Tried(images, mious)
    own = OwnNetwork(maker.path.name, order.pixels)
    some = spread_over(dataset.validation.images, PARITY_IMAGES)
    with tempfile.TemporaryDirectory(prefix="segsearch-own-") as scratch:
        target, rounded = Path(scratch) / "model.onnx", Path(scratch) / "rounded.onnx"
        maker.write(own, target, output=study.output)
        try:
            parity = graph_parity(own, maker, target, runtime, some, output=study.output)
            GRAPH_STEPS[Quantize](target, rounded, Quantize(), images=some)
            runtime.open(rounded, threads=1).run(some[0])
        except TrialFailed as error:
            raise StudyError(f"{header.name}: {error}") from None
    params, macs = maker.counts()
    shutil.copyfile(maker.path, order.target)
    without = ("pruning, factorization and learning: an ONNX file can only be quantized; bring the module for these",)
    return Tried(images, mious, ways=("int8", "mixed"), without=without, params=params, macs=macs, parity=parity)
