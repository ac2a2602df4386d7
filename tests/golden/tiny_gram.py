"""The tiny model of the recordings, built in our classes from the sizes that its weights tell."""

from typing import Any

import torch
from torch import Tensor

from gram.config import AudioConfig, InputsConfig, ModelConfig, TextConfig, VisionConfig
from gram.model import GramModel
from gram.types import ITEM_MODALITIES, Batch, Modality, Tokens

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

LETTERS = {
    "t": Modality.TEXT,
    "v": Modality.VIDEO,
    "a": Modality.AUDIO,
    "s": Modality.SUBTITLE,
    "d": Modality.DEPTH,
}
"""Letters of the recordings' names."""

Tensors = dict[str, Tensor]


def modalities_of(letters: str) -> tuple[Modality, ...]:
    """Give the item modalities of a name such as ``"tvas"``, in the order of its letters."""
    return tuple(LETTERS[letter] for letter in letters if letter != "t")


def build_model(
    weights: Tensors,
    facts: dict[str, Any],
    parts: dict[str, dict[str, Any]],
    *,
    modalities: tuple[Modality, ...] = ITEM_MODALITIES,
    pieces: tuple[str, ...],
) -> GramModel:
    """Build a model with random weights for a released checkpoint.

    Args:
        weights: The checkpoint.
        facts: The settings beside it, ``model_cfg``.
        parts: What the recordings of the encoders say of theirs, by name.
        modalities: Of the model.
        pieces: Word pieces.
    """
    settings = facts["model_cfg"]
    model = ModelConfig(
        modalities=modalities,
        embedding_width=weights["contra_head_t.linear.weight"].shape[0],
        vision=_vision(weights, parts["03_eva_clip"]["model_cfg_used"]["vision_cfg"]),
        audio=_audio(weights, parts["03_beats"]["cfg_used"]),
        text=_text(weights, parts["03_bert"]["config"]),
    )
    inputs = InputsConfig(
        image_pixels=settings["vision_resolution"],
        train_frames=settings["max_vision_sample_num"],
        audio_clips=settings["max_audio_sample_num"],
        audio_frames=settings["audio_target_length"],
        mel_bins=settings["audio_melbins"],
        caption_tokens=settings["max_caption_len"],
        subtitle_tokens=settings["max_subtitle_len"],
    )
    return GramModel(model, inputs, pieces=pieces).eval()


def _vision(weights: Tensors, sizes: dict[str, Any]) -> VisionConfig:
    tower = "vision_encoder.visual."
    width = weights[f"{tower}cls_token"].shape[-1]
    return VisionConfig(
        patch=weights[f"{tower}patch_embed.proj.weight"].shape[-1],
        width=width,
        depth=_count(weights, f"{tower}blocks."),
        heads=width // sizes["head_width"],
        mlp_width=weights[f"{tower}blocks.0.mlp.fc1.weight"].shape[0],
        drop_path=sizes["drop_path_rate"],
    )


def _audio(weights: Tensors, sizes: dict[str, Any]) -> AudioConfig:
    layer = "audio_encoder.encoder.layers.0."
    table = weights[f"{layer}self_attn.relative_attention_bias.weight"]
    kernel = weights["audio_encoder.encoder.pos_conv.0.weight_v"]
    return AudioConfig(
        patch=weights["audio_encoder.patch_embedding.weight"].shape[-1],
        patch_width=weights["audio_encoder.patch_embedding.weight"].shape[0],
        width=kernel.shape[0],
        depth=_count(weights, "audio_encoder.encoder.layers."),
        heads=table.shape[1],
        mlp_width=weights[f"{layer}fc1.weight"].shape[0],
        buckets=table.shape[0],
        max_distance=sizes["max_distance"],
        position_kernel=kernel.shape[2],
        position_groups=kernel.shape[0] // kernel.shape[1],
        gradient_decay=sizes["layer_wise_gradient_decay_ratio"],
        layer_drop=sizes["encoder_layerdrop"],
    )


def _text(weights: Tensors, sizes: dict[str, Any]) -> TextConfig:
    bert = "multimodal_encoder.bert."
    return TextConfig(
        width=weights[f"{bert}embeddings.word_embeddings.weight"].shape[1],
        depth=_count(weights, f"{bert}encoder.layer."),
        heads=sizes["num_attention_heads"],
        mlp_width=weights[f"{bert}encoder.layer.0.intermediate.dense.weight"].shape[0],
        positions=weights[f"{bert}embeddings.position_embeddings.weight"].shape[0],
        dropout=0.0,
    )


def _count(weights: Tensors, start: str) -> int:
    return len({name[len(start) :].split(".")[0] for name in weights if name.startswith(start)})


def make_batch(recorded: Tensors, modalities: tuple[Modality, ...]) -> Batch:
    """Give the recorded batch; pictures are floats here, as before their normalization."""
    size = recorded["in.vision_pixels"].shape[0]

    def tokens(kind: str) -> Tokens:
        ids, mask = (recorded[f"in.{kind}_tokens.{one}"] for one in ("input_ids", "attention_mask"))
        return Tokens(ids_bl=ids, mask_bl=mask.bool())

    return Batch(
        clip_ids=tuple(str(row) for row in range(size)),
        caption=tokens("caption"),
        video_bfchw=before_normalization(recorded["in.vision_pixels"]),
        depth_bfchw=before_normalization(recorded["in.depth_pixels"]),
        audio_bctm=recorded["in.audio_spectrograms"],
        subtitle=tokens("subtitle"),
        present={name: torch.ones(size, dtype=torch.bool) for name in modalities},
    )


def before_normalization(pixels_bfchw: Tensor) -> Tensor:
    """Take back the normalization by CLIP's mean and deviation: values of 0 to 255, float."""
    mean, std = (torch.tensor(one).view(3, 1, 1) for one in (CLIP_MEAN, CLIP_STD))
    return (pixels_bfchw.double() * std + mean).mul(255).float()
