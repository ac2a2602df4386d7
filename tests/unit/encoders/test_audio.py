import pytest
import torch
from torch import Tensor

from gram.encoders.audio import AudioEncoder
from tests.unit.encoders.made_beats import sizes


def build(*, audio_frames: int = 48, mel_bins: int = 32, depth: int = 1) -> AudioEncoder:
    torch.manual_seed(0)
    return AudioEncoder(sizes(depth=depth), audio_frames=audio_frames, mel_bins=mel_bins).eval()


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


def test_the_place_of_a_patch_matters() -> None:
    encoder, audio_bctm = build(), banks(1, 1, 48, 32)
    moved = encoder(audio_bctm.roll(16, dims=2)).pooled_bd
    assert not torch.allclose(moved, encoder(audio_bctm).pooled_bd, atol=1e-4)


def test_a_spectrogram_may_be_longer_than_the_encoder_was_built_for() -> None:
    assert build()(banks(1, 1, 96, 32)).tokens_buld.shape == (1, 1, 12, 24)


@pytest.mark.parametrize(("audio_frames", "mel_bins"), [(40, 32), (48, 24)])
def test_a_spectrogram_of_no_whole_number_of_patches_is_refused(
    audio_frames: int, mel_bins: int
) -> None:
    expected = rf"spectrogram of {audio_frames} x {mel_bins} is no whole .* of 16; change inputs"
    with pytest.raises(ValueError, match=expected):
        build(audio_frames=audio_frames, mel_bins=mel_bins)


@pytest.mark.parametrize(("audio_frames", "mel_bins"), [(40, 32), (48, 24)])
def test_an_input_of_no_whole_number_of_patches_is_refused(
    audio_frames: int, mel_bins: int
) -> None:
    expected = rf"spectrogram of {audio_frames} x {mel_bins} is no whole .* of 16; change inputs"
    with pytest.raises(ValueError, match=expected):
        build()(banks(1, 1, audio_frames, mel_bins))


def test_every_parameter_learns() -> None:
    encoder = build(depth=2).train()
    total = encoder(banks(2, 3, 48, 32)).tokens_buld.square().sum()
    names, weights = zip(*encoder.named_parameters(), strict=True)
    gradients = torch.autograd.grad(total, weights, allow_unused=True)
    unused = [name for name, gradient in zip(names, gradients, strict=True) if gradient is None]
    assert unused == []
