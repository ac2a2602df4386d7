"""One behavior changed at a time: the comparison with the published code has to notice each."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from gram import losses, matching
from gram.training.adamw import PublishedAdamW
from tests.golden import published
from tests.golden.published import given_of, is_same, loss_parts, published_steps
from tests.golden.recording import facts_of

Change = Callable[[pytest.MonkeyPatch], None]

KEYS = [
    name.removesuffix(".itm_bert_in.input_ids")
    for name in facts_of("02_losses")["tensors"]
    if name.startswith("w1.") and name.endswith(".itm_bert_in.input_ids")
]
"""Cases of one rank whose pairs were recorded as BERT read them."""


@pytest.fixture(scope="module")
def given(golden: Callable[[str], Any]) -> dict[str, Any]:
    return given_of(golden)


def differing(given: dict[str, Any], key: str) -> set[str]:
    """Name the parts of a case that are not the published ones."""
    return {
        name.removeprefix(f"{key}.")
        for name, part in loss_parts(given, key).items()
        if name in given["tensors"] and not is_same(part, given["tensors"][name], name)
    }


def no_smoothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(published, "LABEL_SMOOTHING", 0.0)


def connected(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(published, "GATHERING", "connected")


def directions_swapped(patch: pytest.MonkeyPatch) -> None:
    both_ways = losses._both_ways
    patch.setattr(losses, "_both_ways", lambda *given: both_ways(*given)[::-1])


def one_direction_twice(patch: pytest.MonkeyPatch) -> None:
    both_ways = losses._both_ways
    patch.setattr(losses, "_both_ways", lambda *given: (both_ways(*given)[0],) * 2)


def temperature_multiplies(patch: pytest.MonkeyPatch) -> None:
    cross_entropies = losses._cross_entropies

    def changed(*given: Any, temperature: Tensor, **others: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        return cross_entropies(*given, temperature=1 / temperature, **others)

    patch.setattr(losses, "_cross_entropies", changed)


def cosines_instead_of_volumes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(losses, "pairwise_volume", losses._cosine_distance)


def no_floor_of_negatives(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(matching, "NEGATIVE_FLOOR", 0.0)


def own_partner_may_be_drawn(patch: pytest.MonkeyPatch) -> None:
    weights = matching.negative_weights

    def changed(distance_bn: Tensor, **given: Any) -> Tensor:  # noqa: ANN401
        return weights(distance_bn, **given) + torch.eye(len(distance_bn))

    patch.setattr(matching, "negative_weights", changed)


def texts_drawn_before_items(patch: pytest.MonkeyPatch) -> None:
    draw = matching.draw_hard_negatives

    def changed(texts_bn: Tensor, items_bn: Tensor, **given: Any) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        wrong_text_b, wrong_item_b = draw(items_bn, texts_bn, **given)
        return wrong_item_b, wrong_text_b

    patch.setattr(matching, "draw_hard_negatives", changed)


def thirds_exchanged(patch: pytest.MonkeyPatch) -> None:
    rows = matching.matching_rows

    def changed(*given: Tensor, first: int) -> tuple[Tensor, Tensor]:
        texts, items = (
            torch.cat([own, other, wrong])
            for own, wrong, other in (one.chunk(3) for one in rows(*given, first=first))
        )
        return texts, items

    patch.setattr(matching, "matching_rows", changed)


def wrong_pairs_stand_first(patch: pytest.MonkeyPatch) -> None:
    loss = matching.matching_loss

    def changed(logits: Tensor, *, num_right: int) -> Tensor:
        return loss(logits.roll(num_right, dims=0), num_right=num_right)

    patch.setattr(matching, "matching_loss", changed)


CHANGES: list[tuple[Change, set[str]]] = [  # with the parts of which one at least has to differ
    (no_smoothing, {"loss_area", "ce_d2a", "ce_a2d", "grad_area.feat_t"}),
    (connected, {"grad_area.feat_t", "grad_area.feat_v", "grad_area.feat_a"}),
    (directions_swapped, {"ce_d2a", "ce_a2d", "logits_d2a", "logits_a2d"}),
    (one_direction_twice, {"loss_area", "ce_a2d", "logits_a2d", "weights_cond2t"}),
    (temperature_multiplies, {"loss_area", "grad_area.contra_temp"}),
    (cosines_instead_of_volumes, {"loss_area", "logits_d2a", "weights_t2cond"}),
    (no_floor_of_negatives, {"weights_t2cond", "weights_cond2t"}),
    (own_partner_may_be_drawn, {"weights_t2cond", "weights_cond2t"}),
    (texts_drawn_before_items, {"neg_cond_for_text", "neg_text_for_cond"}),
    (thirds_exchanged, {"itm_bert_in.encoder_hidden_states", "itm_logits"}),
    (wrong_pairs_stand_first, {"itm_ce_unweighted", "loss_itm"}),
]


@pytest.mark.parametrize("key", KEYS)
def test_nothing_differs_as_it_stands(given: dict[str, Any], key: str) -> None:
    assert differing(given, key) == set()


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("change", "parts"), CHANGES, ids=[one.__name__ for one, _ in CHANGES])
def test_a_changed_loss_is_noticed(
    given: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    key: str,
    change: Change,
    parts: set[str],
) -> None:
    change(monkeypatch)
    assert parts & differing(given, key)


# --- steps ------------------------------------------------------------------------------------
# Whether eps joins the corrected or the uncorrected root moves the recorded steps by less than
# float32 resolves: with an eps of 1e-6 and gradients near 1. The unit tests tell, by a larger eps.


class EpsInsideTheRoot(PublishedAdamW):
    """Adds eps before the root is taken."""

    def _update(self, parameters: list[Tensor], group: dict[str, Any], *, step: int) -> None:
        for parameter in parameters:
            first, second, size = moments(self.state[parameter], parameter, group)
            parameter.addcdiv_(first, (second + group["eps"]).sqrt(), value=-size)
            parameter.mul_(1 - group["lr"] * group["weight_decay"])


class DecayBeforeTheUpdate(PublishedAdamW):
    """Decays the value before the step instead of the one after it."""

    def _update(self, parameters: list[Tensor], group: dict[str, Any], *, step: int) -> None:
        for parameter in parameters:
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
        super()._update(parameters, {**group, "weight_decay": 0.0}, step=step)


class CorrectionOfTheFirstMoment(PublishedAdamW):
    """Corrects one of the moments."""

    def _update(self, parameters: list[Tensor], group: dict[str, Any], *, step: int) -> None:
        for parameter in parameters:
            first, second, _ = moments(self.state[parameter], parameter, group)
            size = group["lr"] / (1 - group["betas"][0] ** step)
            parameter.addcdiv_(first, second.sqrt() + group["eps"], value=-size)
            parameter.mul_(1 - group["lr"] * group["weight_decay"])


class NoCorrection(PublishedAdamW):
    """Takes the moments as they are."""

    def _update(self, parameters: list[Tensor], group: dict[str, Any], *, step: int) -> None:
        for parameter in parameters:
            first, second, _ = moments(self.state[parameter], parameter, group)
            parameter.addcdiv_(first, second.sqrt() + group["eps"], value=-group["lr"])
            parameter.mul_(1 - group["lr"] * group["weight_decay"])


def moments(
    state: dict[str, Any], parameter: Tensor, group: dict[str, Any]
) -> tuple[Tensor, Tensor, float]:
    """Carry both moments on by one step; give them and the published size of the step."""
    assert parameter.grad is not None
    beta1, beta2 = group["betas"]
    step = state["step"]
    first = state["first"] = torch.lerp(parameter.grad, state["first"], beta1)
    second = torch.lerp(parameter.grad.square(), state["second"], beta2)
    state["second"] = second
    return first, second, group["lr"] * (1 - beta2**step) ** 0.5 / (1 - beta1**step)


@pytest.mark.parametrize(
    "form",
    [EpsInsideTheRoot, DecayBeforeTheUpdate, CorrectionOfTheFirstMoment, NoCorrection, AdamW],
)
def test_another_form_of_the_step_is_noticed(
    golden: Callable[[str], Any], form: type[Optimizer]
) -> None:
    assert not all_steps_are_the_same(golden("07_optim"), form)


def test_the_step_as_it_stands_is_the_published_one(golden: Callable[[str], Any]) -> None:
    assert all_steps_are_the_same(golden("07_optim"), PublishedAdamW)


def all_steps_are_the_same(recording: Any, form: type[Optimizer]) -> bool:  # noqa: ANN401 - a recording
    return all(
        bool((value - recording.tensors[f"adamw.step{step}.p{i}"]).abs().max() <= 1e-6)
        for step, _, values in published_steps(recording, form)
        for i, value in enumerate(values)
    )
