"""Training: schedules, losses, weights of classes, batch norm, pairing, failures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path as FilePath

import numpy as np
import pytest
import torch
from torch import nn

from segsearch.compression.distill import Teaching, distillation_loss
from segsearch.errors import TrialFailed, UserError
from segsearch.networks import Network, build
from segsearch.networks.layers import GroupedConv2d
from segsearch.space.candidate import Architecture, Context, EncoderPath, Head, Stage, Stem
from segsearch.training.batch_norm import estimate_batch_norm
from segsearch.training.loop import out_of_memory_fails, train
from segsearch.training.losses import class_weights, jaccard_loss, pixel_loss
from segsearch.training.schedule import Schedule, pick_device, trains_in_bfloat16
from segsearch.training.teacher import teach
from tests.scenes import tiny_dataset

SMALL = Architecture(
    (
        EncoderPath(
            Stem(8), (Stage("conv", 8, 1, 2), Stage("residual", 16, 1, 2)), Context("pyramid_pooling", 16, bins=(1, 2))
        ),
    ),
    (),
    Head(16),
    input_scale=0.5,
)
SCHEDULE = Schedule(
    epochs=2,
    batch_size=4,
    learning_rate=3e-3,
    weight_decay=1e-2,
    height=32,
    width=48,
    class_weights="log",
    seed=0,
)
CPU = torch.device("cpu")


def trained(schedule: Schedule, *, teaching: Teaching | None = None) -> tuple[Network, tuple[float, ...]]:
    data = tiny_dataset()
    network = build(SMALL, len(data.classes), seed=schedule.seed)
    losses = train(network, data.train, schedule, classes=len(data.classes), device=CPU, teaching=teaching)
    return network, losses


def test_training_learns_and_reports_each_epoch() -> None:
    network, losses = trained(replace(SCHEDULE, epochs=12))
    assert len(losses) == 12
    assert losses[-1] < 0.7 * losses[0]
    assert not network.training


def test_same_seed_same_weights_and_another_seed_others() -> None:
    first, second = trained(SCHEDULE), trained(SCHEDULE)
    assert first[1] == second[1]
    for one, two in zip(first[0].parameters(), second[0].parameters(), strict=True):
        assert torch.equal(one, two)
    assert trained(replace(SCHEDULE, seed=1))[1] != first[1]


def test_candidates_are_paired_whatever_their_size() -> None:
    """Two networks of different widths see the same images in the same order, though torch's own generator moved on."""
    data = tiny_dataset()
    seen: list[list[torch.Tensor]] = []
    for width in (8, 16):
        batches: list[torch.Tensor] = []
        network = build(replace(SMALL, head=Head(width)), len(data.classes))
        network.encoders[0].register_forward_pre_hook(lambda _, args, into=batches: into.append(args[0].clone()))
        torch.rand(width)
        train(network, data.train, replace(SCHEDULE, epochs=1), classes=len(data.classes), device=CPU)
        seen.append(batches)
    assert len(seen[0]) == len(seen[1]) > 2
    assert all(torch.equal(one, two) for one, two in zip(*seen, strict=True))


def test_a_loss_that_is_not_finite_fails_the_trial_with_the_step() -> None:
    with pytest.raises(TrialFailed, match=r"The loss became (nan|inf) at step \d+ of \d+") as failure:
        trained(replace(SCHEDULE, learning_rate=1e18, epochs=4))
    assert failure.value.kind == "diverged"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
)
def test_memory_that_runs_out_fails_the_trial(error: BaseException) -> None:
    with pytest.raises(TrialFailed, match="Memory ran out") as failure, out_of_memory_fails():
        raise error
    assert failure.value.kind == "memory"


def test_real_memory_exhaustion_fails_the_trial() -> None:
    with pytest.raises(TrialFailed) as failure, out_of_memory_fails():
        torch.empty(2**52)
    assert failure.value.kind == "memory"


def test_other_errors_pass() -> None:
    with pytest.raises(RuntimeError, match="shapes"), out_of_memory_fails():
        raise RuntimeError("shapes do not fit")


def test_pixel_loss_by_hand() -> None:
    """Two pixels, two classes, weights 1 and 3: the weighted mean of their cross-entropies."""
    scores = torch.tensor([[[[2.0, 0.0]], [[0.0, 0.0]]]])  # (1, 2, 1, 2)
    masks = torch.tensor([[[0, 1]]])
    first, second = np.log1p(np.exp(-2.0)), np.log(2.0)
    expected = (1 * first + 3 * second) / 4
    assert pixel_loss(scores, masks, torch.tensor([1.0, 3.0])).item() == pytest.approx(expected, rel=1e-6)


def test_pixel_loss_leaves_void_out_and_survives_a_batch_of_void() -> None:
    scores = torch.randn(1, 3, 4, 4, requires_grad=True)
    masks = torch.randint(0, 3, (1, 4, 4))
    weights = torch.ones(3)
    half = masks.clone()
    half[:, :2] = -100
    assert pixel_loss(scores, half, weights).item() == pytest.approx(
        pixel_loss(scores[:, :, 2:], masks[:, 2:], weights).item(), rel=1e-5
    )
    void = pixel_loss(scores, torch.full_like(masks, -100), weights)
    void.backward()
    assert void.item() == 0
    assert scores.grad is not None
    assert torch.isfinite(scores.grad).all()


def test_pixel_loss_is_torchs_weighted_cross_entropy() -> None:
    scores, masks, weights = torch.randn(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5)), torch.tensor([1.0, 2.0, 0.5])
    expected = nn.functional.cross_entropy(scores, masks, weight=weights)
    assert pixel_loss(scores, masks, weights).item() == pytest.approx(expected.item(), rel=1e-5)


def test_jaccard_loss_by_hand() -> None:
    """Two pixels, sure of class 0 in both; truth is 0 and 1: IoU of class 0 is 1/2, of class 1 it is 0."""
    scores = torch.tensor([[[[50.0, 50.0]], [[-50.0, -50.0]]]])
    loss = jaccard_loss(scores, torch.tensor([[[0, 1]]]))
    assert loss.item() == pytest.approx(1 - (0.5 + 0.0) / 2, abs=1e-5)


def test_jaccard_loss_leaves_void_and_absent_classes_out() -> None:
    scores = torch.tensor([[[[50.0, -50.0]], [[-50.0, 50.0]], [[-50.0, -50.0]]]], requires_grad=True)
    assert jaccard_loss(scores, torch.tensor([[[0, -100]]])).item() == pytest.approx(0, abs=1e-5)
    void = jaccard_loss(scores, torch.tensor([[[-100, -100]]]))
    void.backward()
    assert void.item() == 0
    assert torch.isfinite(scores.grad).all()


def test_the_jaccard_weight_matters_and_0_is_without_it() -> None:
    losses = [trained(replace(SCHEDULE, epochs=1, jaccard_weight=weight))[1][0] for weight in (0.0, 1.0)]
    assert 0 < losses[1] - losses[0] < 1.5


def test_class_weights_by_hand() -> None:
    masks = np.array([[[0, 0, 0, 1, 255]]], dtype=np.uint8)
    raw = 1 / np.log(1.02 + np.array([0.75, 0.25]))
    assert class_weights(masks, 2, kind="log").tolist() == pytest.approx((raw / raw.mean()).tolist(), rel=1e-5)
    assert class_weights(masks, 2, kind="none").tolist() == [1.0, 1.0]
    absent = class_weights(masks, 3, kind="log")
    assert torch.isfinite(absent).all()
    assert absent[2] == absent.max()


def test_distillation_loss_is_zero_for_the_teacher_itself_and_scales_with_temperature() -> None:
    said = torch.randn(2, 4, 3, 3)
    inside = torch.ones(2, 1, 3, 3)
    assert distillation_loss(said, said, inside, temperature=3.0).item() == pytest.approx(0, abs=1e-5)
    scores = torch.zeros_like(said)
    by_hand = 0.0
    soft = torch.softmax(said / 2, dim=1)
    by_hand = 4 * (soft * (soft.log() - np.log(1 / 4))).sum(dim=1).mean().item()
    assert distillation_loss(scores, said, inside, temperature=2.0).item() == pytest.approx(by_hand, rel=1e-4)


def test_distillation_leaves_out_what_is_outside_the_image() -> None:
    said, scores = torch.randn(1, 3, 2, 2), torch.randn(1, 3, 2, 2)
    inside = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]]]])
    top = distillation_loss(scores[:, :, :1], said[:, :, :1], inside[:, :, :1], temperature=1.0)
    assert distillation_loss(scores, said, inside, temperature=1.0).item() == pytest.approx(top.item(), rel=1e-5)
    assert distillation_loss(scores, said, torch.zeros_like(inside), temperature=1.0).item() == 0


@pytest.mark.parametrize("epochs", range(1, 13))
def test_a_schedule_may_have_any_number_of_steps(epochs: int) -> None:
    """torch's one-cycle divides by zero where the rise is exactly one step of five."""
    data = tiny_dataset()
    network = build(SMALL, len(data.classes))
    losses = train(network, data.train, replace(SCHEDULE, epochs=epochs, batch_size=12), classes=3, device=CPU)
    assert len(losses) == epochs


def test_dropout_is_seeded_and_torchs_own_generator_is_left_alone() -> None:
    data = tiny_dataset()
    losses = []
    for disturbance in (1, 2):
        torch.manual_seed(disturbance)
        before = torch.get_rng_state()
        network = build(replace(SMALL, head=Head(16, dropout=0.5)), len(data.classes))
        losses.append(train(network, data.train, SCHEDULE, classes=3, device=CPU))
        assert torch.equal(torch.get_rng_state(), before)
    assert losses[0] == losses[1]


def test_batch_norm_survives_a_last_part_of_one_image() -> None:
    """13 images in parts of 4 would leave one, whose map of 1 x 1 cannot be normalised."""
    data = tiny_dataset()
    stages = tuple(Stage("conv", 8, 1, 2) for _ in range(6))
    network = build(Architecture((EncoderPath(Stem(8), stages),), (), Head(8), input_scale=0.5), 3)
    split = replace(data.train, names=("a",) * 9, images=data.train.images[:9])
    estimate_batch_norm(network, split, device=CPU, batch_size=4)


def test_a_student_taught_only_by_its_teacher_comes_to_agree_with_it(tmp_path: FilePath) -> None:
    data = tiny_dataset()

    def says(network: Network) -> np.ndarray:
        teach(network, data.train, tmp_path / "logits.npy", device=CPU)
        return np.load(tmp_path / "logits.npy", allow_pickle=False)

    teacher, _ = trained(replace(SCHEDULE, epochs=12))
    logits = says(teacher)
    assert logits.dtype == np.float16
    assert logits.shape[:2] == (len(data.train), len(data.classes))
    schedule = replace(SCHEDULE, epochs=12, seed=5)
    student, _ = trained(schedule, teaching=Teaching(logits, weight=1.0, temperature=2.0))
    alone = build(SMALL, len(data.classes), seed=5).eval()
    learned = (says(student).argmax(1) == logits.argmax(1)).mean()
    before = (says(alone).argmax(1) == logits.argmax(1)).mean()
    assert learned > max(0.7, before + 0.2)


def test_batch_norm_is_estimated_on_plain_images() -> None:
    data = tiny_dataset()
    network = build(SMALL, len(data.classes))
    norm = next(module for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    norm.running_mean.fill_(1e6)
    momentum = norm.momentum
    estimate_batch_norm(network, data.train, device=CPU, batch_size=4)
    assert norm.running_mean.abs().max() < 100
    assert norm.momentum == momentum
    assert not network.training


def test_zoom_is_the_schedules() -> None:
    settings = replace(SCHEDULE, smallest_zoom=0.75, largest_zoom=1.5).augment
    assert (settings.smallest, settings.largest) == (0.75, 1.5)
    assert trained(replace(SCHEDULE, smallest_zoom=1.0, largest_zoom=1.0))[1] != trained(SCHEDULE)[1]


def test_grouped_convolutions_stay_in_float32_on_the_cpu() -> None:
    """And nothing else changes: the same weights give the same answer without autocast."""
    grouped, plain = GroupedConv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 1)
    image = torch.randn(1, 8, 6, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert plain(image).dtype == torch.bfloat16
        assert grouped(plain(image)).dtype == torch.float32
    assert torch.equal(grouped(image), nn.Conv2d.forward(grouped, image))


def test_bfloat16_only_where_it_is_quicker() -> None:
    assert trains_in_bfloat16(torch.device("cuda"))
    assert trains_in_bfloat16(CPU) == bool(torch.cpu.get_capabilities().get("amx_bf16", False))


def test_device() -> None:
    assert pick_device("cpu").type == "cpu"
    assert pick_device("auto").type in {"cpu", "cuda"}
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match=r'no CUDA device. Use device = "auto"'):
            pick_device("cuda")
