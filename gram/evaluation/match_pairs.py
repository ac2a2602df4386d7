"""Has the matching head read the best pairs of every re-ranked score of a run on a benchmark.

Shape letters of this file: P pairs, Q condition tokens of an item, D width.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from gram.config import ScoreSpec, parse_score
from gram.data.vocabulary import WordPieces
from gram.evaluation.embeddings import CONDITION, load_embeddings
from gram.evaluation.fitted import directions
from gram.evaluation.fitting import Fitting
from gram.evaluation.match_table import write_matches
from gram.evaluation.protocol import Chosen, choose
from gram.evaluation.ranked import RankedSet
from gram.evaluation.rerank import (
    BestPairs,
    Match,
    Matches,
    best_candidates,
    match_probability,
    read_pairs,
)
from gram.evaluation.row_tensors import RowReader
from gram.jobs import MatchSettings
from gram.model import GramModel
from gram.progress import track
from gram.types import Modality, Tokens

log = logging.getLogger(__name__)


def match_pairs(
    settings: MatchSettings,
    *,
    checkpoint: Path,
    folder: Path,
    fit_folder: Path | None,
    output: Path,
    device: torch.device,
    pairs_at_once: int,
) -> None:
    """Find the best pairs of each re-ranked score, and have them read.

    A pair that several scores or both directions find is read once for each set of modalities
    whose tokens are read.

    Args:
        settings: Protocol, scores, how many candidates; longest caption.
        checkpoint: The checkpoint that embedded the benchmark.
        folder: Embeddings of the split that is ranked, with condition tokens.
        fit_folder: Embeddings of the split that is fitted on; none: nothing is fitted.
        output: Parquet file that is written.
        device: Where pairs are read.
        pairs_at_once: Pairs that are read at once; it changes speed and memory only.

    Raises:
        ValueError: If condition tokens were not kept, or a score needs what is not there.
    """
    chosen = choose(load_embeddings(folder), settings.protocol)
    ranked = chosen.embeddings.ranked
    fitted_on = None if fit_folder is None else load_embeddings(fit_folder).ranked
    names, fitting = settings.reranking.scores, Fitting(ranked if fitted_on is None else fitted_on)
    best = {
        name: _best_pairs(parse_score(name), ranked, fitting=fitting, keep=settings.reranking.keep)
        for name in names
    }
    model = GramModel.load(checkpoint).to(device)
    tokens = _caption_tokens(model, chosen, max_tokens=settings.inputs.caption_tokens)
    read: dict[str, Matches] = {}
    by_condition: dict[tuple[Modality, ...], list[str]] = {}
    for name in names:
        by_condition.setdefault(parse_score(name).read_of(ranked.modalities), []).append(name)
    for modalities, of_names in by_condition.items():
        condition = Condition(folder / CONDITION, chosen, modalities=modalities)
        match = _reader(model, tokens, condition, device=device)
        found = _read([best[name] for name in of_names], match, pairs_at_once=pairs_at_once)
        read |= dict(zip(of_names, found, strict=True))
    write_matches({name: read[name] for name in names}, output)


class Condition:
    """Condition tokens of the ranked clips, joined over some modalities."""

    def __init__(self, path: Path, chosen: Chosen, *, modalities: Sequence[Modality]) -> None:
        """Open the file.

        Raises:
            ValueError: If tokens of a modality were not kept.
        """
        self._reader, self._rows = RowReader(path), chosen.clip_rows
        self._modalities = tuple(modalities)
        self._present_n = chosen.embeddings.present_n
        absent = [name for name in modalities if name not in self._reader.names]
        if absent:
            raise ValueError(
                f"{path} has no tokens of {', '.join(absent)} for the matching head; set "
                "embedding.condition to float16 and embed the benchmark again"
            )

    def of(self, item: int) -> tuple[Tensor, Tensor]:
        """Give tokens, float32, shape (1, Q, D), and which count, bool, shape (1, Q)."""
        row_1 = torch.tensor([item])
        parts = [self._reader.rows(name, self._rows[row_1]) for name in self._modalities]
        masks = [
            self._present_n[name][row_1].unsqueeze(1).expand(part_1qd.shape[:2])
            for name, part_1qd in zip(self._modalities, parts, strict=True)
        ]
        return torch.cat(parts, dim=1), torch.cat(masks, dim=1)


def _best_pairs(
    spec: ScoreSpec, ranked: RankedSet, *, fitting: Fitting, keep: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Give the best items of every text, the best texts of every asking item, and those items."""
    both = directions(fitting.fit(spec.first_stage), ranked)
    items_nk, texts_mk = (best_candidates(one, keep=keep) for one in both[:2])
    return items_nk, texts_mk, both.asked_n


def _read(
    best: Sequence[tuple[Tensor, Tensor, Tensor]], match: Match, *, pairs_at_once: int
) -> list[Matches]:
    """Read all pairs, each once, and those of one item together; give each score its own."""
    pairs = [_pairs(*one) for one in best]
    unique_p2, number_p = torch.unique(torch.cat(pairs), dim=0, return_inverse=True)
    _, counts = torch.unique_consecutive(unique_p2[:, 0], return_counts=True)
    ends = counts.cumsum(0).tolist()
    of_items = [unique_p2[end - count : end] for end, count in zip(ends, counts, strict=True)]
    parts = [part.flip(1) for one in of_items for part in _some_at_once(one, pairs_at_once)]
    label = f"reading {len(unique_p2)} pairs"
    tracked = track(parts, total=len(parts), label=label, unit="batches")
    read_p = torch.cat([read_pairs(part, match, pairs_at_once=pairs_at_once) for part in tracked])
    log.info("%d pairs read", len(unique_p2))
    found, start = [], 0
    for (items_nk, texts_mk, _), own in zip(best, pairs, strict=True):
        probability_p = read_p.float()[number_p[start : start + len(own)]]
        start += len(own)
        middle = items_nk.numel()
        to_item, to_text = probability_p[:middle], probability_p[middle:]
        found.append(
            Matches(
                BestPairs(items_nk, to_item.reshape(items_nk.shape)),
                BestPairs(texts_mk, to_text.reshape(texts_mk.shape)),
            )
        )
    return found


def _some_at_once(pairs_p2: Tensor, size: int) -> list[Tensor]:
    return [pairs_p2[start : start + size] for start in range(0, len(pairs_p2), size)]


def _pairs(items_nk: Tensor, texts_mk: Tensor, asked_m: Tensor) -> Tensor:
    """List the pairs of both directions, int64, shape (P, 2): the item in front, so that they sort.

    First those of all texts with their best items, then those of all items with their best texts.
    """
    texts_n1 = torch.arange(len(items_nk)).unsqueeze(1).expand(items_nk.shape)
    items_m1 = asked_m.unsqueeze(1).expand(texts_mk.shape)
    items_p = torch.cat([items_nk.flatten(), items_m1.flatten()])
    texts_p = torch.cat([texts_n1.flatten(), texts_mk.flatten()])
    return torch.stack([items_p, texts_p], dim=1)


def _caption_tokens(model: GramModel, chosen: Chosen, *, max_tokens: int) -> Tokens:
    return WordPieces(model.pieces).encode(chosen.embeddings.queries, max_tokens=max_tokens)


def _reader(
    model: GramModel, tokens: Tokens, condition: Condition, *, device: torch.device
) -> Match:
    """Give a function that reads pairs of one item by their rows."""

    @torch.inference_mode()
    def match(texts_p: Tensor, items_p: Tensor) -> Tensor:
        condition_1qd, mask_1q = condition.of(int(items_p[0]))
        texts = Tokens(
            ids_bl=tokens.ids_bl[texts_p].to(device), mask_bl=tokens.mask_bl[texts_p].to(device)
        )
        logits_p2 = model.match_one(texts, condition_1qd.to(device), mask_1q=mask_1q.to(device))
        return match_probability(logits_p2).cpu()

    return match
