"""Settings of a run: model, inputs, loss, optimizer, training, evaluation."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from gram.config.base import Fraction, Name, Section
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
    """Audio transformer over filter-bank patches. Defaults: the sizes of BEATs."""

    patch: int = Field(16, ge=1, description="Side of a patch, in spectrogram frames and mel bins.")
    width: int = Field(768, ge=8, description="Width of a token.")
    depth: int = Field(12, ge=1, description="Number of blocks.")
    heads: int = Field(12, ge=1, description="Attention heads.")
    mlp_width: int = Field(3072, ge=8, description="Hidden width of a block's MLP.")
    dropout: Fraction = Field(0.0, description="Dropout inside the blocks.")


class TextConfig(Section):
    """BERT for captions, subtitles and matching. Defaults: bert-base."""

    width: int = Field(768, ge=8, description="Width of a token.")
    depth: int = Field(12, ge=1, description="Number of blocks.")
    heads: int = Field(12, ge=1, description="Attention heads.")
    mlp_width: int = Field(3072, ge=8, description="Hidden width of a block's MLP.")
    dropout: Fraction = Field(0.1, description="Dropout of hidden states and attention.")


class ModelConfig(Section):
    """Which modalities are aligned, by which encoders."""

    modalities: tuple[Modality, ...] = Field(
        (Modality.VIDEO, Modality.AUDIO, Modality.SUBTITLE),
        min_length=1,
        description="Modalities of the item; text, the anchor, is always there.",
    )
    embedding_width: int = Field(512, ge=2, description="Width of the shared space (paper: 512).")
    vision: VisionConfig = VisionConfig()
    audio: AudioConfig = AudioConfig()
    text: TextConfig = TextConfig()

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


class InputsConfig(Section):
    """How a kept clip becomes model inputs."""

    image_pixels: int = Field(224, ge=8, description="Side of a model frame, in pixels.")
    train_frames: int = Field(8, ge=1, description="Frames drawn in training (paper, Table 5: 8).")
    test_frames: int = Field(8, ge=1, description="Frames taken in evaluation (paper, Table 5: 8).")
    transform: Literal["crop_flip", "squash"] = Field(
        "crop_flip",
        description=(
            "crop_flip: random crop of 0.8..1 of the area and flip in training, centered square "
            "in evaluation; squash: stretch to a square."
        ),
    )
    mel_bins: int = Field(64, ge=16, description="Mel bins of the filter bank.")
    audio_frames: int = Field(
        1024, ge=16, description="Filter-bank frames of one audio clip, 10 ms each."
    )
    audio_clips: int = Field(1, ge=1, description="Audio clips of one item.")
    audio_mean: float = Field(15.41663, description="Mean that is taken off the filter bank.")
    audio_std: float = Field(6.55582, gt=0, description="The filter bank is divided by twice this.")
    caption_tokens: int = Field(40, ge=4, description="Longest caption, in word pieces.")
    subtitle_tokens: int = Field(70, ge=4, description="Longest subtitle, in word pieces.")
    vocabulary: str | None = Field(
        None, description="vocab.txt of a BERT tokenizer; none: learned from the training texts."
    )
    missing: Literal["drop", "mask"] = Field(
        "drop",
        description=(
            "Clip that lacks a modality of the run. drop: left out (as published); mask: the "
            "volume of the vectors that are there."
        ),
    )


class LossConfig(Section):
    """The objective."""

    kind: Literal["volume", "cosine"] = Field(
        "volume",
        description="volume: paper, section 3; cosine: text against each modality, averaged.",
    )
    temperature: float = Field(0.07, gt=0, description="Start of the learned softmax temperature.")
    label_smoothing: Fraction = Field(0.1, description="Label smoothing (released code: 0.1).")
    matching_weight: float = Field(
        0.1, ge=0, description="Weight of the matching loss (paper: 0.1); 0 leaves it out."
    )
    matching_clips: int | None = Field(
        None,
        ge=1,
        description=(
            "Clips of a batch that take part in the matching loss, which reads three pairs a clip; "
            "none: all, as published."
        ),
    )


class OptimizerConfig(Section):
    """AdamW and its schedule."""

    beta1: float = Field(0.9, ge=0, lt=1, description="Decay of the first moment.")
    beta2: float = Field(0.98, ge=0, lt=1, description="Decay of the second moment.")
    eps: float = Field(1e-6, gt=0, description="Term under the second moment's root.")
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay.")
    warmup: Fraction = Field(0.1, description="Share of the steps in which the rate rises from 0.")
    clip_norm: float | None = Field(
        2.0, gt=0, description="Largest gradient norm; none: not clipped."
    )


class TrainingConfig(Section):
    """One pass of training: on which split, how long, how fast."""

    split: Name = Field("train", description="Split that is trained on.")
    steps: int | None = Field(None, ge=1, description="Optimizer steps; give these or epochs.")
    epochs: float | None = Field(
        None, gt=0, description="Passes over the split; give these or steps."
    )
    batch_size: int = Field(64, ge=2, description="Clips a step, over all devices.")
    learning_rate: float = Field(2e-5, gt=0, description="Highest learning rate.")
    vision_learning_rate: float | None = Field(
        None, gt=0, description="Highest rate of the vision tower; none: as the rest."
    )
    checkpoint_steps: int = Field(500, ge=1, description="Steps between two partial checkpoints.")
    cache_mib: int = Field(
        0, ge=0, description="Memory for decoded clips that are kept between epochs, in MiB."
    )

    @model_validator(mode="after")
    def _one_length(self) -> "TrainingConfig":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give steps or epochs, one of them")
        return self


class EmbeddingConfig(Section):
    """How a benchmark is embedded."""

    batch_size: int = Field(64, ge=1, description="Clips a forward pass.")


ScoreName = Literal[
    "volume",
    "residual",
    "cosine_video",
    "cosine_audio",
    "cosine_subtitle",
    "cosine_depth",
    "cosine_mean",
]


class EvaluationConfig(Section):
    """Which scores rank the items, and which recalls are reported."""

    scores: tuple[ScoreName, ...] = Field(
        ("volume", "cosine_video"), min_length=1, description="Scores that are computed."
    )
    recall_at: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 5, 10), min_length=1, description="Cut-offs K of Recall@K."
    )


class RunConfig(Section):
    """One experiment: a full set of sections."""

    seed: int = Field(0, ge=0, description="Seed of weights, order, augmentation and negatives.")
    model: ModelConfig = ModelConfig()
    inputs: InputsConfig = InputsConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    pretrain_dataset: Name | None = Field(
        None, description="Data set of the pretraining; every run that a table names needs one."
    )
    start: Name | None = Field(
        None,
        description=(
            "Run whose pretrained weights, word pieces and temperature this run's pretraining "
            "starts from; what that model lacks starts at random. None: all of it does."
        ),
    )
    pretrain: TrainingConfig = TrainingConfig(epochs=1)  # paper: one epoch
    embedding: EmbeddingConfig = EmbeddingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @model_validator(mode="after")
    def _encoders_fit_inputs(self) -> "RunConfig":
        model, inputs = self.model, self.inputs
        for part, encoder in (
            ("vision", model.vision),
            ("audio", model.audio),
            ("text", model.text),
        ):
            _check_divides(
                f"model.{part}.width", encoder.width, f"model.{part}.heads", encoder.heads
            )
        if {Modality.VIDEO, Modality.DEPTH} & set(model.modalities):
            pixels, patch = inputs.image_pixels, model.vision.patch
            _check_divides("inputs.image_pixels", pixels, "model.vision.patch", patch)
        if Modality.AUDIO in model.modalities:
            patch = model.audio.patch
            _check_divides("inputs.audio_frames", inputs.audio_frames, "model.audio.patch", patch)
            _check_divides("inputs.mel_bins", inputs.mel_bins, "model.audio.patch", patch)
        return self


def _check_divides(name: str, value: int, part_name: str, part: int) -> None:
    if value % part:
        raise ValueError(
            f"{name} is {value}, which is no whole number of {part_name} ({part}); change one"
        )
