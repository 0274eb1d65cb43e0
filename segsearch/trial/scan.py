"""The process that tries convolutions. It reads an order from standard input and answers in lines of JSON.

`python -m segsearch.trial.scan`; `scan_convolutions` starts it. Every draw is built, and its convolutions are run, in
forks of this process, which itself runs none: whatever ends a fork is told with its name, and the rest is tried.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import torch

from segsearch.errors import SegsearchError
from segsearch.networks import Network, build
from segsearch.networks.layers import Conv2d, convolution
from segsearch.space.draws import Dice
from segsearch.space.load import Space, load_space
from segsearch.space.own import OwnNetwork
from segsearch.training.schedule import trains_in_bfloat16
from segsearch.trial.convolutions import Convolution, Fault, ScanOrder
from segsearch.trial.making import apply_model_steps
from segsearch.trial.wire import private_output

CLASSES = 11
BATCH = 2
# A fork that hangs is ended: the slowest takes a second or two, and ten times that on a machine that is busy.
PATIENCE_SECONDS = 120

# Run a convolution forward and backward; the answer is what is wrong, None where nothing is.
Attempt = Callable[[Convolution], str | None]
Tell = Callable[[Any], None]


def attempt(conv: Convolution) -> str | None:
    """Forward and backward as training runs it."""
    layout = torch.channels_last if conv.channels_last else torch.contiguous_format
    layer = convolution(
        conv.inputs,
        conv.outputs,
        kernel=conv.kernel,
        stride=conv.stride,
        atrous=conv.atrous,
        groups=conv.groups,
        bias=conv.bias,
    )
    layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x = torch.randn(BATCH, conv.inputs, conv.height, conv.width).contiguous(memory_format=layout).requires_grad_()
    try:
        with torch.autocast("cpu", torch.bfloat16, enabled=trains_in_bfloat16(torch.device("cpu"))):
            answer = layer(x)
        answer.float().square().mean().backward()
    except RuntimeError as error:
        return f"RuntimeError: {' '.join(str(error).split())[:200]}"
    made = [answer, x.grad, *(parameter.grad for parameter in layer.parameters())]
    finite = all(value is not None and bool(torch.isfinite(value).all()) for value in made)
    return None if finite else "not finite"


def main(attempt: Attempt = attempt) -> int:
    raw = json.load(sys.stdin)
    answers = private_output()
    order = ScanOrder(**(raw | {"draws": tuple(raw["draws"])}))
    torch.set_num_threads(1)
    try:
        space = load_space(order.space)
    except SegsearchError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    seen: set[Convolution] = set()
    for number in order.draws:
        if os.getppid() != order.parent:
            return 1  # nobody will read the answer
        new, faults = of_draw(space, number, order)
        new = [conv for conv in new if conv not in seen]
        seen |= set(new)
        faults += tried(new, attempt)
        line = {"draw": number, "tried": [*map(asdict, new)], "faults": [*map(asdict, faults)]}
        answers.write(json.dumps(line) + "\n")
        answers.flush()
    return 0


def of_draw(space: Space, number: int, order: ScanOrder) -> tuple[list[Convolution], list[Fault]]:
    """The convolutions of a draw, as built and as pruned."""

    def look(tell: Tell) -> None:
        # What the space draws and the rules refuse is no convolution; `check` tells of it.
        with suppress(SegsearchError, ValueError):
            candidate = space.draw(Dice(random.Random(number)))
            if isinstance(candidate.architecture, OwnNetwork):
                return
            network: Network = build(candidate.architecture, CLASSES)
            tell([*map(asdict, convolutions_of(network, order.height, order.width))])
            if candidate.before_export:
                network = apply_model_steps(network, candidate.before_export)
                tell([*map(asdict, convolutions_of(network, order.height, order.width))])

    told, ended = apart(look)
    found = dict.fromkeys(Convolution(**entry) for part in told for entry in part)
    return list(found), [Fault(f"building draw {number} of {order.space}", ended)] if ended else []


def convolutions_of(network: Network, height: int, width: int) -> list[Convolution]:
    """Every convolution that a crop of this size meets, in order."""
    found: list[Convolution] = []

    def see(layer: Conv2d, inputs: tuple[torch.Tensor, ...]) -> None:
        x = inputs[0]
        found.append(
            Convolution(
                layer.in_channels,
                layer.out_channels,
                layer.kernel_size[0],
                layer.stride[0],
                layer.dilation[0],
                layer.groups,
                layer.bias is not None,
                int(x.shape[-2]),
                int(x.shape[-1]),
                x.is_contiguous(memory_format=torch.channels_last),
            )
        )

    hooks = [layer.register_forward_pre_hook(see) for layer in network.modules() if isinstance(layer, Conv2d)]
    with torch.no_grad():
        image = torch.zeros(1, 3, height, width).contiguous(memory_format=torch.channels_last)
        network.eval().scores_and_auxiliary(image)
    for hook in hooks:
        hook.remove()
    return found


def tried(convolutions: Sequence[Convolution], attempt: Attempt) -> list[Fault]:
    """Try all in one fork. Where that ends early, each again in its own: the guilty one may lie before the last."""
    told, ended = _try(convolutions, attempt)
    if ended is None:
        return [Fault(str(conv), reason, conv) for conv, reason in zip(convolutions, told, strict=True) if reason]
    faults = []
    for conv in convolutions:
        alone, ended_alone = _try([conv], attempt)
        reason = ended_alone or (alone[0] if alone else None)
        if reason:
            faults.append(Fault(str(conv), reason, conv))
    if any(fault.reason == ended for fault in faults):
        return faults
    last = convolutions[min(len(told), len(convolutions) - 1)]
    return [*faults, Fault(f"{last}; only after others of its network", ended, last)]


def _try(convolutions: Sequence[Convolution], attempt: Attempt) -> tuple[list[str | None], str | None]:
    def run(tell: Tell) -> None:
        for conv in convolutions:
            tell(attempt(conv))

    return apart(run) if convolutions else ([], None)


def apart(work: Callable[[Tell], None]) -> tuple[list[Any], str | None]:
    """Run `work` in a fork: what it told, and what ended it where that was not its end."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _run_and_leave(work, reader, writer)
    os.close(writer)
    told = []
    with os.fdopen(reader) as stream:
        for text in stream:
            with suppress(json.JSONDecodeError):  # a line that its writer's end cut off
                told.append(json.loads(text))
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code == 0:
        return told, None
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return told, f"no end after {PATIENCE_SECONDS} s" if name == "SIGALRM" else name


def _run_and_leave(work: Callable[[Tell], None], reader: int, writer: int) -> None:
    """The fork's whole life. It leaves without a word to whatever its parent has registered for its own end."""
    code = 1
    try:
        os.close(reader)
        faulthandler.disable()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(PATIENCE_SECONDS)
        with os.fdopen(writer, "w") as stream:
            work(lambda value: print(json.dumps(value), file=stream, flush=True))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
