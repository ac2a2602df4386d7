"""The model: encoders, projections into one space, and the matching head.

Shape letters: B items, U units of an item (frames or audio clips), L tokens of a unit, Q condition
tokens of an item, D width.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from gram.config import InputsConfig, ModelConfig
from gram.embedding import Embedded, embed
from gram.encoders.audio import AudioEncoder
from gram.encoders.base import Encoded
from gram.encoders.beats import BeatsSizes
from gram.encoders.pair_reader import PairReader
from gram.encoders.text import TextEncoder
from gram.encoders.vision import VisionEncoder
from gram.files import atomic_path
from gram.heads import ConditionTokens, MatchHead
from gram.types import Batch, Embeddings, Modality, Tokens

Value = TypeVar("Value")

START_TEMPERATURE = 0.07
"""The learned temperature of a random model (released code)."""

_METADATA = "gram"

CONDITION_OF = {
    Modality.VIDEO: "vision",
    Modality.AUDIO: "audio",
    Modality.SUBTITLE: "subtitle",
    Modality.DEPTH: "vision",
}
"""Which tokens for matching a modality takes: depth maps share those of frames (released code)."""


@dataclass(frozen=True, kw_only=True)
class Encodings:
    """All that the losses need of a batch.

    Attributes:
        embeddings: Unit vectors of captions and items.
        captions: Word pieces of the captions, on the model's device.
        condition: For each item modality, its tokens for the matching head, shape (B, q, D).
    """

    embeddings: Embeddings
    captions: Tokens
    condition: dict[Modality, Tensor]

    def condition_of(self, modalities: Sequence[Modality]) -> tuple[Tensor, Tensor]:
        """Join the condition tokens of some modalities, in the model's order.

        Modalities that the model lacks are left out.

        Returns:
            Tokens, shape (B, Q, D), and which of them count, bool, shape (B, Q): all of a
            modality that the item has, the padding of a subtitle among them (released code).

        Raises:
            ValueError: If the model lacks all of them.
        """
        tokens = {name: one for name, one in self.condition.items() if name in modalities}
        if not tokens:
            raise ValueError(
                f"matching needs tokens of {' or '.join(modalities)}; this model has those of "
                f"{', '.join(self.condition)}; set loss.matching_on to all"
            )
        masks = [
            self.embeddings.present[name].unsqueeze(1).expand(part_bqd.shape[:2])
            for name, part_bqd in tokens.items()
        ]
        return torch.cat(list(tokens.values()), dim=1), torch.cat(masks, dim=1)


class GramModel(nn.Module):
    """Encoders of the modalities in use, bias-free projections, matching head (paper, Figure 2)."""

    def __init__(
        self,
        model: ModelConfig,
        inputs: InputsConfig,
        *,
        pieces: tuple[str, ...],
    ) -> None:
        """Build the model with random weights from torch's generator.

        Args:
            model: Modalities and sizes of the encoders.
            inputs: Sizes of what the encoders are given.
            pieces: Word pieces of the vocabulary, in order.
        """
        super().__init__()
        self.model_config, self.inputs_config, self.pieces = model, inputs, pieces
        self.modalities = model.modalities
        self.text = _text_encoder(model, num_pieces=len(pieces))
        uses_vision = {Modality.VIDEO, Modality.DEPTH} & set(self.modalities)
        self.vision = _vision_encoder(model, inputs) if uses_vision else None
        self.audio = _audio_encoder(model, inputs) if Modality.AUDIO in self.modalities else None
        self.projections = nn.ModuleDict(
            {
                name: nn.Linear(self._width(name), model.embedding_width, bias=False)
                for name in (Modality.TEXT, *self.modalities)
            }
        )
        self.temperature = nn.Parameter(torch.tensor(START_TEMPERATURE))
        self.condition = _condition_tokens(model, inputs)
        self.match_head = MatchHead(model.text.width)

    def encode(self, batch: Batch) -> Encodings:
        """Encode captions and items of a batch, which is moved to the model's device.

        Raises:
            ValueError: If the batch lacks an input of a modality of this model.
        """
        batch = batch.mapped(self._here)
        captions = _given(batch.caption, Modality.TEXT)
        encoded = {name: self._encode_item(batch, name) for name in self.modalities}
        vectors = {name: self._project(name, part) for name, part in encoded.items()}
        return Encodings(
            embeddings=Embeddings(
                vectors={Modality.TEXT: self.embed_texts(captions), **vectors},
                present={name: batch.present[name] for name in self.modalities},
            ),
            captions=captions,
            condition={
                name: self.condition[CONDITION_OF[name]](part.tokens_buld)
                for name, part in encoded.items()
            },
        )

    def embed(
        self,
        *,
        text: Sequence[str] = (),
        media: Sequence[Path | str] = (),
        frames: int = 8,
        batch_size: int = 16,
        workers: int = 1,
    ) -> Embedded:
        """Embed texts and media files, from files to vectors in one call, without gradients.

        Of a file is taken what this model knows of: picture, sound, the text of a subtitle file
        beside it (``a.vtt``, ``a.srt`` or ``a.txt`` beside ``a.mp4``), depth maps beside it
        (``a.depth.npy``). What is missing is said in the result; a file that cannot be used costs
        itself alone.

        Args:
            text: Texts.
            media: Media files: films, sounds, pictures.
            frames: Frames taken of each film (paper, Table 5: 8).
            batch_size: Texts or files that the encoders are given at once.
            workers: Processes that decode at a time; they do not change the vectors.

        Raises:
            DiskFullError: If the disk of the temporary folder is full.
            ValueError: If there is no ffmpeg, or a subtitle file is not text in UTF-8.
        """
        return embed(
            self,
            text=text,
            media=[Path(path) for path in media],
            frames=frames,
            batch_size=batch_size,
            workers=workers,
        )

    def embed_items(self, batch: Batch) -> Embeddings:
        """Embed the items of a batch, which is moved to the model's device, not their captions.

        Raises:
            ValueError: If the batch lacks an input of a modality of this model.
        """
        batch = batch.mapped(self._here)
        return Embeddings(
            vectors={
                name: self._project(name, self._encode_item(batch, name))
                for name in self.modalities
            },
            present={name: batch.present[name] for name in self.modalities},
        )

    def embed_texts(self, texts: Tokens) -> Tensor:
        """Embed captions, which are moved to the model's device: unit vectors, shape (B, D)."""
        texts = texts.mapped(self._here)
        return self._project(Modality.TEXT, self.text(texts))

    def match(self, texts: Tokens, condition_bqd: Tensor, *, condition_mask_bq: Tensor) -> Tensor:
        """Score pairs of text and item by reading both: logits (no match, match), shape (B, 2)."""
        logits: Tensor = self.match_head(
            self.text.match(texts, condition_bqd, condition_mask_bq=condition_mask_bq)
        )
        return logits

    def pair_reader(self, texts: Tokens) -> PairReader:
        """Prepare captions, which are moved to the model's device, for ``match_one``."""
        return self.text.pair_reader(texts.mapped(self._here))

    def match_one(
        self, reader: PairReader, rows_b: Tensor, *, condition_1qd: Tensor, mask_1q: Tensor
    ) -> Tensor:
        """Score some of a reader's captions with one item, as ``match`` does: logits (B, 2)."""
        first_bd = reader.first_tokens(rows_b, condition_1qd, mask_1q=mask_1q)
        logits: Tensor = self.match_head(first_bd)
        return logits

    def checkpoint_activations(self) -> None:
        """Compute the encoders' layers again in the backward pass: less memory, more time."""
        for encoder in (self.text, self.vision, self.audio):
            if encoder is not None:
                encoder.checkpoint_activations()

    def compile_encoders(self) -> None:
        """Compile the encoders with torch.compile, when they are first called."""
        for encoder in (self.text, self.vision, self.audio):
            if encoder is not None:
                encoder.compile_layers()

    @classmethod
    def load(cls, path: Path | str) -> "GramModel":
        """Read a checkpoint that this project wrote, on the CPU, ready to evaluate.

        Raises:
            ValueError: If the file is not there or is no checkpoint of this project.
        """
        path = Path(path)
        if not path.is_file():
            raise ValueError(
                f"no checkpoint at {path}; train one, or give the path of a last.safetensors"
            )
        try:
            with safe_open(path, framework="pt") as file:
                facts = json.loads((file.metadata() or {})[_METADATA])
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            model = cls(
                ModelConfig.model_validate(facts["model"]),
                InputsConfig.model_validate(facts["inputs"]),
                pieces=tuple(facts["pieces"]),
            )
            model.load_state_dict(weights)
        except (KeyError, RuntimeError, SafetensorError, ValueError) as error:
            raise ValueError(
                f"{path} is no checkpoint of this project: reading it gave "
                f"{type(error).__name__} ({error}), so it is damaged or another kind of file; "
                "train it again, or give another path"
            ) from error
        return model.eval()

    def save(self, path: Path | str, *, weights: Mapping[str, Tensor] | None = None) -> None:
        """Write all that ``load`` needs as one safetensors file, whole or not at all.

        The same model gives the same bytes.

        Args:
            path: File to write.
            weights: Weights by name, for a model that holds shares of them; None: its own.
        """
        facts = {
            "model": self.model_config.model_dump(mode="json"),
            "inputs": self.inputs_config.model_dump(mode="json"),
            "pieces": list(self.pieces),
        }
        # Cloned, since safetensors takes no two names of one tensor.
        given = self.state_dict() if weights is None else weights
        written = {name: one.detach().cpu().clone() for name, one in given.items()}
        with atomic_path(Path(path)) as temporary:
            save_file(written, temporary, metadata={_METADATA: json.dumps(facts)})

    def take_weights(self, other: "GramModel") -> tuple[str, ...]:
        """Copy all weights that another model has too, the temperature among them.

        Returns:
            Names of what the other one lacks, which stays as it is.

        Raises:
            ValueError: If a weight has another shape there, or the word pieces differ.
        """
        if self.pieces != other.pieces:
            raise ValueError(
                f"the models read different word pieces ({len(self.pieces)} and "
                f"{len(other.pieces)}); build the new one with the pieces of the other"
            )
        own, given = self.state_dict(), other.state_dict()
        for name in own.keys() & given.keys():
            if own[name].shape != given[name].shape:
                raise ValueError(
                    f"{name} has shape {tuple(given[name].shape)} in the model to start from, "
                    f"{tuple(own[name].shape)} here; make the sizes in model and inputs equal"
                )
        self.load_state_dict({**own, **{name: given[name] for name in own.keys() & given.keys()}})
        return tuple(sorted(own.keys() - given.keys()))

    def _here(self, tensor: Tensor) -> Tensor:
        """Copy a tensor to the model's device, if it is elsewhere."""
        return tensor.to(self.temperature.device)

    def _width(self, modality: Modality) -> int:
        match modality:
            case Modality.TEXT | Modality.SUBTITLE:
                return self.model_config.text.width
            case Modality.VIDEO | Modality.DEPTH:
                return self.model_config.vision.width
            case Modality.AUDIO:
                return self.model_config.audio.width

    def _encode_item(self, batch: Batch, modality: Modality) -> Encoded:
        encoder, value = {
            Modality.VIDEO: (self.vision, batch.video_bfchw),
            Modality.DEPTH: (self.vision, batch.depth_bfchw),
            Modality.AUDIO: (self.audio, batch.audio_bctm),
            Modality.SUBTITLE: (self.text, batch.subtitle),
        }[modality]
        assert encoder is not None, f"the model has no encoder of {modality}"  # noqa: S101
        encoded: Encoded = encoder(_given(value, modality))
        return encoded

    def _project(self, modality: Modality, encoded: Encoded) -> Tensor:
        projected_bd: Tensor = self.projections[modality](encoded.pooled_bd)
        return functional.normalize(projected_bd.float(), dim=-1)


def _given(value: Value | None, modality: Modality) -> Value:
    if value is None:
        raise ValueError(f"the batch has no {modality} input, which this model needs")
    return value


def _text_encoder(model: ModelConfig, *, num_pieces: int) -> TextEncoder:
    text = model.text
    return TextEncoder(
        pieces=num_pieces,
        max_tokens=text.positions,
        width=text.width,
        depth=text.depth,
        heads=text.heads,
        mlp_width=text.mlp_width,
        dropout=text.dropout,
    )


def _vision_encoder(model: ModelConfig, inputs: InputsConfig) -> VisionEncoder:
    return VisionEncoder(pixels=inputs.image_pixels, **model.vision.model_dump())


def _audio_encoder(model: ModelConfig, inputs: InputsConfig) -> AudioEncoder:
    return AudioEncoder(
        BeatsSizes(**model.audio.model_dump()),
        audio_frames=inputs.audio_frames,
        mel_bins=inputs.mel_bins,
    )


def _condition_tokens(model: ModelConfig, inputs: InputsConfig) -> nn.ModuleDict:
    made = {
        "vision": (model.vision.width, inputs.train_frames),
        "audio": (model.audio.width, inputs.audio_clips),
        "subtitle": (model.text.width, None),
    }
    needed = {CONDITION_OF[name] for name in model.modalities}
    return nn.ModuleDict(
        {
            name: ConditionTokens(width, text_width=model.text.width, units=units)
            for name, (width, units) in made.items()
            if name in needed
        }
    )
