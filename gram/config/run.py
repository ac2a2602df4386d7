"""Settings of a run: inputs, loss, evaluation, with those of its model and training."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from gram.config.base import Fraction, Name, Section
from gram.config.model import ModelConfig
from gram.config.scores import ScoreName, parse_score
from gram.config.training import OptimizerConfig, TrainingConfig
from gram.types import Modality


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
    captions: Literal["random", "first", "all"] = Field(
        "random",
        description=(
            "Which caption of a clip training takes in an epoch. random: one that is drawn; first: "
            "always the first (as published); all: each, so that a clip is in as many items of the "
            "epoch as it has captions."
        ),
    )
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
    condition: Literal["none", "float16", "float32"] = Field(
        "none",
        description=(
            "Type in which the tokens that the matching head reads are kept, for re-ranking "
            "(float16: 4 MB a clip in the paper's sizes); none: they are not."
        ),
    )


class EvaluationConfig(Section):
    """Which scores rank the items, and which recalls are reported."""

    scores: tuple[ScoreName, ...] = Field(
        ("volume", "cosine_video"), min_length=1, description="Scores that are computed."
    )
    recall_at: tuple[Annotated[int, Field(ge=1)], ...] = Field(
        (1, 5, 10), min_length=1, description="Cut-offs K of Recall@K, each once."
    )
    rerank: int = Field(
        50,
        ge=1,
        description=(
            "Candidates of each query that the matching head reads, for scores with +rerank "
            "(released code: 50); all, where there are fewer."
        ),
    )
    halves: int = Field(
        12,
        ge=1,
        description=(
            "Random halves over which fitted scores are a mean, where no split is fitted on."
        ),
    )
    resamples: int = Field(
        1000, ge=100, description="Resamples of the clips that the 95 % intervals are made of."
    )

    @field_validator("recall_at")
    @classmethod
    def _each_once(cls, cuts: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(cuts)) < len(cuts):
            found = ", ".join(str(cut) for cut in cuts)
            raise ValueError(f"evaluation.recall_at names a cut-off twice: {found}; name it once")
        return cuts

    @field_validator("scores")
    @classmethod
    def _scores_once(cls, scores: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(scores)) < len(scores):
            found = ", ".join(scores)
            raise ValueError(f"evaluation.scores names a score twice: {found}; name it once")
        return scores


class RunConfig(Section):
    """One experiment: a full set of sections."""

    seed: int = Field(0, ge=0, description="Seed of weights, order, augmentation and negatives.")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        None,
        min_length=1,
        description=(
            "Seeds of runs that are made in the place of this one, each named NAME_seed0 and so "
            "on; a table's line that names this one shows their mean. None: one run, of `seed`."
        ),
    )
    model: ModelConfig = ModelConfig()
    inputs: InputsConfig = InputsConfig()
    loss: LossConfig = LossConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    pretrain_dataset: Name | None = Field(
        None,
        description=(
            "Data set of the pretraining; a run that a table names needs one, or weights of others."
        ),
    )
    start: Name | None = Field(
        None,
        description=(
            "Run whose pretrained weights and word pieces this run's pretraining starts from; what "
            "that model lacks starts at random. None: all of it does."
        ),
    )
    weights: Name | None = Field(
        None,
        description=(
            "Weight files of others, a name below weights, that this run starts from. A run "
            "without pretrain_dataset is evaluated, and finetuned, as these files are."
        ),
    )
    pretrain: TrainingConfig = TrainingConfig(epochs=1)  # paper: one epoch
    embedding: EmbeddingConfig = EmbeddingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    @field_validator("seeds")
    @classmethod
    def _seeds_differ(cls, seeds: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if seeds is not None and len(set(seeds)) < len(seeds):
            raise ValueError(f"a seed stands twice in {list(seeds)}; name each once")
        return seeds

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
    def _scores_can_be_computed(self) -> "RunConfig":
        for name in self.evaluation.scores:
            if parse_score(name).is_reranked and self.embedding.condition == "none":
                raise ValueError(
                    f"evaluation.scores names {name!r}, and embedding.condition is none, so that "
                    "the matching head has nothing to read; set it to float16, or take the score "
                    "out"
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
