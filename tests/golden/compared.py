"""Numbers beside the published ones: what tests of the encoders and of their mutations share."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

VALUE_TOLERANCE = 1e-5
"""Of features and losses, absolute; of sums that grow (``SUM``), relative to the largest."""
GRADIENT_TOLERANCE = 1e-4
"""Of gradients, relative to the largest number of the tensor."""
SUM = re.compile(r"mid.*|.*logits")
"""Names of what no norm has gone over: outputs of layers, logits."""


class Recording(Protocol):
    """What the published code gave: facts and tensors by name."""

    @property
    def facts(self) -> dict[str, Any]:
        """Give what the recording says of itself."""

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Give its tensors by name."""


class Pair(NamedTuple):
    """A number of ours and the published one."""

    given: Tensor
    expected: Tensor


Pairs = dict[str, Pair]
"""By the name of the published number."""


def assert_values(pairs: Pairs) -> None:
    """Fail if a feature or loss is off, and name it."""

    def unit(name: str, expected: Tensor) -> float:
        return max(1.0, expected.abs().max().item()) if SUM.fullmatch(name) else 1.0

    _assert_near(pairs, unit=unit, tolerance=VALUE_TOLERANCE)


def assert_gradients(pairs: Pairs) -> None:
    """Fail if a gradient is off, and name it."""
    _assert_near(
        pairs, unit=lambda name, expected: expected.abs().max().item(), tolerance=GRADIENT_TOLERANCE
    )


def _assert_near(pairs: Pairs, *, unit: Callable[[str, Tensor], float], tolerance: float) -> None:
    """Fail if the largest difference of a pair is above the tolerance, or is no number at all."""
    assert pairs, "nothing was compared"
    off = {}
    for name, (given, expected) in sorted(pairs.items()):
        assert given.shape == expected.shape, f"{name} has shape {tuple(given.shape)}"
        difference = (given - expected).abs().max().item() / unit(name, expected)
        if not difference <= tolerance:
            off[name] = difference
    assert not off, f"off by more than {tolerance}: {off}"


def paired(given: Mapping[str, Tensor], recording: Recording) -> Pairs:
    """Put numbers beside those that were published under their names."""
    return {name: Pair(value, recording.tensors[name]) for name, value in given.items()}


def below(start: str, recording: Recording) -> dict[str, Tensor]:
    """Give the tensors whose names start so, without that start."""
    return {
        name.removeprefix(start): value
        for name, value in recording.tensors.items()
        if name.startswith(start)
    }


def numbers(pattern: str, recording: Recording) -> list[str]:
    """List what a pattern's group holds in the names that fit it, each once."""
    found = (re.fullmatch(pattern, name) for name in recording.tensors)
    return sorted({match.group(1) for match in found if match})


@contextmanager
def outputs_of(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """Give what modules put out while the block runs, by the names that they are given here."""
    seen: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module) -> Any:  # noqa: ANN401 torch's handle
        def hook(_module: nn.Module, _given: Any, output: Tensor) -> None:  # noqa: ANN401
            seen[name] = output.detach()

        return module.register_forward_hook(hook)

    handles = [keep(name, module) for name, module in modules.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
