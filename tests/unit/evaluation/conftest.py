"""Small benchmarks, made up in the tests: embeddings, a shard with real JPEGs, its index."""

import json
import tarfile
import zlib
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import simplejpeg
import torch
from torch import Tensor

from gram.config import EvaluationConfig, ProtocolConfig
from gram.evaluation.embeddings import BenchmarkEmbeddings
from gram.evaluation.results import BenchmarkScores, Origin, ScoreResult, write_scores
from gram.types import Modality

ORIGIN = Origin(
    lineage=("volume_tva", "aligned"),
    checkpoint="results/pretrained/volume_tva/last.safetensors",
    checkpoint_sha256="a" * 64,
    index_sha256="b" * 64,
    frames=8,
    missing="drop",
)


@pytest.fixture(scope="session")
def make_embeddings() -> Callable[..., BenchmarkEmbeddings]:
    return _make_embeddings


def around(values: dict[str, float]) -> dict[str, tuple[float, float]]:
    """Give intervals of 3 to either side."""
    return {name: (value - 3, value + 3) for name, value in values.items()}


@pytest.fixture
def write_scores_of(tmp_path: Path) -> Callable[..., Path]:
    """Give a function that writes the scores file of a run: recalls are all the same number."""

    def write(run: str, *, recall: float = 25.0, **changes: object) -> Path:
        values = {"R@1": recall, "R@10": 2 * recall, "median_rank": 3.0, "mean_rank": 4.5}
        result = ScoreResult(
            near_is="small",
            gallery=12,
            text_to_item=values,
            item_to_text=values,
            ties_won={"text_to_item": {"R@1": recall}, "item_to_text": {"R@1": recall}},
            intervals={name: around(values) for name in ("text_to_item", "item_to_text")},
        )
        facts: dict[str, object] = {
            "run": run,
            "benchmark": "toys",
            "dataset": "toys",
            "split": "test",
            "modalities": (Modality.VIDEO, Modality.AUDIO),
            "gallery": 12,
            "queries": 24,
            "counts": {"rows": 13, "unusable": 1, "used": 12},
            "trained_on": 0,
            "origin": ORIGIN,
            "protocol": ProtocolConfig(),
            "evaluation": EvaluationConfig(scores=("volume",)),
            "clip_ids": tuple(f"test_{i:04d}" for i in range(12)),
            "scores": {"volume": result},
        }
        path = tmp_path / "scores" / run / "toys.json"
        write_scores(BenchmarkScores.model_validate(facts | changes), path)
        return path

    return write


@pytest.fixture(scope="session")
def pack_clips() -> Callable[..., Path]:
    return _pack_clips


def _make_embeddings(
    *,
    run: str = "volume_tva",
    modalities: Sequence[Modality] = (Modality.VIDEO, Modality.AUDIO),
    clips: int = 12,
    captions: int = 1,
    width: int = 16,
    noise: float = 0.6,
    trained_on: int = 0,
) -> BenchmarkEmbeddings:
    random = torch.Generator().manual_seed(len(run) + clips)

    def near(vectors: Tensor) -> Tensor:
        moved = vectors + noise * torch.randn(vectors.shape, generator=random) / width**0.5
        return torch.nn.functional.normalize(moved, dim=-1)

    meaning_nd = near(torch.randn(clips, width, generator=random))
    text_clip_q = torch.arange(clips).repeat_interleave(captions)
    return BenchmarkEmbeddings(
        run=run,
        benchmark="toys",
        dataset="toys",
        split="test",
        modalities=tuple(modalities),
        clip_ids=tuple(f"test_{clip:04d}" for clip in range(clips)),
        queries=tuple(f"caption {i} of the toys" for i in range(clips * captions)),
        counts={"rows": clips + 1, "unusable": 1, "used": clips},
        trained_on=trained_on,
        origin=ORIGIN,
        text_qd=near(meaning_nd[text_clip_q]),
        text_group_q=text_clip_q,
        vectors_nd={name: near(meaning_nd) for name in modalities},
        present_n={name: torch.ones(clips, dtype=torch.bool) for name in modalities},
        clip_group_n=torch.arange(clips),
        has_sound_n=torch.ones(clips, dtype=torch.bool),
    )


def _pack_clips(folder: Path, *, captions: Sequence[str], pixels: int = 16) -> Path:
    """Write a shard of clips, each of one gray, its index and its manifest; give the index.

    Every clip has three frames; only the middle one has the gray ``10 * clip``. One more row,
    the last, could not be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    with tarfile.open(folder / "0000.tar", "w") as tar:
        for clip, caption in enumerate(captions):
            jpegs = [_jpeg(gray, pixels=pixels) for gray in (255, (10 * clip) % 256, 255)]
            member = b"".join(jpegs)
            info = tarfile.TarInfo(f"{clip:08d}.jpgs")
            info.size = len(member)
            offset = tar.offset + tarfile.BLOCKSIZE
            tar.addfile(info, BytesIO(member))
            rows.append(_row(clip, caption, offset=offset, member=member, jpegs=jpegs))
    rows.append(_row(len(captions), "a broken clip", offset=None, member=b"", jpegs=[]))
    index = folder / "index.parquet"
    pq.write_table(pa.Table.from_pylist(rows), index)
    shard = {"shard": "0000.tar", "samples": len(captions), "bytes": 512, "sha256": "0" * 64}
    count, reason = len(captions), f"clip 'test_{len(captions):04d}': 3 of 8 time bins have a frame"
    state = {"status": "truncated", "stage": "extract", "clips": 1, "first_reasons": [reason]}
    manifest = {
        "shards": [shard],
        "unusable": [state],
        "subtitles": {"annotation": count},
        "depth": {"not_found": 2},
        "ffmpeg_versions": ["7.1"],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return index


def _jpeg(gray: int, *, pixels: int) -> bytes:
    picture = np.full((pixels, pixels, 1), gray, np.uint8)
    jpeg: bytes = simplejpeg.encode_jpeg(picture, colorspace="GRAY")
    return jpeg


def _row(
    clip: int, caption: str, *, offset: int | None, member: bytes, jpegs: list[bytes]
) -> dict[str, object]:
    usable = offset is not None
    return {
        "key": f"{clip:08d}",
        "clip_id": f"test_{clip:04d}",
        "split": "test",
        "captions": [caption],
        "status": "ok" if usable else "truncated",
        "stage": None if usable else "extract",
        "reason": None if usable else "3 of 8 time bins have a frame",
        "has_video": usable,
        "has_audio": usable,
        "has_subtitle": usable,
        "has_depth": False,
        "subtitle_reason": None,
        "depth_status": "not_found" if usable else None,
        "shard": "0000.tar" if usable else None,
        "jpgs_offset": offset,
        "jpgs_size": len(member) if usable else None,
        "jpgs_crc32": zlib.crc32(member) if usable else None,
        "jpgs_sizes": [len(jpeg) for jpeg in jpegs] if usable else None,
    }
