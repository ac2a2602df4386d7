import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gram.evaluation.embeddings import (
    CLIPS,
    QUERIES,
    VECTORS,
    BenchmarkEmbeddings,
    load_embeddings,
    save_embeddings,
)
from gram.types import Modality

MakeEmbeddings = Callable[..., BenchmarkEmbeddings]


def test_what_is_saved_is_loaded_again(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    saved = make_embeddings(captions=2, trained_on=3)
    save_embeddings(saved, tmp_path / "toys")
    loaded = load_embeddings(tmp_path / "toys")
    for field in dataclasses.fields(saved):
        before, after = getattr(saved, field.name), getattr(loaded, field.name)
        if isinstance(before, torch.Tensor):
            assert torch.equal(before, after)
        elif field.name in ("vectors_nd", "present_n"):
            assert before.keys() == after.keys()
            assert all(torch.equal(before[name], after[name]) for name in before)
        else:
            assert before == after


def test_the_same_embeddings_give_the_same_bytes(
    make_embeddings: MakeEmbeddings, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        save_embeddings(make_embeddings(), tmp_path / name)
    for name in (VECTORS, CLIPS, QUERIES):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_the_file_has_the_agreed_tensors(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    save_embeddings(make_embeddings(), tmp_path / "toys")
    assert set(load_file(tmp_path / "toys" / VECTORS)) == {"text", "video", "audio"}


def test_a_row_of_the_clips_says_what_a_clip_has(
    make_embeddings: MakeEmbeddings, tmp_path: Path
) -> None:
    save_embeddings(make_embeddings(), tmp_path)
    assert pq.read_table(tmp_path / CLIPS).to_pylist()[3] == {
        "clip_id": "test_0003",
        "group": 3,
        "has_sound": True,
        "present.video": True,
        "present.audio": True,
    }


def test_a_row_of_the_queries_says_which_clip_it_is_of(
    make_embeddings: MakeEmbeddings, tmp_path: Path
) -> None:
    save_embeddings(make_embeddings(captions=2), tmp_path)
    rows = pq.read_table(tmp_path / QUERIES).to_pylist()
    assert rows[3] == {"text": "caption 3 of the toys", "group": 1}


def test_vectors_are_stacked_in_the_order_of_the_modalities(
    make_embeddings: MakeEmbeddings,
) -> None:
    embeddings = make_embeddings(modalities=(Modality.VIDEO, Modality.DEPTH))
    assert torch.equal(embeddings.vectors_nkd[:, 1], embeddings.vectors_nd[Modality.DEPTH])
    assert embeddings.present_nk.shape == (12, 2)


@pytest.mark.parametrize(
    ("name", "what"), [(VECTORS, "safetensors"), (CLIPS, "parquet"), (QUERIES, "parquet")]
)
def test_a_cut_off_file_is_named(
    make_embeddings: MakeEmbeddings, tmp_path: Path, name: str, what: str
) -> None:
    save_embeddings(make_embeddings(), tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=rf"{name} is not a whole {what} file.*again"):
        load_embeddings(tmp_path)


def test_a_file_of_something_else_is_named(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    save_embeddings(make_embeddings(), tmp_path)
    save_file({"weight": torch.zeros(2)}, tmp_path / VECTORS)
    with pytest.raises(ValueError, match=r"lacks 'gram'; its vectors are weight"):
        load_embeddings(tmp_path)


def test_a_missing_tensor_is_named(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    save_embeddings(make_embeddings(), tmp_path)
    tensors = load_file(tmp_path / VECTORS)
    with safe_open(tmp_path / VECTORS, framework="pt") as file:
        metadata = file.metadata()
    del tensors["audio"]
    save_file(tensors, tmp_path / VECTORS, metadata=metadata)
    with pytest.raises(ValueError, match=r"lacks 'audio'"):
        load_embeddings(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": ("one",)}, r"text has shape \(12, 16\), not \(1, 16\)"),
        ({"clip_ids": ()}, "of which none may be 0"),
        ({"modalities": (Modality.AUDIO, Modality.VIDEO)}, "in the usual order"),
        ({"text_group_q": torch.arange(12) + 1}, r"1 texts belong to no clip"),
        ({"text_qd": torch.full((12, 16), torch.nan)}, "text holds values that are not finite"),
    ],
    ids=["queries", "no clips", "order", "rows outside", "not finite"],
)
def test_parts_that_do_not_fit_are_named(
    make_embeddings: MakeEmbeddings, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(make_embeddings(), **change)


def test_a_clip_without_any_modality_is_named(make_embeddings: MakeEmbeddings) -> None:
    embeddings = make_embeddings()
    absent = {name: torch.arange(12) != 7 for name in embeddings.modalities}
    with pytest.raises(ValueError, match=r"clip 'test_0007' \(1 in all\) has no modality"):
        dataclasses.replace(embeddings, present_n=absent)


def test_the_row_of_a_missing_modality_may_hold_anything(make_embeddings: MakeEmbeddings) -> None:
    embeddings = make_embeddings()
    audio_nd = embeddings.vectors_nd[Modality.AUDIO].clone()
    audio_nd[3] = torch.nan
    changed = dataclasses.replace(
        embeddings,
        vectors_nd={**embeddings.vectors_nd, Modality.AUDIO: audio_nd},
        present_n={**embeddings.present_n, Modality.AUDIO: torch.arange(12) != 3},
    )
    assert bool(changed.vectors_nd[Modality.AUDIO][3].isnan().all())
