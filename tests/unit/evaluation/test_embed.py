"""A benchmark that is embedded: what is read of each clip, and by how many threads."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import gram.evaluation.embed
from gram.config import EmbeddingConfig, InputsConfig, PromptsConfig
from gram.data.loader import evaluation_batches
from gram.evaluation.embed import embed_benchmark
from gram.evaluation.embeddings import VECTORS, load_embeddings
from gram.evaluation.results import Origin
from gram.jobs import EmbedSettings, SplitConfig
from gram.model import Encodings, GramModel
from gram.types import Batch, Modality


@pytest.fixture
def embed(
    make_model: Callable[..., GramModel], inputs: InputsConfig, shards: Path, tmp_path: Path
) -> Callable[[int], bytes]:
    """Give a function that embeds the test clips and gives the bytes of the file."""
    make_model().save(tmp_path / "last.safetensors")
    settings = EmbedSettings(
        inputs=inputs,
        embedding=EmbeddingConfig(batch_size=3),
        prompts=PromptsConfig(),
        embedded_split=SplitConfig(name="test", clips=None),
        ranked_dataset="toys",
        trained_splits=(),
        lineage=("volume", "aligned"),
    )

    def embedded(workers: int) -> bytes:
        folder = tmp_path / str(workers)
        embed_benchmark(
            settings,
            checkpoint=tmp_path / "last.safetensors",
            index=shards / "index.parquet",
            folder=folder,
            run="volume",
            benchmark="toys",
            device=torch.device("cpu"),
            workers=workers,
        )
        return (folder / VECTORS).read_bytes()

    return embedded


def test_threads_that_read_ahead_change_no_embedding(embed: Callable[[int], bytes]) -> None:
    assert embed(2) == embed(0)


def test_as_many_threads_read_as_there_are_workers(
    embed: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def batches(*given: object, workers: int, **named: object) -> object:
        asked.append(workers)
        return evaluation_batches(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(gram.evaluation.embed, "evaluation_batches", batches)
    embed(3)
    assert asked == [3]


@pytest.mark.parametrize("frames", [1, 3])
def test_as_many_frames_are_taken_as_it_is_set(
    frames: int,
    make_model: Callable[..., GramModel],
    inputs: InputsConfig,
    shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    encode = GramModel.encode

    def encode_seen(self: GramModel, batch: Batch) -> Encodings:
        assert batch.video_bfchw is not None
        seen.append(batch.video_bfchw.shape[1])
        return encode(self, batch)

    make_model((Modality.VIDEO,)).save(tmp_path / "last.safetensors")
    monkeypatch.setattr(GramModel, "encode", encode_seen)
    embed_benchmark(
        EmbedSettings(
            inputs=inputs,
            embedding=EmbeddingConfig(batch_size=2, frames=frames),
            prompts=PromptsConfig(),
            embedded_split=SplitConfig(name="test", clips=None),
            ranked_dataset="toys",
            trained_splits=(),
            lineage=("one",),
        ),
        checkpoint=tmp_path / "last.safetensors",
        index=shards / "index.parquet",
        folder=tmp_path,
        run="one",
        benchmark="toys",
        device=torch.device("cpu"),
    )
    assert seen == [frames, frames]


def test_embeddings_say_how_they_came_about(
    embed: Callable[[int], bytes], shards: Path, tmp_path: Path
) -> None:
    embed(0)
    checkpoint = tmp_path / "last.safetensors"
    assert load_embeddings(tmp_path / "0").origin == Origin(
        lineage=("volume", "aligned"),
        checkpoint=checkpoint.as_posix(),
        checkpoint_sha256=hashlib.sha256(checkpoint.read_bytes()).hexdigest(),
        index_sha256=hashlib.sha256((shards / "index.parquet").read_bytes()).hexdigest(),
        frames=8,
        missing="drop",
    )
