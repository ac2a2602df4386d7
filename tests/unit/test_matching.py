"""The matching loss: weights and draws of wrong partners, the order of pairs."""

import math

import pytest
import torch
from torch import Tensor

from gram.matching import draw_hard_negatives, matching_loss, matching_rows, negative_weights


def draw(distance_bb: Tensor, *, temperature: float) -> tuple[Tensor, Tensor]:
    return draw_hard_negatives(distance_bb, distance_bb.mT, temperature=temperature)


def test_no_one_draws_the_own_partner() -> None:
    torch.manual_seed(0)
    distance_bb = 1 - torch.eye(8)
    drawn = [torch.stack(draw(distance_bb, temperature=1e-3)) for _ in range(300)]
    assert not (torch.stack(drawn) == torch.arange(8)).any()


def test_a_batch_of_two_draws_the_other_one() -> None:
    items, texts = draw(torch.rand(2, 2), temperature=0.07)
    assert (items.tolist(), texts.tolist()) == ([1, 0], [1, 0])


def test_a_text_draws_the_item_that_is_near_to_it() -> None:
    torch.manual_seed(0)
    distance_bb = torch.ones(6, 6)
    distance_bb[0, 4] = 0
    items = [int(draw(distance_bb, temperature=0.02)[0][0]) for _ in range(50)]
    assert items.count(4) >= 48


def test_an_item_draws_the_text_that_is_near_to_it() -> None:
    torch.manual_seed(0)
    distance_bb = torch.ones(6, 6)
    distance_bb[0, 4] = 0
    texts = [int(draw(distance_bb, temperature=0.02)[1][4]) for _ in range(50)]
    assert texts.count(0) >= 48


def test_the_chances_of_negatives_are_their_softmax() -> None:
    torch.manual_seed(0)
    distance_bb = torch.tensor([[0.0, 0.1, 0.2], [0.3, 0.0, 0.3], [0.3, 0.3, 0.0]])
    drawn = [int(draw(distance_bb, temperature=0.1)[0][0]) for _ in range(1000)]
    near, far = math.exp(-1), math.exp(-2)
    assert drawn.count(1) / 1000 == pytest.approx(near / (near + far), abs=0.05)


def test_a_far_negative_is_drawn_now_and_then() -> None:
    torch.manual_seed(0)
    distance_bb = torch.tensor([[0.0, 5.0, 5.0], [9.0, 0.0, 9.0], [9.0, 9.0, 0.0]])
    drawn = {int(draw(distance_bb, temperature=0.01)[0][0]) for _ in range(100)}
    assert drawn == {1, 2}


def test_the_same_seed_draws_the_same_negatives() -> None:
    distance_bb = torch.rand(16, 16, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(5)
    first = draw(distance_bb, temperature=0.07)
    torch.manual_seed(5)
    again = draw(distance_bb, temperature=0.07)
    assert torch.stack(first).tolist() == torch.stack(again).tolist()


def test_one_item_has_no_wrong_partner() -> None:
    with pytest.raises(
        ValueError, match="hard negatives need a batch of two items or more, got 1; use larger"
    ):
        draw(torch.zeros(1, 1), temperature=0.07)


def test_the_matching_loss_is_the_cross_entropy_of_right_and_wrong_pairs() -> None:
    logits = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    expected = []
    for pair, (no_match, match) in enumerate(logits.double().tolist()):
        right = match if pair < 2 else no_match
        expected.append(-math.log(math.exp(right) / (math.exp(no_match) + math.exp(match))))
    loss = matching_loss(logits, num_right=2)
    assert float(loss) == pytest.approx(sum(expected) / 6, rel=1e-6)


def test_the_matching_loss_is_float32_for_half_precision_logits() -> None:
    assert matching_loss(torch.zeros(6, 2, dtype=torch.bfloat16), num_right=2).dtype == (
        torch.float32
    )


@pytest.mark.parametrize("first", [0, 2, 4])
def test_the_partner_of_a_rank_stands_behind_those_of_earlier_ranks(first: int) -> None:
    weights_bn = negative_weights(torch.rand(2, 6), temperature=0.07, first=first)
    assert (weights_bn == 0).nonzero().tolist() == [[0, first], [1, first + 1]]


def test_weights_are_softmax_plus_a_constant() -> None:
    weights_bn = negative_weights(torch.tensor([[0.0, 0.1, 0.2]]), temperature=0.1)
    total = sum(math.exp(-one) for one in (0, 1, 2))
    expected = [0.0, math.exp(-1) / total + 1e-4, math.exp(-2) / total + 1e-4]
    assert weights_bn[0].tolist() == pytest.approx(expected)


def test_weights_carry_no_gradient() -> None:
    weights_bn = negative_weights(
        torch.rand(2, 2).requires_grad_(), temperature=torch.tensor(0.1, requires_grad=True)
    )
    assert not weights_bn.requires_grad


def test_items_are_drawn_before_texts_and_row_by_row() -> None:
    text_bn, item_bn = torch.rand(2, 3, 6, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(7)
    drawn = torch.cat(draw_hard_negatives(text_bn, item_bn, temperature=0.2, first=3))
    torch.manual_seed(7)
    rows = torch.cat(
        [negative_weights(one, temperature=0.2, first=3) for one in (text_bn, item_bn)]
    )
    assert drawn.tolist() == [int(torch.multinomial(row, 1)) for row in rows]


def test_pairs_are_right_ones_then_wrong_items_then_wrong_texts() -> None:
    texts, items = matching_rows(torch.tensor([0, 5]), torch.tensor([3, 1]), first=2)
    assert texts.tolist() == [2, 3, 2, 3, 3, 1]
    assert items.tolist() == [2, 3, 0, 5, 2, 3]
