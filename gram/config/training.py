"""Settings of a training: optimizer, length, rates, precision, validation."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from gram.config.base import Fraction, Name, Section
from gram.config.scores import PlainScoreName


class OptimizerConfig(Section):
    """AdamW and its schedule."""

    preset: Literal["paper", "corrected"] = Field(
        "paper",
        description=(
            "paper: AdamW and groups as published: what has bias or LayerNorm in its published "
            "name is not decayed, all else is; corrected: AdamW of torch, without decay of norms, "
            "biases, position tables, class tokens and the temperature."
        ),
    )
    schedule: Literal["warmup_linear", "warmup_cosine"] = Field(
        "warmup_linear",
        description=(
            "How the rate falls after the warm-up. warmup_cosine starts below the highest rate, "
            "as published."
        ),
    )
    new_parameters: tuple[str, ...] = Field(
        (),
        description=(
            "Parts of names (published ones with preset paper) whose parameters learn with "
            "new_learning_rate."
        ),
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="Decay of the first moment.")
    beta2: float = Field(0.98, ge=0, lt=1, description="Decay of the second moment.")
    eps: float = Field(1e-6, gt=0, description="Added to the second moment's root.")
    weight_decay: float = Field(0.01, ge=0, description="Decoupled weight decay.")
    warmup: Fraction = Field(0.1, description="Share of the steps in which the rate rises from 0.")
    clip_norm: float | None = Field(
        2.0, gt=0, description="Largest gradient norm; none: not clipped."
    )


class ValidationConfig(Section):
    """Clips that score a training while it runs, and are not trained on."""

    split: Name | None = Field(
        None, description="Split of the data set that is scored; none: clips are held out."
    )
    held_out: int | None = Field(
        None,
        ge=2,
        description="Clips that are taken out of the training split; give these or a split.",
    )
    seed: int = Field(0, ge=0, description="Seed of the choice of clips that are held out.")
    every: int = Field(100, ge=1, description="Steps between two scores; the last step has one.")
    score: PlainScoreName = Field("volume", description="Score that ranks clips and captions.")
    direction: Literal["text_to_item", "item_to_text"] = Field(
        "text_to_item", description="Direction of the retrieval whose recall counts."
    )
    recall_at: int = Field(1, ge=1, description="Cut-off K of the Recall@K that counts.")
    batch_size: int = Field(64, ge=1, description="Clips a forward pass.")

    @model_validator(mode="after")
    def _one_source(self) -> "ValidationConfig":
        if (self.split is None) == (self.held_out is None):
            raise ValueError(
                "validation: give a split, or a number of clips to be held_out of the training "
                f"split, one of them; found split {self.split}, held_out {self.held_out}"
            )
        return self


class TrainingConfig(Section):
    """One pass of training: on which split, how long, how fast."""

    split: Name = Field("train", description="Split that is trained on.")
    steps: int | None = Field(None, ge=1, description="Optimizer steps; give these or epochs.")
    epochs: float | None = Field(
        None, gt=0, description="Passes over the split; give these or steps."
    )
    batch_size: int = Field(
        64, ge=2, description="Clips a step, of all processes together, which share them evenly."
    )
    learning_rate: float = Field(2e-5, gt=0, description="Highest learning rate.")
    vision_learning_rate: float | None = Field(
        None, gt=0, description="Highest rate of the vision tower; none: as the rest."
    )
    new_learning_rate: float | None = Field(
        None, gt=0, description="Highest rate of optimizer.new_parameters; none: as the rest."
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32",
        description=(
            "What encoders and matching head compute in; weights and losses are float32. fp16: "
            "with scaled gradients, as the released code."
        ),
    )
    frozen: tuple[Literal["text", "vision", "audio"], ...] = Field(
        (),
        description=(
            "Encoders that keep their weights and leave nothing out at random; projections and "
            "the matching head learn all the same. The paper freezes none."
        ),
    )
    modality_dropout: Fraction = Field(
        0.0,
        description=(
            "Probability that a clip's modality counts as missing in a step; one always stays. "
            "The paper leaves none out."
        ),
    )

    validation: ValidationConfig | None = Field(
        None, description="Clips that score the training; none: it is not scored (paper)."
    )
    keep: Literal["last", "best"] = Field(
        "last",
        description=(
            "Weights that are kept. last: those of the last step; best: those of the step with the "
            "highest recall on the validation clips, of equal ones the first."
        ),
    )

    @field_validator("frozen")
    @classmethod
    def _frozen_once(cls, frozen: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(frozen)) < len(frozen):
            raise ValueError(f"frozen names an encoder twice: {', '.join(frozen)}; name it once")
        return frozen

    @model_validator(mode="after")
    def _best_is_known(self) -> "TrainingConfig":
        if self.keep == "best" and self.validation is None:
            raise ValueError(
                "keep is best, and there is no validation to tell which is; name a split or a "
                "number of held_out clips there, or set keep to last"
            )
        if self.validation is not None and self.validation.split == self.split:
            raise ValueError(
                f"validation.split is {self.split!r}, which is trained on; name another split, or "
                "hold clips out with held_out"
            )
        return self

    @model_validator(mode="after")
    def _one_length(self) -> "TrainingConfig":
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give steps or epochs, one of them")
        return self
