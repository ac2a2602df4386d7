"""Texts and clips that are ranked against each other, as plain tensors.

Shape letters of this file: Q texts, N clips, K modalities, D embedding width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gram.types import Modality


@dataclass(frozen=True, kw_only=True)
class RankedSet:
    """Texts, clips, and which belong together.

    A text and a clip belong together when they are of one group. In retrieval each clip is a group
    of its own, and its captions belong to it; in classification a class is a group, with its name
    as the text.

    Attributes:
        text_qd: Vectors of the texts, of unit length, float, shape (Q, D).
        text_group_q: Group of each text, int64, shape (Q,).
        vectors_nkd: Vectors of the clips, of unit length, float, shape (N, K, D).
        present_nk: Which clips have which modality, bool, shape (N, K). What stands in the place
            of a missing one is not read.
        clip_group_n: Group of each clip, int64, shape (N,).
        modalities: Names of the K modalities.

    Raises:
        ValueError: If shapes do not fit each other.
    """

    text_qd: Tensor
    text_group_q: Tensor
    vectors_nkd: Tensor
    present_nk: Tensor
    clip_group_n: Tensor
    modalities: tuple[Modality, ...]

    def __post_init__(self) -> None:
        """Check that the parts fit each other."""
        texts, clips = len(self.text_qd), len(self.vectors_nkd)
        count, width = len(self.modalities), self.text_qd.shape[-1]
        wanted: dict[str, tuple[Tensor, tuple[int, ...]]] = {
            "text_qd": (self.text_qd, (texts, width)),
            "text_group_q": (self.text_group_q, (texts,)),
            "vectors_nkd": (self.vectors_nkd, (clips, count, width)),
            "present_nk": (self.present_nk, (clips, count)),
            "clip_group_n": (self.clip_group_n, (clips,)),
        }
        for name, (tensor, shape) in wanted.items():
            if tuple(tensor.shape) != shape:
                raise ValueError(
                    f"{name} has shape {tuple(tensor.shape)}, not {shape}; give the vectors of "
                    f"{texts} texts and {clips} clips with {count} modalities"
                )

    def of_modalities(self, modalities: Sequence[Modality]) -> "RankedSet":
        """Give the same texts and clips with some of the modalities, in the order asked for."""
        if tuple(modalities) == self.modalities:
            return self
        columns = [self.modalities.index(name) for name in modalities]
        return replace(
            self,
            vectors_nkd=self.vectors_nkd[:, columns],
            present_nk=self.present_nk[:, columns],
            modalities=tuple(modalities),
        )

    def of_clips(self, rows: Tensor) -> "RankedSet":
        """Give some of the clips, int64 rows, with the texts that belong to one of them."""
        texts = self.text_rows_of(rows)
        return replace(
            self,
            text_qd=self.text_qd[texts],
            text_group_q=self.text_group_q[texts],
            vectors_nkd=self.vectors_nkd[rows],
            present_nk=self.present_nk[rows],
            clip_group_n=self.clip_group_n[rows],
        )

    def text_rows_of(self, rows: Tensor) -> Tensor:
        """Give the rows of the texts that ``of_clips`` takes, in order."""
        return torch.isin(self.text_group_q, self.clip_group_n[rows]).nonzero().flatten()

    def first_texts(self) -> "RankedSet":
        """Give the same clips with the first text of each group alone."""
        _, number_q = torch.unique(self.text_group_q, return_inverse=True)
        rows_q = torch.arange(len(number_q))
        first_g = rows_q.new_full((int(number_q.max()) + 1 if len(number_q) else 0,), len(rows_q))
        kept = first_g.scatter_reduce(0, number_q, rows_q, "amin").sort().values
        return replace(self, text_qd=self.text_qd[kept], text_group_q=self.text_group_q[kept])

    def halves(self, seed: int) -> tuple[Tensor, Tensor]:
        """Draw the rows of the clips of two halves, the same ones for the same seed.

        Raises:
            ValueError: If there are fewer than 4 clips.
        """
        clips = len(self.vectors_nkd)
        if clips < 4:
            raise ValueError(
                f"fitted scores need 4 clips or more, two for either half, found {clips}; rank "
                "more, or name a split in protocol.fit_split"
            )
        order_n = torch.randperm(clips, generator=torch.Generator().manual_seed(seed))
        first, second = order_n[: clips // 2], order_n[clips // 2 :]
        return first.sort().values, second.sort().values


def paired_set(text_nd: Tensor, vectors_nd: Mapping[Modality, Tensor]) -> RankedSet:
    """Give a set in which every clip has one text, in the same row, and lacks nothing.

    Args:
        text_nd: Vectors of the texts, of unit length, float, shape (N, D).
        vectors_nd: For each modality the vectors of the clips, shape (N, D).

    Raises:
        ValueError: If the shapes differ.
    """
    clips_n = torch.arange(len(text_nd))
    return RankedSet(
        text_qd=text_nd,
        text_group_q=clips_n,
        vectors_nkd=torch.stack(list(vectors_nd.values()), dim=1),
        present_nk=torch.ones(len(text_nd), len(vectors_nd), dtype=torch.bool),
        clip_group_n=clips_n,
        modalities=tuple(vectors_nd),
    )
