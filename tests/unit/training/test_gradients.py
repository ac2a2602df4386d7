"""Gradients of a batch in parts are those of the whole batch."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from gram.config import LossConfig
from gram.model import Encodings, GramModel
from gram.training import gradients
from gram.training.gradients import add_gradients
from gram.training.precision import Precision
from gram.training.step import StepLoss, choose_pairs, contrast, read_pairs
from gram.types import ITEM_MODALITIES, Batch, Embeddings, Modality, Tokens
from tests.unit.conftest import INPUTS, PIECES, _make_batch, _make_model_config

VIDEO, AUDIO, SUBTITLE, DEPTH = ITEM_MODALITIES
CLIPS = 8
RELATIVE = 1e-5
"""Largest length of the difference of two gradients, in parts of the gradient's own."""

PRECISION = Precision("fp32", torch.device("cpu"))

LOSSES = {
    "as published": {},
    "connected": {"gather": "connected", "matching_on": "all"},
    "cosine": {"kind": "cosine", "gather": "connected", "matching_on": "all"},
    "eigenvalue": {"kind": "eigenvalue"},
    "product": {"kind": "product"},
    "few clips matched": {"matching_on": "all", "matching_clips": 3},
    "none matched": {"matching_weight": 0},
}


def build(modalities: Sequence[Modality] = ITEM_MODALITIES, *, dropout: float = 0.0) -> GramModel:
    torch.manual_seed(0)
    config = _make_model_config(modalities, dropout=dropout)
    return GramModel(config, INPUTS, pieces=PIECES).train()


def gradient_of(model: GramModel) -> dict[str, Tensor]:
    """Give the gradients of a model by name, and take them off it."""
    found = {name: one.grad for name, one in model.named_parameters() if one.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


def after(
    model: GramModel, batch: Batch, config: LossConfig, micro_batch: int | None
) -> tuple[StepLoss, dict[str, Tensor]]:
    torch.manual_seed(1)
    loss = add_gradients(model, batch, config, precision=PRECISION, micro_batch=micro_batch)
    return loss, gradient_of(model)


def difference(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    assert first.keys() == second.keys()
    flat, other = (torch.cat([one[name].flatten() for name in first]) for one in (first, second))
    return float((flat - other).norm() / flat.norm())


@pytest.mark.parametrize("parts", [1, 2, 4, 8])
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_the_gradient_is_that_of_the_whole_batch(loss: dict[str, object], parts: int) -> None:
    model, batch, config = build(), _make_batch(CLIPS), LossConfig.model_validate(loss)
    whole_loss, whole = after(model, batch, config, None)
    loss_of_parts, in_parts = after(model, batch, config, CLIPS // parts)
    assert difference(whole, in_parts) < RELATIVE
    assert loss_of_parts.total.item() == pytest.approx(whole_loss.total.item(), rel=1e-6)
    assert loss_of_parts.matching.item() == pytest.approx(whole_loss.matching.item(), rel=1e-6)


def test_a_last_part_may_be_smaller() -> None:
    model, batch, config = build(), _make_batch(7), LossConfig(matching_on="all")
    _, whole = after(model, batch, config, None)
    _, in_parts = after(model, batch, config, 3)
    assert difference(whole, in_parts) < RELATIVE


def test_clips_that_lack_modalities_may_stand_in_any_part() -> None:
    present = {AUDIO: [False, True] * 4, DEPTH: [False] * 4 + [True] * 4}
    model, batch = build(), _make_batch(CLIPS, present=present)
    config = LossConfig(gather="connected", matching_on="all")
    _, whole = after(model, batch, config, None)
    _, in_parts = after(model, batch, config, 2)
    assert difference(whole, in_parts) < RELATIVE


def test_parts_have_no_larger_graph_than_their_size(monkeypatch: pytest.MonkeyPatch) -> None:
    model, sizes = build(), []
    encode = GramModel.encode

    def counted(self: GramModel, batch: Batch) -> Encodings:
        sizes.append((len(batch.clip_ids), torch.is_grad_enabled()))
        return encode(self, batch)

    monkeypatch.setattr(GramModel, "encode", counted)
    after(model, _make_batch(CLIPS), LossConfig(), 4)
    assert sizes == [(4, False), (4, False), (4, True), (4, True)]


# --- what is drawn at random ------------------------------------------------------------------


def with_one_graph(model: GramModel, batch: Batch, config: LossConfig, size: int) -> None:
    """Do the same with one graph over all parts, which are encoded once."""
    parts = [slice(first, first + size) for first in range(0, CLIPS, size)]
    encoded = [model.encode(batch.rows(part)) for part in parts]
    assert batch.caption is not None

    def joined(name: Modality, of: str) -> Tensor:
        return torch.cat(
            [
                one.condition[name] if of == "condition" else one.embeddings.vectors[name]
                for one in encoded
            ]
        )

    whole = Encodings(
        embeddings=Embeddings(
            vectors={name: joined(name, "vectors") for name in encoded[0].embeddings.vectors},
            present=batch.present,
        ),
        captions=Tokens(ids_bl=batch.caption.ids_bl, mask_bl=batch.caption.mask_bl),
        condition={name: joined(name, "condition") for name in encoded[0].condition},
    )
    contrastive = contrast(model, whole.embeddings, config)
    pairs = choose_pairs(model, whole, contrastive, config=config)
    count = len(pairs.text_rows)
    read = [read_pairs(model, pairs, slice(at, at + size)) for at in range(0, count, size)]
    (contrastive.total + config.matching_weight * torch.stack(read).sum()).backward()


@pytest.mark.parametrize("size", [1, 2, 4])
def test_what_is_left_out_at_random_is_left_out_in_both_passes(size: int) -> None:
    model, batch = build(dropout=0.3), _make_batch(CLIPS)
    config = LossConfig(gather="connected", matching_on="all")
    torch.manual_seed(1)
    with_one_graph(model, batch, config, size)
    expected, drawn_next = gradient_of(model), torch.rand(3)
    _, in_parts = after(model, batch, config, size)
    assert difference(expected, in_parts) < RELATIVE
    assert torch.equal(torch.rand(3), drawn_next)


def test_without_the_same_draws_the_gradient_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = build((VIDEO, SUBTITLE), dropout=0.3), _make_batch(CLIPS)
    config = LossConfig(matching_on="all")
    _, replayed = after(model, batch, config, 2)
    monkeypatch.setattr(gradients.TorchStates, "restore", lambda *_: None)
    _, drawn_anew = after(model, batch, config, 2)
    assert difference(replayed, drawn_anew) > 0.01
