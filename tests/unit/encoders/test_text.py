import pytest
import torch
from torch import Tensor

from gram.encoders.text import TextEncoder
from gram.types import Tokens

WIDTH = 32


@pytest.fixture
def encoder() -> TextEncoder:
    torch.manual_seed(0)
    network = TextEncoder(
        pieces=40, max_tokens=16, width=WIDTH, depth=2, heads=2, mlp_width=48, dropout=0.0
    )
    return network.eval()


def tokens(*texts: list[int], length: int | None = None) -> Tokens:
    """Pad lists of piece numbers to the longest, or to a length."""
    longest = length or max(len(text) for text in texts)
    ids_bl = torch.tensor([text + [0] * (longest - len(text)) for text in texts])
    return Tokens(ids_bl=ids_bl, mask_bl=ids_bl > 0)


def conditions(size: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(size, 5, WIDTH, generator=random), torch.ones(size, 5, dtype=torch.bool)


def test_a_text_is_its_first_token(encoder: TextEncoder) -> None:
    encoded = encoder(tokens([2, 7, 8, 3], [2, 9, 3]))
    assert torch.equal(encoded.pooled_bd, encoded.tokens_buld[:, 0, 0])


def test_a_text_is_one_unit_of_all_its_tokens(encoder: TextEncoder) -> None:
    assert encoder(tokens([2, 7, 8, 3], [2, 9, 3])).tokens_buld.shape == (2, 1, 4, WIDTH)


def test_the_first_token_reads_the_last_word(encoder: TextEncoder) -> None:
    pooled_bd = encoder(tokens([2, 7, 8, 9, 3], [2, 7, 8, 10, 3])).pooled_bd
    assert not torch.allclose(pooled_bd[0], pooled_bd[1], atol=1e-4)


def test_the_order_of_words_matters(encoder: TextEncoder) -> None:
    pooled_bd = encoder(tokens([2, 7, 8, 3], [2, 8, 7, 3])).pooled_bd
    assert not torch.allclose(pooled_bd[0], pooled_bd[1], atol=1e-4)


def test_padding_changes_no_text(encoder: TextEncoder) -> None:
    short = encoder(tokens([2, 7, 8, 3])).pooled_bd
    padded = encoder(tokens([2, 7, 8, 3], length=12)).pooled_bd
    torch.testing.assert_close(padded, short, rtol=1e-5, atol=1e-6)


def test_what_stands_under_the_padding_is_not_read(encoder: TextEncoder) -> None:
    padded = tokens([2, 7, 8, 3], length=6)
    other = Tokens(ids_bl=padded.ids_bl + 9 * ~padded.mask_bl, mask_bl=padded.mask_bl)
    torch.testing.assert_close(
        encoder(other).pooled_bd, encoder(padded).pooled_bd, rtol=1e-5, atol=1e-6
    )


def test_a_text_does_not_depend_on_the_others_of_its_batch(encoder: TextEncoder) -> None:
    alone = encoder(tokens([2, 7, 3])).pooled_bd[0]
    together = encoder(tokens([2, 7, 3], [2, 11, 12, 13, 14, 3])).pooled_bd[0]
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)


def test_matching_reads_the_condition(encoder: TextEncoder) -> None:
    text = tokens([2, 7, 8, 3])
    one_bqd, mask_bq = conditions(1, seed=1)
    other_bqd, _ = conditions(1, seed=2)
    first = encoder.match(text, one_bqd, condition_mask_bq=mask_bq)
    second = encoder.match(text, other_bqd, condition_mask_bq=mask_bq)
    assert not torch.allclose(first, second, atol=1e-4)


def test_matching_reads_the_text(encoder: TextEncoder) -> None:
    condition_bqd, mask_bq = conditions(1)
    first = encoder.match(tokens([2, 7, 3]), condition_bqd, condition_mask_bq=mask_bq)
    second = encoder.match(tokens([2, 8, 3]), condition_bqd, condition_mask_bq=mask_bq)
    assert not torch.allclose(first, second, atol=1e-4)


def test_matching_does_not_read_a_masked_condition_token(encoder: TextEncoder) -> None:
    text = tokens([2, 7, 8, 3])
    condition_bqd, mask_bq = conditions(1)
    mask_bq[:, 3:] = False
    changed_bqd = condition_bqd.clone()
    changed_bqd[:, 3:] += 5
    torch.testing.assert_close(
        encoder.match(text, changed_bqd, condition_mask_bq=mask_bq),
        encoder.match(text, condition_bqd, condition_mask_bq=mask_bq),
        rtol=1e-5,
        atol=1e-6,
    )


def test_matching_reads_the_last_condition_token(encoder: TextEncoder) -> None:
    text = tokens([2, 7, 8, 3])
    condition_bqd, mask_bq = conditions(1)
    changed_bqd = condition_bqd.clone()
    changed_bqd[:, -1] += 5
    first = encoder.match(text, condition_bqd, condition_mask_bq=mask_bq)
    second = encoder.match(text, changed_bqd, condition_mask_bq=mask_bq)
    assert not torch.allclose(first, second, atol=1e-4)


def test_a_text_without_condition_is_not_matched_against_zeros(encoder: TextEncoder) -> None:
    text = tokens([2, 7, 8, 3])
    zeros_bqd, mask_bq = torch.zeros(1, 5, WIDTH), torch.ones(1, 5, dtype=torch.bool)
    alone = encoder(text).pooled_bd
    encoder.match(text, zeros_bqd, condition_mask_bq=mask_bq)
    torch.testing.assert_close(encoder(text).pooled_bd, alone)


def test_the_longest_text_can_be_read() -> None:
    encoder = TextEncoder(
        pieces=40, max_tokens=600, width=16, depth=1, heads=2, mlp_width=16, dropout=0.0
    )
    assert encoder(tokens([2, *([7] * 598), 3])).pooled_bd.shape == (1, 16)
