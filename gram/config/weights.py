"""Settings of weight files of others that runs start from."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gram.config.base import Section


class ReleasedWeights(Section):
    """A whole checkpoint of the released code, GRAM's or VAST's.

    ``log/hps.json`` of the folder that it was released in is compared with the settings.
    """

    kind: Literal["released"]
    checkpoint: str = Field(description="The file, ckpt/model_step_N.pt.")
    vocabulary: str = Field(description="Word pieces: vocab.txt of bert-base-uncased.")
    may_lack: tuple[str, ...] = Field(
        (),
        description=(
            "Starts of names of weights that the file may lack and that then start at random, "
            "such as projections.depth. of VAST's."
        ),
    )

    @property
    def files(self) -> dict[str, str]:
        """Weight files by the name of their setting."""
        return {"checkpoint": self.checkpoint}


class EncoderWeights(Section):
    """The files that the encoders of the released code start from; all else starts at random."""

    kind: Literal["encoders"]
    vision: str | None = Field(None, description="EVA01_CLIP_g_14_psz14_s11B.pt.")
    audio: str | None = Field(None, description="BEATs_iter3_plus_AS2M.pt.")
    text: str | None = Field(
        None, description="model.safetensors or pytorch_model.bin of bert-base-uncased."
    )
    vocabulary: str = Field(description="Word pieces: vocab.txt of bert-base-uncased.")

    @property
    def files(self) -> dict[str, str]:
        """Weight files by the name of their setting."""
        named = {"vision": self.vision, "audio": self.audio, "text": self.text}
        return {name: path for name, path in named.items() if path is not None}

    @model_validator(mode="after")
    def _names_a_file(self) -> "EncoderWeights":
        if not self.files:
            raise ValueError("names no file; give vision, audio or text, or take the section out")
        return self


WeightsConfig = Annotated[ReleasedWeights | EncoderWeights, Field(discriminator="kind")]
