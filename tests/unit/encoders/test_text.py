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


def test_a_text_that_is_too_long_is_refused(encoder: TextEncoder) -> None:
    with pytest.raises(
        ValueError, match=r"reads up to 16 tokens, got 20; cut .* model\.text\.positions"
    ):
        encoder(tokens([2, 7, 3], length=20))


def test_a_width_of_no_whole_number_of_heads_is_refused() -> None:
    with pytest.raises(ValueError, match=r"width of 32 is no whole number of heads \(5\); change"):
        TextEncoder(pieces=40, max_tokens=16, width=32, depth=1, heads=5, mlp_width=48, dropout=0.0)


def test_a_mask_of_three_axes_says_who_reads_whom(encoder: TextEncoder) -> None:
    ids_bl = torch.tensor([[2, 7, 8, 3], [2, 7, 8, 9]])
    before_bll = torch.ones(2, 4, 4).tril().bool()
    first, second = encoder.read(ids_bl, before_bll)
    torch.testing.assert_close(first[:3], second[:3])


def test_a_full_mask_of_three_axes_is_one_of_two(encoder: TextEncoder) -> None:
    text = tokens([2, 7, 8, 3], [2, 7, 8, 9])
    mask_bll = text.mask_bl[:, None].expand(2, 4, 4)
    torch.testing.assert_close(
        encoder.read(text.ids_bl, mask_bll), encoder.read(text.ids_bl, text.mask_bl)
    )


def test_without_a_mask_every_condition_token_counts(encoder: TextEncoder) -> None:
    text = tokens([2, 7, 8, 3])
    condition_bqd, mask_bq = conditions(1)
    expected_bld = encoder.read(
        text.ids_bl, text.mask_bl, condition_bqd=condition_bqd, condition_mask_bq=mask_bq
    )
    torch.testing.assert_close(
        encoder.read(text.ids_bl, text.mask_bl, condition_bqd=condition_bqd), expected_bld
    )


def test_attention_is_the_fused_one(encoder: TextEncoder) -> None:
    assert encoder.bert.config._attn_implementation == "sdpa"
