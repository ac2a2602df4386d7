"""Texts and media files -> vectors: what one call of a model gives, and how they compare.

Shape letters of this file: N texts, M files that could be used, K modalities, D embedding width.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import torch
from torch import Tensor

from gram.config import ExtractionConfig, InputsConfig
from gram.data.clip_dataset import ClipDataset
from gram.data.loader import evaluation_batches
from gram.data.own_media import PackedMedia, packed_media
from gram.data.vocabulary import WordPieces
from gram.similarities import pairwise_mean_cosine
from gram.types import Batch, Embeddings, Modality, Tokens
from gram.volume import pairwise_residual, pairwise_volume

UNKNOWN = "has nothing that the model knows: it has {has}, the model knows {known}"


class Encodes(Protocol):
    """What a model offers to be asked here."""

    modalities: tuple[Modality, ...]
    pieces: tuple[str, ...]
    inputs_config: InputsConfig

    def embed_texts(self, texts: Tokens) -> Tensor:
        """Embed texts: unit vectors, shape (N, D)."""

    def embed_items(self, batch: Batch) -> Embeddings:
        """Embed the items of a batch."""


@dataclass(frozen=True, kw_only=True)
class EmbeddedFile:
    """What became of one media file.

    Attributes:
        path: The file.
        present: Modalities that it has, of those that the model knows.
        reason: Why it could not be used; None: it was.
    """

    path: Path
    present: tuple[Modality, ...]
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Embedded:
    """Unit vectors of texts and of media files, on the CPU.

    Attributes:
        texts: The texts, N of them.
        text_nd: Their vectors, float32, shape (N, D).
        files: What became of each file that was given, in order.
        modalities: The K modalities of the model, in the project's order.
        vectors_mkd: Vectors of the files that could be used, in order, float32, (M, K, D). One
            that is not present has no meaning.
        present_mk: Which of them there are, bool, shape (M, K).
    """

    texts: tuple[str, ...]
    text_nd: Tensor
    files: tuple[EmbeddedFile, ...]
    modalities: tuple[Modality, ...]
    vectors_mkd: Tensor
    present_mk: Tensor

    @property
    def used(self) -> tuple[EmbeddedFile, ...]:
        """The M files that could be used."""
        return tuple(file for file in self.files if file.reason is None)

    def volume(self) -> Tensor:
        """Give the volume of every text with every file, shape (N, M); small is near."""
        return pairwise_volume(self.text_nd, self.vectors_mkd, present_mk=self.present_mk)

    def residual(self) -> Tensor:
        """Give the residual of every text with every file, shape (N, M); small is near."""
        return pairwise_residual(self.text_nd, self.vectors_mkd, present_mk=self.present_mk)

    def cosine(self, modality: Modality) -> Tensor:
        """Give the cosine of every text with one modality, shape (N, M); NaN where it is missing.

        Large is near.

        Raises:
            ValueError: If the model does not know the modality.
        """
        if modality not in self.modalities:
            raise ValueError(
                f"the model does not know the modality {modality}; it knows "
                f"{', '.join(self.modalities)}"
            )
        k = self.modalities.index(modality)
        cosine_nm = pairwise_mean_cosine(self.text_nd, self.vectors_mkd[:, k : k + 1])
        return torch.where(self.present_mk[:, k], cosine_nm, torch.nan)


@torch.inference_mode()
def embed(
    model: Encodes,
    *,
    text: Sequence[str],
    media: Sequence[Path],
    frames: int,
    batch_size: int,
    workers: int,
) -> Embedded:
    """Embed texts and media files by a model; see ``GramModel.embed``."""
    pieces = WordPieces(model.pieces)
    text_nd = torch.cat(
        [
            model.embed_texts(_tokens(text[i : i + batch_size], model, pieces=pieces)).cpu()
            for i in range(0, max(1, len(text)), batch_size)
        ]
    )
    with packed_media(media, _kept(model.inputs_config, frames), workers=workers) as packed:
        files = tuple(_told(packed, model.modalities))
        is_used = pa.array([file.reason is None for file in files], pa.bool_())
        dataset = ClipDataset(
            packed.index.filter(is_used),
            folder=packed.folder,
            inputs=model.inputs_config.model_copy(update={"missing": "mask"}),
            num_frames=frames,
            modalities=model.modalities,
            pieces=pieces,
            is_training=False,
            seed=0,
        )
        batches = evaluation_batches(dataset, batch_size=batch_size)
        parts = [model.embed_items(batch) for batch in batches]
    shape = (0, len(model.modalities))
    vectors = [_stacked(part.vectors, model.modalities) for part in parts]
    present = [_stacked(part.present, model.modalities) for part in parts]
    return Embedded(
        texts=tuple(text),
        text_nd=text_nd[: len(text)],
        files=files,
        modalities=model.modalities,
        vectors_mkd=torch.cat([text_nd.new_zeros(*shape, text_nd.shape[1]), *vectors]),
        present_mk=torch.cat([torch.zeros(shape, dtype=torch.bool), *present]),
    )


def _tokens(text: Sequence[str], model: Encodes, *, pieces: WordPieces) -> Tokens:
    """Encode some texts; an empty one where there are none, which tells the width."""
    return pieces.encode(list(text) or [""], max_tokens=model.inputs_config.caption_tokens)


def _kept(inputs: InputsConfig, frames: int) -> ExtractionConfig:
    """Keep what the workflow keeps by default, and more where the model asks for more."""
    usual = ExtractionConfig()
    return usual.model_copy(
        update={
            "frames_per_clip": max(usual.frames_per_clip, frames),
            "short_side": max(usual.short_side, inputs.image_pixels),
        }
    )


def _told(packed: PackedMedia, modalities: Sequence[Modality]) -> list[EmbeddedFile]:
    """Say of each file what it has, or why it cannot be used."""
    files = []
    for row in packed.index.to_pylist():
        has = tuple(name for name in Modality if row.get(f"has_{name}"))
        present = tuple(name for name in has if name in modalities)
        reason = row["reason"]
        if reason is None and not present:
            known = ", ".join(modalities)
            reason = UNKNOWN.format(has=", ".join(has) or "nothing", known=known)
        files.append(EmbeddedFile(path=Path(row["clip_id"]), present=present, reason=reason))
    return files


def _stacked(of_modality: dict[Modality, Tensor], modalities: Sequence[Modality]) -> Tensor:
    return torch.stack([of_modality[name].cpu() for name in modalities], dim=1)
