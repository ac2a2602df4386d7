"""From shards to scores by stages of the workflow: classes, fits on another split, comparisons."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize
from typer.testing import CliRunner

from gram.cli import app
from gram.config import (
    EmbeddingConfig,
    EvaluationConfig,
    InputsConfig,
    PromptsConfig,
    ProtocolConfig,
    parse_score,
)
from gram.data.vocabulary import WordPieces
from gram.evaluation.embed import embed_benchmark
from gram.evaluation.embeddings import BenchmarkEmbeddings, load_embeddings
from gram.evaluation.fitting import fit_score
from gram.evaluation.retrieval import rank_retrieval, summarize_places
from gram.evaluation.scoring import score_retrieval
from gram.jobs import EmbedSettings, ScoreSettings, SplitConfig
from gram.model import GramModel
from gram.tracking import Tracker
from gram.types import Modality
from gram.volume import pairwise_volume

TVA = (Modality.VIDEO, Modality.AUDIO)
CLASSES = ("word3 word4", "word1", "word2 word9")
TEMPLATES = ("word5 {}", "word6 {} word7")


class Bench:
    """A tiny model, its shards, and the two stages between them and the scores."""

    def __init__(self, model: GramModel, inputs: InputsConfig, shards: Path, folder: Path) -> None:
        """Save the model."""
        self.model, self.inputs, self.shards, self.folder = model, inputs, shards, folder
        model.save(folder / "last.safetensors")

    def embed(
        self, split: str, *, clips: int | None = None, prompts: PromptsConfig | None = None
    ) -> Path:
        """Embed a split, or at most so many clips of it; give the folder."""
        folder = self.folder / f"{split}_{clips}"
        embed_benchmark(
            EmbedSettings(
                inputs=self.inputs,
                embedding=EmbeddingConfig(batch_size=5),
                prompts=prompts or PromptsConfig(),
                embedded_split=SplitConfig(name=split, clips=clips),
                ranked_dataset="toys",
                trained_splits=(),
                lineage=("volume",),
            ),
            checkpoint=self.folder / "last.safetensors",
            index=self.shards / "index.parquet",
            folder=folder,
            run="volume",
            benchmark="toys",
            device=torch.device("cpu"),
        )
        return folder

    def score(
        self, folder: Path, *scores: str, protocol: ProtocolConfig, fit_folder: Path | None = None
    ) -> dict[str, Any]:
        """Score a folder of embeddings; give what the scores file says."""
        score_retrieval(
            folder,
            fit_folder=fit_folder,
            matches=None,
            settings=ScoreSettings(
                benchmark="toys",
                protocol=protocol,
                evaluation=EvaluationConfig(scores=scores, recall_at=(1, 10)),
            ),
            scores=folder / "toys.json",
            places=folder / "toys.parquet",
            tracker=Tracker(),
        )
        written: dict[str, Any] = json.loads((folder / "toys.json").read_text(encoding="utf-8"))
        return written


@pytest.fixture
def bench(
    make_model: Callable[..., GramModel], inputs: InputsConfig, shards: Path, tmp_path: Path
) -> Bench:
    return Bench(make_model(TVA), inputs, shards, tmp_path)


# --- classification -----------------------------------------------------------------------------


@pytest.fixture
def classes(bench: Bench) -> Bench:
    """Give the twelve clips three classes, which they have in turn."""
    own = bench.folder / "shards"
    shutil.copytree(bench.shards, own)
    table = pq.read_table(own / "index.parquet")
    labels = pa.array([CLASSES[row % 3] for row in range(len(table))])
    column = table.schema.get_field_index("label")
    pq.write_table(
        table.set_column(column, table.schema.field(column), labels), own / "index.parquet"
    )
    bench.shards = own
    return bench


def of_templates(bench: Bench, templates: tuple[str, ...]) -> Tensor:
    """Embed each class as the mean of its templates, one text at a time."""
    pieces, vectors = WordPieces(bench.model.pieces), []
    for name in sorted(CLASSES):
        texts = [template.replace("{}", name) for template in templates]
        each = [
            bench.model.embed_texts(pieces.encode([text], max_tokens=bench.inputs.caption_tokens))
            for text in texts
        ]
        vectors.append(normalize(torch.cat(each).mean(dim=0), dim=-1))
    return torch.stack(vectors)


def accuracy_of(text_cd: Tensor, embeddings: BenchmarkEmbeddings, *, k: int) -> float:
    """Give the share of clips whose class is among the K nearest by volume, in percent."""
    vectors_nkd = torch.stack([embeddings.vectors_nd[name] for name in TVA], dim=1)
    volume_cn = pairwise_volume(text_cd, vectors_nkd)
    nearest_nk = volume_cn.mT.argsort(dim=1)[:, :k]
    found = (nearest_nk == embeddings.clip_group_n.unsqueeze(1)).any(dim=1)
    return 100 * float(found.double().mean())


@pytest.mark.parametrize("templates", [("{}",), TEMPLATES], ids=["names", "two templates"])
@torch.no_grad()
def test_an_accuracy_is_that_of_a_loop_over_classes(
    classes: Bench, templates: tuple[str, ...]
) -> None:
    prompts = PromptsConfig(task="classification", templates=templates)
    folder = classes.embed("train", prompts=prompts)
    protocol = ProtocolConfig(split="train", task="classification", templates=templates)
    written = classes.score(folder, "volume", protocol=protocol)
    embeddings, text_cd = load_embeddings(folder), of_templates(classes, templates)
    assert embeddings.queries == tuple(sorted(CLASSES))
    torch.testing.assert_close(embeddings.text_qd, text_cd, rtol=0, atol=1e-6)
    accuracy = written["scores"]["volume"]["item_to_text"]
    assert accuracy["R@1"] == pytest.approx(accuracy_of(text_cd, embeddings, k=1))
    assert accuracy["R@10"] == 100.0  # of three classes


@torch.no_grad()
def test_templates_change_what_a_class_is_embedded_as(classes: Bench) -> None:
    plain, framed = (of_templates(classes, one) for one in (("{}",), TEMPLATES))
    assert not torch.allclose(plain, framed, atol=1e-3)


def test_a_class_is_found_with_the_nearest_of_its_clips(classes: Bench) -> None:
    folder = classes.embed("train", prompts=PromptsConfig(task="classification"))
    protocol = ProtocolConfig(split="train", task="classification")
    written = classes.score(folder, "volume", protocol=protocol)
    assert (written["gallery"], written["queries"]) == (12, 3)
    places = pq.read_table(folder / "toys.parquet").to_pylist()
    asked = [row["text"] for row in places if row["direction"] == "text_to_item"]
    assert asked == sorted(CLASSES)
    # Eight clips are of other classes: not even the farthest class stands behind more.
    assert max(row["worst"] for row in places) <= 9


def test_a_clip_without_a_class_is_named(bench: Bench) -> None:
    with pytest.raises(ValueError, match=r"12 of 12 clips have no class, '.*' first; a classific"):
        bench.embed("train", prompts=PromptsConfig(task="classification"))


# --- fitted on another split --------------------------------------------------------------------


def test_a_score_that_is_fitted_on_another_split_ranks_the_whole_gallery(bench: Bench) -> None:
    name, protocol = "trusted_residual+bank", ProtocolConfig(split="test", fit_split="train")
    fitted_on, folder = bench.embed("train"), bench.embed("test")
    written = bench.score(folder, name, protocol=protocol, fit_folder=fitted_on)
    result = written["scores"][name]
    assert (result["gallery"], result["fit"]["split"], result["fit"]["clips"]) == (4, "train", 12)
    score = fit_score(parse_score(name), load_embeddings(fitted_on).ranked)
    found = rank_retrieval(score, load_embeddings(folder).ranked)
    expected = summarize_places(found.text_to_item.places, recall_at=(1, 10))
    assert result["text_to_item"] == pytest.approx(expected)
    (numbers,) = result["fit"]["numbers"]
    assert score.hubs is not None
    assert tuple(numbers["hubs"]["text_to_item"]) == score.hubs.text_to_item


def test_a_score_that_is_fitted_on_halves_ranks_half_of_the_gallery(bench: Bench) -> None:
    folder = bench.embed("train")
    written = bench.score(folder, "trusted_residual+bank", protocol=ProtocolConfig(split="train"))
    result = written["scores"]["trusted_residual+bank"]
    assert (result["gallery"], result["fit"]["split"], result["fit"]["clips"]) == (6, None, 6)


def test_of_a_large_split_some_clips_are_drawn_to_fit_on(bench: Bench) -> None:
    whole, drawn = (load_embeddings(bench.embed("train", clips=clips)) for clips in (None, 8))
    again = load_embeddings(bench.embed("train", clips=8))
    assert drawn.clip_ids == again.clip_ids
    assert [one for one in whole.clip_ids if one in drawn.clip_ids] == list(drawn.clip_ids)
    assert (drawn.counts["not drawn"], drawn.counts["used"]) == (4, 8)
    assert drawn.clip_ids not in (whole.clip_ids[:8], whole.clip_ids[-8:])
    rows = [whole.clip_ids.index(one) for one in drawn.clip_ids]
    torch.testing.assert_close(
        drawn.vectors_nd[Modality.VIDEO], whole.vectors_nd[Modality.VIDEO][rows], rtol=0, atol=1e-6
    )


# --- comparing ----------------------------------------------------------------------------------


def test_scores_of_files_that_the_stage_wrote_are_compared(bench: Bench) -> None:
    folder = bench.embed("train")
    names = ("cosine_video", "cosine_audio")
    written = bench.score(folder, *names, protocol=ProtocolConfig(split="train"))
    path = folder / "toys.parquet"
    done = CliRunner().invoke(
        app,
        ["scores", "compare", str(path), str(path), "--score", names[0], "--other", names[1]],
    )
    assert done.exit_code == 0, done.output
    lines = [re.findall(r"[^|\s][^|]*[^|\s]|[^|\s]", line) for line in done.stdout.splitlines()]
    (shown,) = [line for line in lines if line[:2] == ["item_to_text", "R@1"]]
    first, second = (written["scores"][name]["item_to_text"]["R@1"] for name in names)
    assert float(shown[2]) == pytest.approx(second - first, abs=0.051)
    assert shown[-1] == "12"


def test_runs_that_were_asked_other_queries_are_not_compared(bench: Bench) -> None:
    paths = []
    for split in ("train", "test"):
        folder = bench.embed(split)
        bench.score(folder, "volume", protocol=ProtocolConfig(split=split))
        paths.append(str(folder / "toys.parquet"))
    done = CliRunner().invoke(app, ["scores", "compare", *paths])
    assert done.exit_code == 2
    assert "were not asked the same queries; compare runs on one benchmark" in done.stderr


def test_a_score_that_is_not_in_the_file_is_named(bench: Bench) -> None:
    folder = bench.embed("test")
    bench.score(folder, "residual", protocol=ProtocolConfig(split="test"))
    path = str(folder / "toys.parquet")
    done = CliRunner().invoke(app, ["scores", "compare", path, path])
    assert done.exit_code == 2
    assert "has no score 'volume'; it has residual" in done.stderr
