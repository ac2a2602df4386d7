"""Pairs that share texts and items, against reading each pair by itself."""

import pytest
import torch
from torch import Tensor

from gram.encoders.pair_reader import PairReader
from gram.encoders.text import TextEncoder
from gram.types import Tokens

WIDTH = 32
TEXTS = ([2, 7, 8, 3], [2, 9, 3], [2, 10, 11, 12, 3], [2, 3], [2, 9, 3])


def make_encoder(depth: int) -> TextEncoder:
    torch.manual_seed(depth)
    network = TextEncoder(
        pieces=40, max_tokens=16, width=WIDTH, depth=depth, heads=2, mlp_width=48, dropout=0.3
    )
    for name, one in network.named_parameters():  # so that a forgotten bias shows
        if name.endswith("bias"):
            torch.nn.init.normal_(one, std=0.1)
    return network.eval()


def tokens(*texts: list[int], padding: int = 0) -> Tokens:
    longest = max(len(text) for text in texts) + padding
    ids_bl = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
    return Tokens(ids_bl=ids_bl, mask_bl=ids_bl > 0)


def item(*, seed: int = 0, present: int = 5) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(1, 5, WIDTH, generator=random), (torch.arange(5) < present).unsqueeze(0)


@torch.no_grad()
def one_by_one(
    encoder: TextEncoder, rows: list[int], condition_1qd: Tensor, mask_1q: Tensor
) -> Tensor:
    return torch.cat(
        [
            encoder.match(tokens(TEXTS[row]), condition_1qd, condition_mask_bq=mask_1q)
            for row in rows
        ]
    )


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("present", [5, 3], ids=["all tokens", "three tokens"])
@pytest.mark.parametrize(
    "rows", [[0, 1, 2, 3, 4], [2, 0, 2], [1, 4], [3]], ids=["all", "some", "one length", "shortest"]
)
@torch.no_grad()
def test_pairs_are_read_as_each_alone(depth: int, present: int, rows: list[int]) -> None:
    encoder, (condition_1qd, mask_1q) = make_encoder(depth), item(present=present)
    reader = encoder.pair_reader(tokens(*TEXTS, padding=3))
    found = reader.first_tokens(torch.tensor(rows), condition_1qd, mask_1q=mask_1q)
    expected = one_by_one(encoder, rows, condition_1qd, mask_1q)
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


@torch.no_grad()
def test_an_item_of_which_no_token_counts_is_read_as_by_the_network() -> None:
    encoder, (condition_1qd, mask_1q) = make_encoder(2), item(present=0)
    reader = encoder.pair_reader(tokens(*TEXTS))
    found = reader.first_tokens(torch.arange(5), condition_1qd, mask_1q=mask_1q)
    expected = one_by_one(encoder, list(range(5)), condition_1qd, mask_1q)
    # The network adds -10,000 to every logit there, of which a float32 keeps three decimals.
    torch.testing.assert_close(found, expected, rtol=0, atol=5e-3)


@torch.no_grad()
def test_an_item_does_not_change_how_the_next_one_is_read() -> None:
    encoder, rows = make_encoder(2), [0, 1, 2]
    reader = encoder.pair_reader(tokens(*TEXTS))
    for seed in (1, 2, 1):
        condition_1qd, mask_1q = item(seed=seed)
        found = reader.first_tokens(torch.tensor(rows), condition_1qd, mask_1q=mask_1q)
        expected = one_by_one(encoder, rows, condition_1qd, mask_1q)
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


@torch.no_grad()
def test_texts_may_be_prepared_few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, (condition_1qd, mask_1q) = make_encoder(2), item()
    found = []
    for at_once in (1, 2, 256):
        monkeypatch.setattr("gram.encoders.pair_reader.PREPARED_AT_ONCE", at_once)
        reader = encoder.pair_reader(tokens(*TEXTS))
        found.append(reader.first_tokens(torch.arange(5), condition_1qd, mask_1q=mask_1q))
    torch.testing.assert_close(found[0], found[2], rtol=0, atol=2e-6)
    torch.testing.assert_close(found[1], found[2], rtol=0, atol=2e-6)


def test_a_model_in_training_mode_reads_no_pairs() -> None:
    with pytest.raises(ValueError, match=r"the model is in training mode; call eval\(\)"):
        PairReader(make_encoder(1).train().bert, tokens(*TEXTS))


def test_a_text_whose_first_piece_is_hidden_is_refused() -> None:
    texts = tokens(*TEXTS)
    hidden = Tokens(ids_bl=texts.ids_bl, mask_bl=texts.mask_bl.roll(1, dims=1))
    with pytest.raises(ValueError, match="let the mask begin with True"):
        make_encoder(1).pair_reader(hidden)
