"""What encoders compute in: bfloat16, float16 with a scale, and what a scale too large does."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from gram.config import LossConfig, OptimizerConfig, TrainingConfig
from gram.jobs import TrainSettings
from gram.model import GramModel
from gram.tracking import Tracker
from gram.training import precision as module
from gram.training.gradients import add_gradients
from gram.training.optimizer import build_optimizer, set_rate
from gram.training.precision import Precision
from gram.training.stopping import DivergedError
from gram.training.update import average_and_clip, take_step
from gram.types import Batch

Train = Callable[..., Path]
MakeSettings = Callable[..., TrainSettings]
MakeModel = Callable[..., GramModel]
MakeBatch = Callable[..., Batch]
Compare = Callable[[Path, Path], bool]

CPU = torch.device("cpu")
HALVES = pytest.mark.parametrize("name", ["bf16", "fp16"])


@HALVES
def test_fewer_bits_come_to_nearly_the_same_loss(
    run: Train, make_settings: MakeSettings, name: str
) -> None:
    exact, rounded = (
        first_loss(run(make_settings(dropout=0.0, steps=1, precision=one), folder=one))
        for one in ("fp32", name)
    )
    assert rounded == pytest.approx(exact, rel=0.01)
    assert rounded != exact


def first_loss(folder: Path) -> float:
    return float(pd.read_csv(folder / "history.csv")["loss"][0])


@HALVES
def test_a_training_in_fewer_bits_is_gone_on_with_exactly(
    run: Train, make_settings: MakeSettings, are_equal: Compare, tmp_path: Path, name: str
) -> None:
    settings = make_settings(steps=6, precision=name)
    undisturbed = run(settings, folder="undisturbed")
    with pytest.raises(InterruptedError):
        run(settings, tracker=Interrupter())
    assert len(list((tmp_path / "run/partial").glob("*.pt"))) == 2
    assert are_equal(run(settings), undisturbed)


class Interrupter(Tracker):
    """Ends the training when a partial checkpoint has been asked for twice."""

    def __init__(self) -> None:
        """Begin at none."""
        super().__init__()
        self.count = 0

    def flush(self) -> None:
        """Count one, and end after the second."""
        self.count += 1
        if self.count == 2:
            raise InterruptedError


@HALVES
def test_in_parts_fewer_bits_have_the_gradient_of_the_whole(
    make_model: MakeModel, make_batch: MakeBatch, name: str
) -> None:
    model, batch = make_model(), make_batch(4)
    norms = []
    for micro_batch in (None, 2):
        torch.manual_seed(1)
        model.zero_grad()
        precision = Precision(name, CPU)
        add_gradients(model, batch, LossConfig(), precision=precision, micro_batch=micro_batch)
        parameters = [one for one in model.parameters() if one.grad is not None]
        norms.append(torch.stack([one.grad.norm() for one in parameters]))
    torch.testing.assert_close(norms[0], norms[1], rtol=0.05, atol=1e-3 * norms[0].max().item())


def too_large(model: GramModel, batch: Batch) -> tuple[Precision, float]:
    """Take a step with a scale that is too large for float32 even."""
    training = TrainingConfig(steps=1, learning_rate=0.1)
    optimizer = build_optimizer(model, OptimizerConfig(), training=training)
    set_rate(optimizer, 1.0)
    precision = Precision("fp16", CPU)
    precision.scaler = type(precision.scaler)("cpu", init_scale=1e38)
    add_gradients(model, batch, LossConfig(), precision=precision)
    norm = average_and_clip(model, optimizer, precision, clip_norm=1.0)
    take_step(model, optimizer, precision)
    return precision, norm


def test_a_scale_too_large_costs_the_step_and_is_halved(
    make_model: MakeModel, make_batch: MakeBatch
) -> None:
    model = make_model()
    before = {name: one.clone() for name, one in model.state_dict().items()}
    precision, norm = too_large(model, make_batch(4))
    assert not torch.isfinite(torch.tensor(norm))
    assert all(torch.equal(one, before[name]) for name, one in model.state_dict().items())
    assert precision.scaler.get_scale() == pytest.approx(0.5e38)


def test_a_scale_that_cannot_be_halved_any_more_ends_the_training(
    run: Train, make_settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SMALLEST_SCALE", 1e30)
    monkeypatch.setattr("gram.training.loop.average_and_clip", lambda *_, **__: float("nan"))
    with pytest.raises(DivergedError, match="the norm of its gradient nan at step 1"):
        run(make_settings(precision="fp16"))


def test_float16_and_weights_in_shares_are_refused(run: Train, make_settings: MakeSettings) -> None:
    with pytest.raises(
        ValueError, match=r"precision is fp16, and shard_model is 1; set .* to bf16"
    ):
        run(make_settings(precision="fp16"), shard_model=True)
