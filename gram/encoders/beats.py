"""BEATs: a transformer over spectrogram patches, with the weights' names of its checkpoint.

Shape letters: B audio clips, T spectrogram frames, M mel bins, L tokens, D width, P width of a
patch, K kernel of the positional convolution.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from gram.encoders.beats_attention import GatedAttention


@dataclass(frozen=True, kw_only=True)
class BeatsSizes:
    """Sizes and rates of a network; the released one's are the defaults of the settings.

    Attributes:
        patch: Side of a patch, in spectrogram frames and mel bins.
        patch_width: Width of a patch before the transformer.
        width: Width of a token.
        depth: Number of layers.
        heads: Attention heads.
        mlp_width: Hidden width of a layer's MLP.
        dropout: Dropout of hidden states and attention.
        layer_drop: Probability that a layer is left out, in training only.
        gradient_decay: Factor of the gradient in front of every layer.
        position_kernel: Tokens that the positional convolution reads.
        position_groups: Groups of that convolution.
        buckets: Buckets of distances between tokens.
        max_distance: Distance from which all share a bucket.
    """

    patch: int
    patch_width: int
    width: int
    depth: int
    heads: int
    mlp_width: int
    dropout: float
    layer_drop: float
    gradient_decay: float
    position_kernel: int
    position_groups: int
    buckets: int
    max_distance: int

    def __post_init__(self) -> None:
        """Check that the sizes fit each other.

        Raises:
            ValueError: If heads or groups do not divide the width, or the buckets do not suit.
        """
        for name, parts in (("heads", self.heads), ("position_groups", self.position_groups)):
            if self.width % parts:
                raise ValueError(
                    f"a width of {self.width} is no whole number of {name} ({parts}); change "
                    f"model.audio.width or model.audio.{name}"
                )
        if self.buckets < 4 or self.max_distance <= self.buckets // 4:
            raise ValueError(
                f"{self.buckets} buckets cannot hold distances up to {self.max_distance}: there "
                "must be 4 or more, and a quarter of them below the distance; change "
                "model.audio.buckets or model.audio.max_distance"
            )


class Beats(nn.Module):
    """Patches, their norm, and the transformer. Spectrograms may be of any length and height."""

    def __init__(self, sizes: BeatsSizes) -> None:
        """Build the network with random weights."""
        super().__init__()
        self.patch_embedding = nn.Conv2d(
            1, sizes.patch_width, kernel_size=sizes.patch, stride=sizes.patch, bias=False
        )
        self.layer_norm = nn.LayerNorm(sizes.patch_width)
        self.post_extract_proj = (
            nn.Identity()
            if sizes.patch_width == sizes.width
            else nn.Linear(sizes.patch_width, sizes.width)
        )
        self.encoder = _Layers(sizes)

    def forward(self, banks_btm: Tensor) -> Tensor:
        """Encode normalized filter banks.

        Args:
            banks_btm: Filter banks, float, shape (B, T, M). What is left over after the last
                whole patch is not read.

        Returns:
            Tokens, shape (B, L, D), in the order of ``tokens_of``.
        """
        patches_bpij = self.patch_embedding(banks_btm.unsqueeze(1))
        tokens_blp = self.layer_norm(tokens_of(patches_bpij))
        tokens_bld: Tensor = self.encoder(self.post_extract_proj(tokens_blp))
        return tokens_bld


class _Layers(nn.Module):
    """Positional convolution, norm, and the layers with their shared bias."""

    def __init__(self, sizes: BeatsSizes) -> None:
        super().__init__()
        self.sizes, self.is_checkpointed = sizes, False
        self.pos_conv = nn.Sequential(
            PositionConvolution(
                sizes.width, kernel=sizes.position_kernel, groups=sizes.position_groups
            ),
            nn.GELU(),
        )
        layers = [BeatsLayer(sizes) for _ in range(sizes.depth)]
        for layer in layers:
            layer.self_attn.relative_attention_bias = layers[0].self_attn.relative_attention_bias
        self.layers = nn.ModuleList(layers)
        self.layer_norm = nn.LayerNorm(sizes.width)

    def forward(self, tokens_bld: Tensor) -> Tensor:
        tokens_bld = self.layer_norm(tokens_bld + self.pos_conv(tokens_bld))
        tokens_bld = functional.dropout(tokens_bld, self.sizes.dropout, self.training)
        first = cast(BeatsLayer, self.layers[0])
        bias_hll = first.self_attn.bias(tokens_bld.shape[1], max_distance=self.sizes.max_distance)
        for layer in self.layers:
            tokens_bld = scale_gradient(tokens_bld, self.sizes.gradient_decay)
            if self.training and is_drawn(self.sizes.layer_drop):
                continue
            if self.is_checkpointed and torch.is_grad_enabled():
                tokens_bld = checkpoint(layer, tokens_bld, bias_hll, use_reentrant=False)
            else:
                tokens_bld = layer(tokens_bld, bias_hll)
        return tokens_bld


class BeatsLayer(nn.Module):
    """Attention and MLP, each added to its scaled input and normed after that (DeepNorm)."""

    def __init__(self, sizes: BeatsSizes) -> None:
        """Draw weights as DeepNorm does: the deeper the network, the smaller in the branches."""
        super().__init__()
        width, self.dropout, self.depth = sizes.width, sizes.dropout, sizes.depth
        self.self_attn = GatedAttention(
            width=width, heads=sizes.heads, buckets=sizes.buckets, dropout=sizes.dropout
        )
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, sizes.mlp_width)
        self.fc2 = nn.Linear(sizes.mlp_width, width)
        self.final_layer_norm = nn.LayerNorm(width)
        attention, small = self.self_attn, (8 * sizes.depth) ** -0.25  # DeepNorm, encoder alone
        for linear, gain in (
            (attention.q_proj, 1.0),
            (attention.k_proj, 1.0),
            (attention.v_proj, small),
            (attention.out_proj, small),
            (self.fc1, small),
            (self.fc2, small),
        ):
            nn.init.xavier_normal_(linear.weight, gain=gain)
            nn.init.zeros_(linear.bias)

    def forward(self, tokens_bld: Tensor, bias_hll: Tensor) -> Tensor:
        """Change the tokens: shape (B, L, D) in and out."""
        scale = residual_scale(self.depth)
        read_bld = self._dropped(self.self_attn(tokens_bld, bias_hll))
        tokens_bld = self.self_attn_layer_norm(scale * tokens_bld + read_bld)
        thought_bld = self._dropped(self.fc2(self._dropped(functional.gelu(self.fc1(tokens_bld)))))
        changed_bld: Tensor = self.final_layer_norm(scale * tokens_bld + thought_bld)
        return changed_bld

    def _dropped(self, tokens_bld: Tensor) -> Tensor:
        return functional.dropout(tokens_bld, self.dropout, self.training)


class PositionConvolution(nn.Module):
    """Convolution over the tokens in their order, which tells the layers where a token stands.

    Its weight is a direction times a length, one length for each place of the kernel.
    """

    def __init__(self, width: int, *, kernel: int, groups: int) -> None:
        """Build it; ``weight_v`` is the direction, ``weight_g`` the lengths."""
        super().__init__()
        self.kernel, self.groups = kernel, groups
        self.bias = nn.Parameter(torch.zeros(width))
        direction = torch.empty(width, width // groups, kernel)
        nn.init.normal_(direction, std=(4 / (kernel * width)) ** 0.5)
        self.weight_g = nn.Parameter(_lengths(direction))
        self.weight_v = nn.Parameter(direction)

    def weight(self) -> Tensor:
        """Give the weight of the convolution: shape (D, D / groups, K)."""
        return self.weight_v * (self.weight_g / _lengths(self.weight_v))

    def forward(self, tokens_bld: Tensor) -> Tensor:
        """Convolve: shape (B, L, D) in and out. A kernel of even size looks one token less ahead.

        Beyond the ends stand zeros.
        """
        convolved_bdl = functional.conv1d(
            tokens_bld.mT,
            self.weight(),
            self.bias,
            padding=self.kernel // 2,
            groups=self.groups,
        )
        return convolved_bdl[..., : tokens_bld.shape[1]].mT


def tokens_of(patches_bpij: Tensor) -> Tensor:
    """Put patches, first axis time, second mel, in a row: mel runs fastest, shape (B, L, P)."""
    return patches_bpij.flatten(2).mT


def residual_scale(depth: int) -> float:
    """Give what a branch's input is multiplied by before the branch is added (DeepNorm)."""
    return float((2 * depth) ** 0.25)


def is_drawn(probability: float) -> bool:
    """Draw once from torch's generator of the CPU, the same on every device; never at 0."""
    return probability > 0 and bool(torch.rand((), device="cpu") < probability)


def scale_gradient(value: Tensor, factor: float) -> Tensor:
    """Give the value as it is; the gradient that comes back is multiplied by the factor."""
    if factor == 1:
        return value
    scaled: Tensor = _ScaledGradient.apply(value, factor)  # type: ignore[no-untyped-call]
    return scaled


class _ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, factor: float) -> Tensor:  # noqa: ANN401 torch's type
        ctx.factor = factor
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401 torch's type
        return gradient * ctx.factor, None


def _lengths(direction: Tensor) -> Tensor:
    lengths_11k: Tensor = torch.linalg.vector_norm(direction, dim=(0, 1), keepdim=True)
    return lengths_11k
