"""Settings of a model: modalities, and the sizes of its encoders."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from gram.config.base import Fraction, Section, merged
from gram.config.presets import PRESETS, PresetName
from gram.types import Modality


class VisionConfig(Section):
    """EVA vision transformer (timm). Defaults: EVA-CLIP g/14, section 4 of the paper."""

    patch: int = Field(14, ge=1, description="Side of a patch, in pixels.")
    width: int = Field(1408, ge=8, description="Width of a token.")
    depth: int = Field(40, ge=1, description="Number of blocks.")
    heads: int = Field(16, ge=1, description="Attention heads.")
    mlp_width: int = Field(6144, ge=8, description="Hidden width of a block's MLP.")
    drop_path: Fraction = Field(0.4, description="Stochastic depth of the last block.")


class AudioConfig(Section):
    """BEATs over filter-bank patches. Defaults: the released BEATs."""

    patch: int = Field(16, ge=1, description="Side of a patch, in spectrogram frames and mel bins.")
    patch_width: int = Field(512, ge=8, description="Width of a patch before the transformer.")
    width: int = Field(768, ge=8, description="Width of a token.")
    depth: int = Field(12, ge=1, description="Number of layers.")
    heads: int = Field(12, ge=1, description="Attention heads.")
    mlp_width: int = Field(3072, ge=8, description="Hidden width of a layer's MLP.")
    dropout: Fraction = Field(0.0, description="Dropout of hidden states and attention.")
    layer_drop: Fraction = Field(
        0.05, description="Probability that a layer is left out in training."
    )
    gradient_decay: float = Field(
        0.6, gt=0, le=1, description="Factor of the gradient in front of every layer; 1: none."
    )
    position_kernel: int = Field(
        128, ge=1, description="Tokens that the positional convolution reads."
    )
    position_groups: int = Field(16, ge=1, description="Groups of the positional convolution.")
    buckets: int = Field(320, ge=4, description="Buckets of distances between tokens.")
    max_distance: int = Field(
        800, ge=2, description="Distance from which all share a bucket, in tokens."
    )

    @model_validator(mode="after")
    def _buckets_hold_the_distances(self) -> "AudioConfig":
        if self.max_distance <= self.buckets // 4:
            raise ValueError(
                f"model.audio.max_distance is {self.max_distance}, but a quarter of the "
                f"{self.buckets} buckets holds one distance each; raise it above "
                f"{self.buckets // 4}, or lower model.audio.buckets"
            )
        return self


class TextConfig(Section):
    """BERT for captions, subtitles and matching. Defaults: bert-base."""

    width: int = Field(768, ge=8, description="Width of a token.")
    depth: int = Field(12, ge=1, description="Number of blocks.")
    heads: int = Field(12, ge=1, description="Attention heads.")
    mlp_width: int = Field(3072, ge=8, description="Hidden width of a block's MLP.")
    dropout: Fraction = Field(0.1, description="Dropout of hidden states and attention.")
    positions: int = Field(
        512, ge=4, description="Rows of the position table: the longest text, in word pieces."
    )


class ModelConfig(Section):
    """Which modalities are aligned, by which encoders."""

    preset: PresetName = Field(
        "paper",
        description="Sizes that the sections below start from: tiny, small or the paper's.",
    )
    modalities: tuple[Modality, ...] = Field(
        (Modality.VIDEO, Modality.AUDIO, Modality.SUBTITLE),
        min_length=1,
        description="Modalities of the item; text, the anchor, is always there.",
    )
    embedding_width: int = Field(512, ge=2, description="Width of the shared space (paper: 512).")
    vision: VisionConfig = VisionConfig()
    audio: AudioConfig = AudioConfig()
    text: TextConfig = TextConfig()

    @model_validator(mode="before")
    @classmethod
    def _start_from_preset(cls, data: Any) -> Any:  # noqa: ANN401 - pydantic's own type
        if not isinstance(data, Mapping):
            return data
        preset = PRESETS.get(data.get("preset", "paper"))
        return data if preset is None else merged(preset, data)

    @field_validator("modalities")
    @classmethod
    def _in_order(cls, modalities: tuple[Modality, ...]) -> tuple[Modality, ...]:
        return tuple(sorted(modalities, key=list(Modality).index))

    @model_validator(mode="after")
    def _modalities_are_of_the_item(self) -> "ModelConfig":
        if Modality.TEXT in self.modalities:
            raise ValueError(
                "model.modalities names text; leave it out, the anchor is always there"
            )
        if len(set(self.modalities)) < len(self.modalities):
            raise ValueError(f"model.modalities names one twice: {', '.join(self.modalities)}")
        if len(self.modalities) + 1 > self.embedding_width:
            raise ValueError("model.embedding_width is below the number of modalities")
        return self
