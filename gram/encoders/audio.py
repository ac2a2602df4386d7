"""Kaldi filter banks -> features, by a transformer over spectrogram patches.

Shape letters: B items, C audio clips of an item, T spectrogram frames, M mel bins, L tokens,
D width.
"""

import torch
from torch import Tensor, nn

from gram.encoders.base import Encoded


class AudioEncoder(nn.Module):
    """Patches of the filter bank, learned positions, pre-norm transformer blocks.

    Tokens are ordered with the mel index running fastest. An item's vector is the mean over the
    tokens of all its audio clips.
    """

    def __init__(
        self,
        *,
        audio_frames: int,
        mel_bins: int,
        patch: int,
        width: int,
        depth: int,
        heads: int,
        mlp_width: int,
        dropout: float,
    ) -> None:
        """Build the transformer.

        Raises:
            ValueError: If a spectrogram is no whole number of patches long or high.
        """
        super().__init__()
        if audio_frames % patch or mel_bins % patch:
            raise ValueError(
                f"a spectrogram of {audio_frames} x {mel_bins} is no whole number of patches of "
                f"{patch}; change inputs.audio_frames, inputs.mel_bins or model.audio.patch"
            )
        self.width = width
        self.patches = nn.Conv2d(1, width, kernel_size=patch, stride=patch)
        tokens = (audio_frames // patch) * (mel_bins // patch)
        self.positions = nn.Parameter(torch.empty(1, tokens, width))
        nn.init.trunc_normal_(self.positions, std=0.02)
        blocks = [
            nn.TransformerEncoderLayer(
                width,
                heads,
                dim_feedforward=mlp_width,
                dropout=dropout,
                activation="gelu",
                batch_first=True,
                norm_first=True,
            )
            for _ in range(depth)
        ]
        self.blocks = nn.Sequential(*blocks, nn.LayerNorm(width))

    def forward(self, audio_bctm: Tensor) -> Encoded:
        """Encode filter banks: normalized, float, shape (B, C, T, M)."""
        batch, clips = audio_bctm.shape[:2]
        patches = self.patches(audio_bctm.flatten(0, 1).unsqueeze(1))
        tokens: Tensor = self.blocks(patches.flatten(2).mT + self.positions)
        tokens_bcld = tokens.view(batch, clips, *tokens.shape[1:])
        return Encoded(tokens_buld=tokens_bcld, pooled_bd=tokens_bcld.mean(dim=(1, 2)))
