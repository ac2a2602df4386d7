"""Settings of data sets, extraction and shards."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from gram.config.base import Fraction, Name, Section
from gram.config.fetch import FetchConfig

COMBINATIONS = 625
"""Clips that a generated data set can have: five values of each of four factors."""


FormatName = Literal[
    "own",
    "activitynet",
    "audiocaps",
    "clotho",
    "didemo",
    "flickr30k",
    "lsmdc",
    "mscoco",
    "msrvtt",
    "valor32k",
    "vast",
    "vatex",
    "vggsound",
    "youcook2",
]
"""Own clips, and the published data sets whose annotations can be read."""


def _as_files(files: object) -> object:
    """Take one file as a list of one."""
    return (files,) if isinstance(files, str) else files


Files = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_as_files),
    Field(min_length=1),
    WithJsonSchema(
        {
            "type": ["string", "array"],
            "minLength": 1,
            "minItems": 1,
            "items": {"type": "string", "minLength": 1},
        }
    ),
]
"""One file, or several that belong together."""


class FolderDataset(Section):
    """A folder of media files and the annotation files of own clips or of a published data set."""

    kind: Literal["folder"]
    media: str = Field(description="Folder of the media files, searched with all subfolders.")
    format: FormatName = Field(
        "own",
        description=(
            "Of which published data set the annotation files are, in its owners' form or in that "
            "of the published code; own: of none, JSON or CSV of own clips."
        ),
    )
    annotations: dict[Name, Files] = Field(
        min_length=1,
        description=(
            "Annotation file of each split, or a list of those that make up the split, such as "
            "captions and a list of ids."
        ),
    )
    chunks: int = Field(
        1, ge=1, le=99_999, description="Number of jobs that the clips are divided into."
    )
    fetch: FetchConfig | None = Field(
        None, description="What is fetched from others; none: nothing, files are put there by hand."
    )

    @field_validator("annotations")
    @classmethod
    def _in_order(cls, annotations: dict[str, Files]) -> dict[str, Files]:
        # The order in which someone wrote the splits down is no setting.
        return dict(sorted(annotations.items()))


class GeneratedDataset(Section):
    """Clips that the workflow draws and plays itself, from independent factors."""

    kind: Literal["generated"]
    clips: dict[Name, Annotated[int, Field(ge=1)]] = Field(
        min_length=1, description="Number of clips of each split; no two share a combination."
    )
    seed: int = Field(0, ge=0, description="Seed of the factors, the captions and the pictures.")
    seconds: float = Field(2.0, gt=0, le=60, description="Length of a clip, in seconds.")
    pixels: int = Field(96, ge=32, le=1024, description="Width and height of the picture.")
    frames_per_second: int = Field(8, ge=1, le=60, description="Frame rate of the picture, in Hz.")
    chunks: int = Field(
        1, ge=1, le=99_999, description="Number of jobs that the clips are divided into."
    )

    @model_validator(mode="after")
    def _clips_are_different(self) -> "GeneratedDataset":
        if (asked := sum(self.clips.values())) > COMBINATIONS:
            raise ValueError(
                f"clips asks for {asked} generated clips over all splits, but there are only "
                f"{COMBINATIONS} different ones; ask for fewer"
            )
        return self


Dataset = Annotated[FolderDataset | GeneratedDataset, Field(discriminator="kind")]


class PicturesConfig(Section):
    """How many pictures of a clip are kept, and how large: its frames and its depth maps."""

    frames_per_clip: int = Field(
        32, ge=1, le=256, description="Frames kept, one from the center of each equal time bin."
    )
    short_side: int = Field(256, ge=16, le=2160, description="Shorter side of a frame, in pixels.")


class ExtractionConfig(PicturesConfig):
    """What is kept of each clip: frames, sound and depth, decoded once."""

    jpeg_quality: int = Field(85, ge=1, le=100, description="JPEG quality of the kept frames.")
    min_frames: int = Field(
        2, ge=1, description="A film with fewer decoded frames is set aside as too short."
    )
    min_bins: Fraction = Field(
        0.9,
        description=(
            "Least share of time bins that must be hit by a frame, of those that the clip's own "
            "number of frames can hit; of sound alone, least share of its length. Below it the "
            "file is set aside as truncated."
        ),
    )
    damaged: Literal["set_aside", "keep"] = Field(
        "set_aside",
        description=(
            "What becomes of a clip in which ffmpeg finds damage. keep: it is decoded all the "
            "same, with smeared frames; its errors are counted, and min_bins decides."
        ),
    )
    max_seconds: float = Field(
        600.0, gt=0, description="Audio beyond this is not kept, in seconds from the clip's start."
    )
    timeout_seconds: float = Field(
        60.0,
        gt=0,
        description="Wall-clock limit of one ffmpeg call, plus twice the clip's length.",
    )


class PackingConfig(Section):
    """How large a WebDataset tar becomes."""

    target_mib: float = Field(
        1024.0,
        gt=0,
        description=(
            "Largest size of a shard, in MiB: a chunk that needs more becomes several. Only a clip "
            "that is larger by itself makes a larger one."
        ),
    )


class ShardsConfig(PackingConfig):
    """How extracted clips become WebDataset tars."""

    max_skipped: Fraction = Field(
        1.0,
        description="Share of a data set's clips that may be unusable before the workflow stops.",
    )


class VocabularyConfig(Section):
    """The word pieces learned from training texts where a run names no vocabulary file."""

    size: int = Field(30522, ge=100, description="Largest number of pieces. BERT's own has 30,522.")
