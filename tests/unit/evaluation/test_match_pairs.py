"""Re-ranking in the workflow: what the matching head reads, against a plain double loop."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gram.config import (
    EmbeddingConfig,
    InputsConfig,
    ModelConfig,
    PromptsConfig,
    ProtocolConfig,
    parse_score,
)
from gram.data.clip_dataset import ClipDataset
from gram.data.clip_index import read_index, select_clips
from gram.data.loader import evaluation_batches
from gram.data.vocabulary import WordPieces, read_vocabulary
from gram.evaluation.embed import embed_benchmark
from gram.evaluation.embeddings import CONDITION, load_embeddings
from gram.evaluation.match_pairs import match_pairs
from gram.evaluation.match_table import read_matches
from gram.evaluation.protocol import choose
from gram.evaluation.ranked import RankedSet
from gram.evaluation.row_tensors import write_rows
from gram.evaluation.scores import near_is, pairwise_score
from gram.evaluation.scoring import score_set
from gram.jobs import EmbedSettings, MatchSettings, RerankConfig, SplitConfig
from gram.model import GramModel
from gram.types import Modality, Tokens

TVA = (Modality.VIDEO, Modality.AUDIO)
SPLIT = "train"
CLIPS = 12


class Bench:
    """A tiny model with its embeddings of twelve clips, and what it says of every pair."""

    def __init__(self, model: GramModel, inputs: InputsConfig, shards: Path, folder: Path) -> None:
        """Embed the clips, with all condition tokens."""
        self.model, self.inputs, self.shards, self.folder = model, inputs, shards, folder
        model.save(folder / "last.safetensors")
        embed_benchmark(
            EmbedSettings(
                inputs=inputs,
                embedding=EmbeddingConfig(batch_size=5, condition="float32"),
                prompts=PromptsConfig(),
                embedded_split=SplitConfig(name=SPLIT, clips=None),
                ranked_dataset="toys",
                trained_splits=(),
                lineage=("volume",),
            ),
            checkpoint=folder / "last.safetensors",
            index=shards / "index.parquet",
            folder=folder,
            run="volume",
            benchmark="toys",
            device=torch.device("cpu"),
        )

    def ranked(self) -> RankedSet:
        """Give what is ranked: the first caption of every clip."""
        return choose(load_embeddings(self.folder), ProtocolConfig(split=SPLIT)).embeddings.ranked

    def read(self, *scores: str, keep: int = 4, pairs_at_once: int = 7) -> Path:
        """Have the best pairs read; give the file."""
        match_pairs(
            MatchSettings(
                inputs=self.inputs,
                protocol=ProtocolConfig(split=SPLIT),
                reranking=RerankConfig(scores=scores, keep=keep),
            ),
            checkpoint=self.folder / "last.safetensors",
            folder=self.folder,
            fit_folder=None,
            output=self.folder / "matches.parquet",
            device=torch.device("cpu"),
            pairs_at_once=pairs_at_once,
        )
        return self.folder / "matches.parquet"

    @torch.no_grad()
    def by_loop(self, modalities: tuple[Modality, ...]) -> list[list[float]]:
        """Read every text with every clip, each alone, from the shards."""
        rows = select_clips(
            read_index(self.shards / "index.parquet"),
            split=SPLIT,
            modalities=self.model.modalities,
            missing="mask",
        ).rows
        pieces = WordPieces(self.model.pieces)
        dataset = ClipDataset(
            rows,
            folder=self.shards,
            inputs=self.inputs,
            num_frames=8,
            modalities=self.model.modalities,
            pieces=pieces,
            is_training=False,
            seed=0,
        )
        clips = [self.model.encode(one) for one in evaluation_batches(dataset, batch_size=1)]
        found = []
        for captions in rows["captions"].to_pylist():
            text = pieces.encode(captions[:1], max_tokens=self.inputs.caption_tokens)
            row = []
            for clip in clips:
                condition_1qd, mask_1q = clip.condition_of(modalities)
                logits_12 = self.model.match(text, condition_1qd, condition_mask_bq=mask_1q)
                row.append(float(logits_12.softmax(dim=1)[0, 1]))
            found.append(row)
        return found


@pytest.fixture
def bench(
    make_model_config: Callable[..., ModelConfig],
    inputs: InputsConfig,
    shards: Path,
    tmp_path: Path,
) -> Bench:
    torch.manual_seed(0)
    pieces = read_vocabulary(shards / "vocab.txt")
    return Bench(
        GramModel(make_model_config(TVA), inputs, pieces=pieces).eval(), inputs, shards, tmp_path
    )


def order_by_hand(scores: list[float], read: list[float], *, keep: int, small: bool) -> list[int]:
    """Order the candidates of one query: the best K by what was read, then the others."""
    first = sorted(range(len(scores)), key=lambda c: scores[c] if small else -scores[c])
    return [*sorted(first[:keep], key=lambda c: -read[c]), *first[keep:]]


@pytest.mark.parametrize("keep", [1, 4, CLIPS, 50])
@pytest.mark.parametrize("score", ["volume", "cosine_audio", "cosine_video"])
def test_places_after_reranking_are_those_of_a_double_loop(
    bench: Bench, score: str, keep: int
) -> None:
    name, ranked = f"{score}+rerank", bench.ranked()
    read = bench.by_loop(parse_score(name).read_of(TVA))
    scores_nm = pairwise_score(
        score,
        ranked.text_qd,
        vectors_mkd=ranked.vectors_nkd,
        present_mk=ranked.present_nk,
        modalities=TVA,
    )
    small = near_is(score) == "small"
    forward, backward = scores_nm.tolist(), scores_nm.mT.tolist()
    read_backward = torch.tensor(read).mT.tolist()
    expected = [
        [
            order_by_hand(one, own, keep=keep, small=small).index(number) + 1
            for number, (one, own) in enumerate(zip(first, second, strict=True))
        ]
        for first, second in ((forward, read), (backward, read_backward))
    ]
    matches = read_matches(bench.read(name, keep=keep))
    (scored,) = score_set([parse_score(name)], ranked, fitted_on=None, halves=1, matches=matches)
    found = scored.places
    assert [
        found.text_to_item.places.best_q.tolist(),
        found.item_to_text.places.best_q.tolist(),
    ] == expected


def test_what_was_read_is_what_a_loop_reads(bench: Bench) -> None:
    read = torch.tensor(bench.by_loop(TVA))
    matches = read_matches(bench.read("volume+rerank"))["volume+rerank"]
    to_item, to_text = matches
    torch.testing.assert_close(
        to_item.probability_qk, read.gather(1, to_item.candidate_qk), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(
        to_text.probability_qk, read.mT.gather(1, to_text.candidate_qk), rtol=0, atol=1e-5
    )


def test_the_tokens_of_the_modalities_asked_for_are_read(bench: Bench) -> None:
    read = torch.tensor(bench.by_loop((Modality.AUDIO,)))
    name = "cosine_video+rerank:ta"
    to_item, _ = read_matches(bench.read(name))[name]
    torch.testing.assert_close(
        to_item.probability_qk, read.gather(1, to_item.candidate_qk), rtol=0, atol=1e-5
    )


def test_pairs_at_once_change_nothing(bench: Bench) -> None:
    few, many = (
        read_matches(bench.read("volume+rerank", pairs_at_once=size))["volume+rerank"]
        for size in (1, 1000)
    )
    for one, other in zip(few, many, strict=True):
        assert torch.equal(one.candidate_qk, other.candidate_qk)
        torch.testing.assert_close(one.probability_qk, other.probability_qk, rtol=0, atol=1e-5)


def test_a_pair_that_two_scores_find_is_read_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, match = [0], GramModel.match_one

    def counting(self: GramModel, texts: Tokens, *given: Tensor, **named: Tensor) -> Tensor:
        counted[0] += len(texts.ids_bl)
        return match(self, texts, *given, **named)

    monkeypatch.setattr(GramModel, "match_one", counting)
    bench.read("volume+rerank", "cosine_mean+rerank", keep=CLIPS)
    assert counted[0] == CLIPS * CLIPS


def test_scores_find_their_own_pairs_again(bench: Bench) -> None:
    together = read_matches(bench.read("volume+rerank", "cosine_audio+rerank:tva"))
    alone = read_matches(bench.read("cosine_audio+rerank:tva"))
    for one, other in zip(
        together["cosine_audio+rerank:tva"], alone["cosine_audio+rerank:tva"], strict=True
    ):
        assert torch.equal(one.candidate_qk, other.candidate_qk)
        torch.testing.assert_close(one.probability_qk, other.probability_qk)


def test_tokens_that_were_not_kept_are_named(bench: Bench) -> None:
    with write_rows(bench.folder / CONDITION, rows=CLIPS, dtype="none"):
        pass
    with pytest.raises(ValueError, match=r"no tokens of video, audio .*set embedding\.condition"):
        bench.read("volume+rerank")


def test_a_score_without_its_pairs_is_told(bench: Bench) -> None:
    ranked = bench.ranked()
    with pytest.raises(ValueError, match=r"'volume\+rerank' needs pairs that the matching head"):
        score_set([parse_score("volume+rerank")], ranked, fitted_on=None, halves=1, matches={})
