import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gram.evaluation.embeddings import BenchmarkEmbeddings, load_embeddings, save_embeddings
from gram.types import Modality

MakeEmbeddings = Callable[..., BenchmarkEmbeddings]


def test_what_is_saved_is_loaded_again(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    saved = make_embeddings(captions=2, trained_on=3)
    save_embeddings(saved, tmp_path / "toys.safetensors")
    loaded = load_embeddings(tmp_path / "toys.safetensors")
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
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_the_file_has_the_agreed_tensors(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    save_embeddings(make_embeddings(), tmp_path / "toys")
    assert set(load_file(tmp_path / "toys")) == {
        "text", "text_clip", "video", "audio", "present.video", "present.audio",
    }  # fmt: skip


def test_vectors_are_stacked_in_the_order_of_the_modalities(
    make_embeddings: MakeEmbeddings,
) -> None:
    embeddings = make_embeddings(modalities=(Modality.VIDEO, Modality.DEPTH))
    assert torch.equal(embeddings.vectors_nkd[:, 1], embeddings.vectors_nd[Modality.DEPTH])
    assert embeddings.present_nk.shape == (12, 2)


def test_a_cut_off_file_is_named(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    path = tmp_path / "toys.safetensors"
    save_embeddings(make_embeddings(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        ValueError, match=r"toys.safetensors is not a whole safetensors file.*again"
    ):
        load_embeddings(path)


def test_a_file_of_something_else_is_named(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"model.safetensors lacks 'gram'; it holds .* weight"):
        load_embeddings(tmp_path / "model.safetensors")


def test_a_missing_tensor_is_named(make_embeddings: MakeEmbeddings, tmp_path: Path) -> None:
    save_embeddings(make_embeddings(), tmp_path / "whole")
    tensors = load_file(tmp_path / "whole")
    with safe_open(tmp_path / "whole", framework="pt") as file:
        metadata = file.metadata()
    del tensors["present.audio"]
    save_file(tensors, tmp_path / "part", metadata=metadata)
    with pytest.raises(ValueError, match=r"lacks 'present.audio'"):
        load_embeddings(tmp_path / "part")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": ("one",)}, r"text has shape \(12, 16\), not \(1, 16\)"),
        ({"clip_ids": ()}, "of which none may be 0"),
        ({"modalities": (Modality.AUDIO, Modality.VIDEO)}, "in the usual order"),
        ({"text_clip_q": torch.arange(12) + 1}, r"text_clip names rows outside 0\.\.11"),
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
