"""Settings of a benchmark: what of a data set is ranked, and how a run is finetuned for it."""

from typing import Literal

from pydantic import Field, field_validator, model_validator

from gram.config.base import Name, Section
from gram.config.training import TrainingConfig

CLASS = "{}"
"""Where a template has the name of the class."""


class PromptsConfig(Section):
    """What the texts of a benchmark are."""

    task: Literal["retrieval", "classification"] = Field(
        "retrieval",
        description=(
            "retrieval: texts are captions, right for their clip; classification: texts are the "
            "classes of the split, by name, each right for all of its clips."
        ),
    )
    templates: tuple[str, ...] = Field(
        (CLASS,),
        min_length=1,
        description=(
            "Classification: texts that a class is embedded as, {} being its name, such as "
            "'a video of {}'; of several the mean vector counts."
        ),
    )

    @field_validator("templates")
    @classmethod
    def _have_a_place(cls, templates: tuple[str, ...]) -> tuple[str, ...]:
        for template in templates:
            if template.count(CLASS) != 1:
                raise ValueError(
                    f"the template {template!r} has {template.count(CLASS)} places {CLASS} for the "
                    "name of the class; give it one"
                )
        return templates


class ProtocolConfig(PromptsConfig):
    """What is ranked."""

    split: Name = Field("test", description="Split that is ranked.")
    gallery: Literal["as_run", "with_sound", "all"] = Field(
        "as_run",
        description=(
            "Clips that are ranked. as_run: those that the run can use by its inputs.missing; "
            "with_sound: those that have a sound, whatever the run reads (published: 884 of the "
            "1,000 of MSR-VTT); all: every usable clip. What a clip lacks then counts as "
            "orthogonal to everything."
        ),
    )
    captions: Literal["first", "all", "best"] = Field(
        "first",
        description=(
            "Queries. first: the first caption of each clip; all: each caption is a query; best: "
            "each clip is one, and the best of its captions counts."
        ),
    )
    fit_split: Name | None = Field(
        None,
        description=(
            "Split on which trusts, whitening and temperatures are fitted, and whose texts and "
            "clips are the bank. None: random halves of the ranked clips, one of which is fitted "
            "on and the other one ranked, so that the gallery is half as large."
        ),
    )
    fit_clips: int = Field(2000, ge=8, description="Clips of fit_split that are taken, at most.")

    @property
    def prompts(self) -> PromptsConfig:
        """What its texts are."""
        return PromptsConfig(task=self.task, templates=self.templates)

    @model_validator(mode="after")
    def _fit_apart(self) -> "ProtocolConfig":
        if self.fit_split == self.split:
            raise ValueError(
                f"protocol.fit_split is {self.fit_split!r}, which is the split that is ranked: "
                "what is fitted on it would flatter the result; name another one, or null"
            )
        if self.task == "classification" and self.captions != "first":
            raise ValueError(
                f"protocol.captions is {self.captions!r}, and a classification has no captions "
                "but the names of classes; take it out"
            )
        return self


class BenchmarkConfig(Section):
    """One data set with split and protocol, and how a run is finetuned for it."""

    dataset: Name
    protocol: ProtocolConfig = ProtocolConfig()
    finetune: TrainingConfig | None = Field(
        None, description="Finetuning before the evaluation; none: zero-shot."
    )
