import pytest
import torch
from torch import Tensor

from gram.encoders.audio import AudioEncoder


def build(*, audio_frames: int = 48, mel_bins: int = 32, depth: int = 1) -> AudioEncoder:
    torch.manual_seed(0)
    return AudioEncoder(
        audio_frames=audio_frames,
        mel_bins=mel_bins,
        patch=16,
        width=24,
        depth=depth,
        heads=2,
        mlp_width=32,
        dropout=0.0,
    ).eval()


def banks(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_each_slice_of_sound_has_a_token_a_patch() -> None:
    assert build()(banks(2, 3, 48, 32)).tokens_buld.shape == (2, 3, 6, 24)


def test_an_item_is_the_mean_of_all_tokens() -> None:
    encoded = build()(banks(2, 3, 48, 32))
    torch.testing.assert_close(encoded.pooled_bd, encoded.tokens_buld.flatten(1, 2).mean(dim=1))


def test_the_tokens_of_a_slice_are_those_of_the_slice_alone() -> None:
    encoder, audio_bctm = build(), banks(2, 3, 48, 32)
    alone = encoder(audio_bctm[1:, 2:]).tokens_buld[0, 0]
    torch.testing.assert_close(encoder(audio_bctm).tokens_buld[1, 2], alone)


def test_the_mel_index_of_the_tokens_runs_fastest() -> None:
    encoder = build()
    seen: list[Tensor] = []
    encoder.blocks.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    audio_bctm = torch.zeros(1, 1, 48, 32)
    audio_bctm[:, :, :16, 16:] = 1  # first in time, second in frequency
    encoder(audio_bctm)
    tokens_ld = seen[0][0] - encoder.positions[0]
    differs = ((tokens_ld - tokens_ld[0]).abs() > 1e-5).any(dim=1)
    assert differs.tolist() == [False, True, False, False, False, False]


def test_the_place_of_a_patch_matters() -> None:
    encoder, audio_bctm = build(), banks(1, 1, 48, 32)
    moved = encoder(audio_bctm.roll(16, dims=2)).pooled_bd
    assert not torch.allclose(moved, encoder(audio_bctm).pooled_bd, atol=1e-4)


def test_blocks_start_from_different_weights() -> None:
    first, second, _ = build(depth=2).blocks
    assert not torch.equal(first.linear1.weight, second.linear1.weight)


@pytest.mark.parametrize(("audio_frames", "mel_bins"), [(40, 32), (48, 24)])
def test_a_spectrogram_of_no_whole_number_of_patches_is_refused(
    audio_frames: int, mel_bins: int
) -> None:
    expected = rf"spectrogram of {audio_frames} x {mel_bins} is no whole .* of 16; change inputs"
    with pytest.raises(ValueError, match=expected):
        build(audio_frames=audio_frames, mel_bins=mel_bins)
