"""Settings of a run: model, inputs, loss, evaluation, with those of its training."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from gram.config.base import Fraction, Name, Section, merged
from gram.config.presets import PRESETS, PresetName
from gram.config.training import OptimizerConfig, ScoreName, TrainingConfig
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


class InputsConfig(Section):
    """How a kept clip becomes model inputs."""

    image_pixels: int = Field(224, ge=8, description="Side of a model frame, in pixels.")
    train_frames: int = Field(8, ge=1, description="Frames drawn in training (paper, Table 5: 8).")
    transform: Literal["crop_flip", "squash"] = Field(
        "crop_flip",
        description=(
            "crop_flip: random crop of 0.8..1 of the area and flip in training, centered square "
            "in evaluation; squash: stretch to a square."
        ),
    )
    antialias: bool = Field(
        False,
        description=(
            "Whether scaling a picture down averages all of its pixels. False: as the released "
            "models were trained and tested, under a version of torchvision that did not."
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
            "Clip that lacks a modality of the run. drop: left out, but one without a subtitle "
            "stays with an empty one (as published); mask: the volume of the vectors that are "
            "there."
        ),
    )


class LossConfig(Section):
    """The objective."""

    kind: Literal["volume", "cosine", "area", "eigenvalue", "product"] = Field(
        "volume",
        description=(
            "volume: paper, section 3; cosine: text against each modality, averaged; area: of the "
            "triangle of text and two modalities (TRIANGLE); eigenvalue: the largest of a tuple's "
            "Gram matrix against the others (PMRL); product: of all vectors' entries (Symile)."
        ),
    )
    gather: Literal["detached", "connected"] = Field(
        "detached",
        description=(
            "What texts and items are contrasted with. detached: copies without gradient, of one "
            "process too, so that texts learn from their direction only and items from the other "
            "(as published); connected: with gradient, of all processes."
        ),
    )
    temperature: float | None = Field(
        None,
        gt=0,
        description=(
            "Start of the learned softmax temperature; none: that of the model which training "
            "starts from, 0.07 where that is a random one (released code)."
        ),
    )
    label_smoothing: Fraction = Field(0.1, description="Label smoothing (released code: 0.1).")
    matching_weight: float = Field(
        0.1, ge=0, description="Weight of the matching loss (paper: 0.1); 0 leaves it out."
    )
    matching_on: Literal["all", "video_audio"] = Field(
        "video_audio",
        description=(
            "Modalities that the matching head reads. video_audio: those two, as published, "
            "whatever the run aligns; all: those of the run."
        ),
    )
    matching_clips: int | None = Field(
        None,
        ge=1,
        description=(
            "Clips of a batch that take part in the matching loss, which reads three pairs a clip; "
            "none: all, as published."
        ),
    )


class EmbeddingConfig(Section):
    """How a benchmark is embedded."""

    batch_size: int = Field(64, ge=1, description="Clips a forward pass.")
    frames: int = Field(8, ge=1, description="Frames taken of each clip (paper, Table 5: 8).")


class EvaluationConfig(Section):
    """Which scores rank the items, and which recalls are reported."""

    scores: tuple[ScoreName, ...] = Field(
        ("volume", "cosine_video"), min_length=1, description="Scores that are computed."
    )
    recall_at: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 5, 10), min_length=1, description="Cut-offs K of Recall@K, each once."
    )

    @field_validator("recall_at")
    @classmethod
    def _each_once(cls, cuts: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(cuts)) < len(cuts):
            found = ", ".join(str(cut) for cut in cuts)
            raise ValueError(f"evaluation.recall_at names a cut-off twice: {found}; name it once")
        return cuts


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
            "Run whose pretrained weights and word pieces this run's pretraining starts from; what "
            "that model lacks starts at random. None: all of it does."
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
            width, groups = model.audio.width, model.audio.position_groups
            _check_divides("model.audio.width", width, "model.audio.position_groups", groups)
        return self

    @model_validator(mode="after")
    def _texts_fit_the_position_table(self) -> "RunConfig":
        positions = self.model.text.positions
        for name in ("caption_tokens", "subtitle_tokens"):
            tokens = getattr(self.inputs, name)
            if tokens > positions:
                raise ValueError(
                    f"inputs.{name} is {tokens}, but model.text.positions is {positions}; lower "
                    "the first or raise the second"
                )
        return self

    @model_validator(mode="after")
    def _loss_fits_model(self) -> "RunConfig":
        modalities, loss = self.model.modalities, self.loss
        if loss.kind == "area" and (len(modalities) != 2 or self.inputs.missing != "drop"):
            raise ValueError(
                "loss.kind area needs two modalities beside text and inputs.missing drop; found "
                f"{', '.join(modalities)} and {self.inputs.missing}; change these, or the kind"
            )
        if loss.kind == "area" and self.pretrain.modality_dropout > 0:
            raise ValueError(
                "loss.kind area needs all modalities of each clip, and pretrain.modality_dropout "
                f"is {self.pretrain.modality_dropout}; set it to 0, or change the kind"
            )
        reads_them = loss.matching_weight > 0 and loss.matching_on == "video_audio"
        if reads_them and not {Modality.VIDEO, Modality.AUDIO} & set(modalities):
            raise ValueError(
                "loss.matching_on is video_audio, and model.modalities names neither; found "
                f"{', '.join(modalities)}; set loss.matching_on to all, or matching_weight to 0"
            )
        return self


def _check_divides(name: str, value: int, part_name: str, part: int) -> None:
    if value % part:
        raise ValueError(
            f"{name} is {value}, which is no whole number of {part_name} ({part}); change one"
        )
