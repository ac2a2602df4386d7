"""Settings of what models perceive in clips: words in their sound, depth in their frames."""

from typing import Annotated, Literal

from pydantic import Field

from gram.config.base import Fraction, Section

ModelName = Annotated[str, Field(min_length=1)]


class SpeechConfig(Section):
    """The recogniser that hears subtitles in the sound that extraction kept."""

    model: ModelName = Field(
        "openai/whisper-large-v3-turbo",
        description=(
            "Folder of a Whisper model as transformers saves it, or a name on the hub. On a CPU "
            "openai/whisper-small takes a fifth of the time."
        ),
    )
    revision: str = Field(
        "main", description="Branch or commit of a model on the hub; a commit never changes."
    )
    language: str | None = Field(
        None, description="Language of all clips, as en; none: heard in each clip."
    )
    keep_annotated: bool = Field(
        True, description="Keep subtitles of the annotations; only clips without one are heard."
    )
    windows: int = Field(
        16, ge=1, description="Windows of 30 s that are heard together; more is faster."
    )
    min_level_dbfs: float = Field(
        -60.0,
        le=0,
        description=(
            "Loudest 0.1 s of a clip, in dB of full scale, below which it counts as silent and is "
            "not heard: recognisers make up words in silence."
        ),
    )
    no_speech_probability: Fraction = Field(
        0.6,
        description=(
            "Above it, and with a mean log probability below min_log_probability, a window holds "
            "no speech."
        ),
    )
    min_log_probability: float = Field(
        -1.0, le=0, description="See no_speech_probability; mean over a window's tokens, natural."
    )


class SubtitlesConfig(Section):
    """Where subtitles come from."""

    source: Literal["annotations", "speech", "none"] = Field(
        "annotations",
        description=(
            "annotations: those of the annotation files. speech: those, and for clips without one "
            "what a recogniser hears. none: no clip has a subtitle."
        ),
    )
    speech: SpeechConfig = SpeechConfig()


class EstimateConfig(Section):
    """The model that estimates depth in the frames that extraction kept."""

    model: ModelName = Field(
        "depth-anything/Depth-Anything-V2-Small-hf",
        description=(
            "Folder of a depth model as transformers saves it, or a name on the hub. Of Depth "
            "Anything V2 only the small one is free for any use."
        ),
    )
    revision: str = Field(
        "main", description="Branch or commit of a model on the hub; a commit never changes."
    )
    larger_is: Literal["nearer", "farther"] = Field(
        "nearer",
        description="What a large value of the model means; metric models give distances: farther.",
    )
    frames: int = Field(
        16, ge=1, description="Frames of a clip that are estimated together; more is faster."
    )


class DepthConfig(Section):
    """Where depth maps come from."""

    source: Literal["files", "estimate", "none"] = Field(
        "files",
        description=(
            "files: <media name>.depth.npy beside the media. estimate: a model's, on the kept "
            "frames. none: no clip has depth."
        ),
    )
    estimate: EstimateConfig = EstimateConfig()
