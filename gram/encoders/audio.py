"""Kaldi filter banks -> features, by BEATs.

Shape letters: B items, C audio clips of an item, T spectrogram frames, M mel bins, L tokens,
D width.
"""

from torch import Tensor, nn

from gram.encoders.base import Encoded
from gram.encoders.beats import Beats, BeatsSizes


class AudioEncoder(nn.Module):
    """BEATs. An item's vector is the mean over the tokens of all its audio clips.

    Tokens are ordered with the mel index running fastest.
    """

    def __init__(self, sizes: BeatsSizes, *, audio_frames: int, mel_bins: int) -> None:
        """Build the network, for spectrograms of ``audio_frames`` and ``mel_bins``.

        Raises:
            ValueError: If a spectrogram is no whole number of patches long or high.
        """
        super().__init__()
        _check_patches(audio_frames, mel_bins, patch=sizes.patch)
        self.width, self.patch = sizes.width, sizes.patch
        self.beats = Beats(sizes)

    def checkpoint_activations(self) -> None:
        """Compute each layer again in the backward pass instead of keeping its activations."""
        self.beats.encoder.is_checkpointed = True

    def compile_layers(self) -> None:
        """Compile the network with torch.compile, when it is first called."""
        self.beats.compile()

    def forward(self, audio_bctm: Tensor) -> Encoded:
        """Encode filter banks: normalized, float, shape (B, C, T, M).

        Raises:
            ValueError: If a spectrogram is no whole number of patches long or high.
        """
        batch, clips, audio_frames, mel_bins = audio_bctm.shape
        _check_patches(audio_frames, mel_bins, patch=self.patch)
        banks_btm = audio_bctm.flatten(0, 1).to(self.beats.patch_embedding.weight.dtype)
        tokens_bld: Tensor = self.beats(banks_btm)
        tokens_bcld = tokens_bld.view(batch, clips, *tokens_bld.shape[1:])
        return Encoded(tokens_buld=tokens_bcld, pooled_bd=tokens_bcld.mean(dim=(1, 2)))


def _check_patches(audio_frames: int, mel_bins: int, *, patch: int) -> None:
    if audio_frames % patch or mel_bins % patch:
        raise ValueError(
            f"a spectrogram of {audio_frames} x {mel_bins} is no whole number of patches of "
            f"{patch}; change inputs.audio_frames, inputs.mel_bins or model.audio.patch"
        )
