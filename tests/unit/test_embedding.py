"""Texts and media files to vectors in one call: the workflow's vectors, and what is missing."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from gram.data.clip_dataset import ClipDataset
from gram.data.clip_index import read_index
from gram.data.loader import evaluation_batches
from gram.data.vocabulary import WordPieces
from gram.model import GramModel
from gram.types import ITEM_MODALITIES, Modality

MakeModel = Callable[..., GramModel]


@pytest.fixture(scope="module")
def media(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with two films as the generator made them, subtitle and depth beside one."""
    folder = tmp_path_factory.mktemp("own")
    films = sorted((shards.parent / "media").glob("*.mp4"))[:2]
    for name, film in zip(("whole", "bare"), films, strict=True):
        shutil.copy(film, folder / f"{name}.mp4")
    shutil.copy(films[0].with_suffix(".depth.npy"), folder / "whole.depth.npy")
    cue = "WEBVTT\n\n00:00.000 --> 00:01.000\n<i>word1</i> word2\n"
    (folder / "whole.vtt").write_text(cue, encoding="utf-8")
    return folder


def test_one_call_embeds_texts_and_all_that_stands_beside_a_film(
    media: Path, make_model: MakeModel
) -> None:
    files = [media / "whole.mp4", media / "bare.mp4"]
    embedded = make_model().embed(text=["word1 word2", "word3"], media=files)
    whole, bare = embedded.files
    assert whole.present == ITEM_MODALITIES
    assert bare.present == (Modality.VIDEO, Modality.AUDIO)
    assert embedded.present_mk.tolist() == [[True] * 4, [True, True, False, False]]
    assert embedded.volume().shape == embedded.residual().shape == (2, 2)
    lengths = embedded.vectors_mkd.norm(dim=-1)[embedded.present_mk]
    torch.testing.assert_close(lengths, torch.ones(len(lengths)))
    assert embedded.cosine(Modality.SUBTITLE).isnan().tolist() == [[False, True]] * 2


def test_a_film_gets_the_vectors_that_the_workflow_gives_it(
    shards: Path, make_model: MakeModel
) -> None:
    """The workflow keeps small frames of these clips, so their sound is compared."""
    model = make_model((Modality.AUDIO,))
    rows = read_index(shards / "index.parquet")
    dataset = ClipDataset(
        rows,
        folder=shards,
        inputs=model.inputs_config,
        num_frames=2,
        modalities=model.modalities,
        pieces=WordPieces(model.pieces),
        is_training=False,
        seed=0,
    )
    with torch.inference_mode():
        (batch,) = evaluation_batches(dataset, batch_size=len(dataset))
        expected_nd = model.encode(batch).embeddings.vectors[Modality.AUDIO]
    files = [shards.parent / "media" / f"{name}.mp4" for name in rows["clip_id"].to_pylist()]
    embedded = model.embed(media=files, batch_size=5)
    torch.testing.assert_close(embedded.vectors_mkd[:, 0], expected_nd, rtol=1e-5, atol=1e-6)


def test_what_cannot_be_used_costs_itself_and_says_why(
    media: Path, tmp_path: Path, make_model: MakeModel
) -> None:
    (tmp_path / "text.mp4").write_text("no film", encoding="utf-8")
    files = [tmp_path / "absent.mp4", media / "bare.mp4", tmp_path / "text.mp4", tmp_path]
    embedded = make_model().embed(text=["word1"], media=files)
    assert [file.path for file in embedded.used] == [media / "bare.mp4"]
    absent, _, text, folder = (file.reason for file in embedded.files)
    assert absent == f"{tmp_path / 'absent.mp4'} is not there; give a media file"
    assert str(text).startswith("text.mp4 ")
    assert folder == f"{tmp_path} is a folder; give a media file"
    assert embedded.volume().shape == (1, 1)


def test_a_film_without_what_the_model_knows_says_so(media: Path, make_model: MakeModel) -> None:
    embedded = make_model((Modality.SUBTITLE,)).embed(text=["word1"], media=[media / "bare.mp4"])
    assert embedded.files[0].reason == (
        "has nothing that the model knows: it has video, audio, the model knows subtitle"
    )
    assert embedded.volume().shape == (1, 0)


def test_nothing_gives_nothing(make_model: MakeModel) -> None:
    embedded = make_model().embed()
    assert (embedded.text_nd.shape, embedded.vectors_mkd.shape) == ((0, 8), (0, 4, 8))


def test_the_order_and_the_number_of_files_change_no_vector(
    media: Path, make_model: MakeModel
) -> None:
    files = [media / "whole.mp4", media / "bare.mp4"]
    model = make_model()
    both = model.embed(media=files).vectors_mkd
    turned = model.embed(media=files[::-1], batch_size=1, workers=2).vectors_mkd.flip(0)
    np.testing.assert_allclose(both[1, :2], turned[1, :2], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(both[0], turned[0], rtol=1e-4, atol=1e-6)


def test_an_unknown_modality_is_named(make_model: MakeModel) -> None:
    embedded = make_model((Modality.VIDEO,)).embed(text=["word1"])
    with pytest.raises(ValueError, match="does not know the modality depth; it knows video"):
        embedded.cosine(Modality.DEPTH)
