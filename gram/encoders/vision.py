"""Frames and depth maps -> features, by timm's EVA vision transformer.

Shape letters: B items, F frames, H and W pixels, L tokens (class token first), D width.
"""

import torch
from timm.models.eva import Eva
from torch import Tensor, nn

from gram.encoders.base import Encoded, scale_initial_weights

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Pixel mean and deviation of CLIP, for values in 0..1, red, green, blue."""


class VisionEncoder(nn.Module):
    """EVA tower. An item's vector is the mean of its frames' class tokens (paper, Figure 2)."""

    def __init__(
        self,
        *,
        pixels: int,
        patch: int,
        width: int,
        depth: int,
        heads: int,
        mlp_width: int,
        drop_path: float,
    ) -> None:
        """Build the tower.

        Raises:
            ValueError: If the frame is no whole number of patches wide.
        """
        super().__init__()
        if pixels % patch:
            raise ValueError(
                f"frames of {pixels} pixels are no whole number of patches of {patch}; "
                "change inputs.image_pixels or model.vision.patch"
            )
        self.width, self.pixels = width, pixels
        self.tower = Eva(
            img_size=pixels,
            patch_size=patch,
            num_classes=0,
            global_pool="token",  # keeps the final norm over all tokens
            embed_dim=width,
            depth=depth,
            num_heads=heads,
            mlp_ratio=(mlp_width + 0.5) / width,  # timm takes the whole part of ratio times width
            drop_path_rate=drop_path,
        )
        scale_initial_weights(self.tower, width=width)
        self.register_buffer("mean", torch.tensor(CLIP_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(CLIP_STD).view(3, 1, 1), persistent=False)

    def checkpoint_activations(self) -> None:
        """Compute each block again in the backward pass instead of keeping its activations."""
        self.tower.set_grad_checkpointing()

    def compile_layers(self) -> None:
        """Compile the network with torch.compile, when it is first called."""
        self.tower.compile()

    def forward(self, frames_bfchw: Tensor) -> Encoded:
        """Encode frames.

        Args:
            frames_bfchw: Frames or depth maps, uint8, shape (B, F, 3 or 1, H, W). One channel is
                repeated to three, as the released code does with depth.

        Raises:
            ValueError: If the frames are of another size than the tower is built for.
        """
        height, width = frames_bfchw.shape[-2:]
        if (height, width) != (self.pixels, self.pixels):
            raise ValueError(
                f"the vision tower reads frames of {self.pixels} x {self.pixels} pixels, got "
                f"{height} x {width}; resize them, or change inputs.image_pixels"
            )
        batch, frames = frames_bfchw.shape[:2]
        pixels = frames_bfchw.flatten(0, 1).expand(-1, 3, -1, -1).float() / 255
        normalized = (pixels - self.get_buffer("mean")) / self.get_buffer("std")
        normalized = normalized.to(self.tower.patch_embed.proj.weight.dtype)
        tokens: Tensor = self.tower.forward_features(normalized)
        tokens_bfld = tokens.view(batch, frames, *tokens.shape[1:])
        return Encoded(tokens_buld=tokens_bfld, pooled_bd=tokens_bfld[:, :, 0].mean(dim=1))
