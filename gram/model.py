"""The model: encoders, projections into one space, and the matching head.

Shape letters: B items, U units of an item (frames or audio clips), L tokens of a unit, Q condition
tokens of an item, D width.
"""

from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from gram.config import InputsConfig, ModelConfig
from gram.encoders.audio import AudioEncoder
from gram.encoders.base import Encoded
from gram.encoders.text import TextEncoder
from gram.encoders.vision import VisionEncoder
from gram.types import Batch, Embeddings, Modality, Tokens

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class Encodings:
    """All that the losses need of a batch.

    Attributes:
        embeddings: Unit vectors of captions and items.
        captions: Word pieces of the captions, on the model's device.
        condition_bqd: Tokens of the items for the matching head, shape (B, Q, D).
        condition_mask_bq: True where a condition token counts, bool, shape (B, Q).
    """

    embeddings: Embeddings
    captions: Tokens
    condition_bqd: Tensor
    condition_mask_bq: Tensor


class GramModel(nn.Module):
    """Encoders of the modalities in use, bias-free projections, matching head (paper, Figure 2)."""

    def __init__(
        self,
        model: ModelConfig,
        inputs: InputsConfig,
        *,
        pieces: tuple[str, ...],
        temperature: float = 0.07,
    ) -> None:
        """Build the model with random weights from torch's generator.

        Args:
            model: Modalities and sizes of the encoders.
            inputs: Sizes of what the encoders are given.
            pieces: Word pieces of the vocabulary, in order.
            temperature: Start of the learned temperature.
        """
        super().__init__()
        self.model_config, self.inputs_config, self.pieces = model, inputs, pieces
        self.modalities = model.modalities
        self.text = _text_encoder(model, inputs, num_pieces=len(pieces))
        uses_vision = {Modality.VIDEO, Modality.DEPTH} & set(self.modalities)
        self.vision = _vision_encoder(model, inputs) if uses_vision else None
        self.audio = _audio_encoder(model, inputs) if Modality.AUDIO in self.modalities else None
        self.projections = nn.ModuleDict(
            {
                name: nn.Linear(self._width(name), model.embedding_width, bias=False)
                for name in (Modality.TEXT, *self.modalities)
            }
        )
        self.temperature = nn.Parameter(torch.tensor(temperature))
        self.condition = nn.ModuleDict(
            {name: _ConditionTokens(self._width(name), model, inputs) for name in self.modalities}
        )
        self.match_head = _match_head(model.text.width)

    def encode(self, batch: Batch) -> Encodings:
        """Encode captions and items of a batch, which is moved to the model's device.

        Raises:
            ValueError: If the batch lacks an input of a modality of this model.
        """
        batch = _moved(batch, self.temperature.device)
        captions = _given(batch.caption, Modality.TEXT)
        encoded = {name: self._encode_item(batch, name) for name in self.modalities}
        vectors = {name: self._project(name, part) for name, part in encoded.items()}
        tokens, masks = [], []
        for name, part in encoded.items():
            tokens_bqd = self.condition[name](part.tokens_buld)
            tokens.append(tokens_bqd)
            masks.append(batch.present[name].unsqueeze(1).expand(tokens_bqd.shape[:2]))
        return Encodings(
            embeddings=Embeddings(
                vectors={Modality.TEXT: self.embed_texts(captions), **vectors},
                present={name: batch.present[name] for name in self.modalities},
            ),
            captions=captions,
            condition_bqd=torch.cat(tokens, dim=1),
            condition_mask_bq=torch.cat(masks, dim=1),
        )

    def embed_texts(self, texts: Tokens) -> Tensor:
        """Embed captions, which are moved to the model's device: unit vectors, shape (B, D)."""
        texts = _moved_tokens(texts, self.temperature.device)
        return self._project(Modality.TEXT, self.text(texts))

    def match(self, texts: Tokens, condition_bqd: Tensor, *, condition_mask_bq: Tensor) -> Tensor:
        """Score pairs of text and item by reading both: logits (no match, match), shape (B, 2)."""
        logits: Tensor = self.match_head(
            self.text.match(texts, condition_bqd, condition_mask_bq=condition_mask_bq)
        )
        return logits

    @classmethod
    def load(cls, path: Path | str) -> "GramModel":
        """Read a checkpoint that this project wrote, weights only, on the CPU, ready to evaluate.

        Raises:
            ValueError: If the file is not there or is no checkpoint of this project.
        """
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"no checkpoint at {path}; train one, or give the path of a last.pt")
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
        except (EOFError, KeyError, RuntimeError, UnpicklingError) as error:
            raise ValueError(
                f"{path} is no checkpoint of this project: reading it gave "
                f"{type(error).__name__}, so it is damaged or another kind of file; train it "
                "again, or give another path"
            ) from error
        if not isinstance(saved, dict) or not {"model", "config", "pieces"} <= set(saved):
            found = ", ".join(sorted(map(str, saved))[:8]) if isinstance(saved, dict) else saved
            raise ValueError(
                f"{path} is no checkpoint of this project: it needs the keys model, config and "
                f"pieces, found {found}"
            )
        model = cls(
            ModelConfig.model_validate_json(saved["config"]["model"]),
            InputsConfig.model_validate_json(saved["config"]["inputs"]),
            pieces=tuple(saved["pieces"]),
        )
        model.load_state_dict(saved["model"])
        return model.eval()

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

    def checkpoint(self) -> dict[str, object]:
        """Give all that ``load`` needs, as plain values and tensors."""
        return {
            "model": self.state_dict(),
            "config": {
                "model": self.model_config.model_dump_json(),
                "inputs": self.inputs_config.model_dump_json(),
            },
            "pieces": list(self.pieces),
        }

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


class _ConditionTokens(nn.Module):
    """Tokens of one modality as the matching head reads them.

    LayerNorm of a linear map, plus one vector a unit (frame or audio clip), plus one a modality.
    Other unit counts than in training take the nearest unit's vector, as in the released code.
    """

    def __init__(self, width: int, model: ModelConfig, inputs: InputsConfig) -> None:
        super().__init__()
        units = max(inputs.train_frames, inputs.audio_clips)
        self.project = nn.Sequential(
            nn.Linear(width, model.text.width), nn.LayerNorm(model.text.width, eps=1e-12)
        )
        self.unit = nn.Parameter(torch.randn(1, units, model.text.width) * 0.02)
        self.kind = nn.Parameter(torch.randn(model.text.width) * 0.02)

    def forward(self, tokens_buld: Tensor) -> Tensor:
        units = tokens_buld.shape[1]
        unit_bud = functional.interpolate(self.unit.mT, size=units, mode="nearest").mT
        tokens: Tensor = self.project(tokens_buld) + unit_bud.unsqueeze(2) + self.kind
        return tokens.flatten(1, 2)


def _moved_tokens(texts: Tokens, device: torch.device) -> Tokens:
    return Tokens(ids_bl=texts.ids_bl.to(device), mask_bl=texts.mask_bl.to(device))


def _moved(batch: Batch, device: torch.device) -> Batch:
    """Copy a batch to a device."""

    def tokens(texts: Tokens | None) -> Tokens | None:
        return None if texts is None else _moved_tokens(texts, device)

    def tensor(value: Tensor | None) -> Tensor | None:
        return None if value is None else value.to(device)

    return Batch(
        clip_ids=batch.clip_ids,
        caption=tokens(batch.caption),
        video_bfchw=tensor(batch.video_bfchw),
        depth_bfchw=tensor(batch.depth_bfchw),
        audio_bctm=tensor(batch.audio_bctm),
        subtitle=tokens(batch.subtitle),
        present={name: value.to(device) for name, value in batch.present.items()},
    )


def _match_head(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width, eps=1e-12), nn.Linear(width, 2)
    )


def _given(value: Value | None, modality: Modality) -> Value:
    if value is None:
        raise ValueError(f"the batch has no {modality} input, which this model needs")
    return value


def _text_encoder(model: ModelConfig, inputs: InputsConfig, *, num_pieces: int) -> TextEncoder:
    text = model.text
    return TextEncoder(
        pieces=num_pieces,
        max_tokens=max(inputs.caption_tokens, inputs.subtitle_tokens),
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
        audio_frames=inputs.audio_frames, mel_bins=inputs.mel_bins, **model.audio.model_dump()
    )
