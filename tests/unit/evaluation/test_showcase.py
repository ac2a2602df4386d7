import base64
import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import torch

from gram.config import ReportConfig
from gram.evaluation.embeddings import BenchmarkEmbeddings
from gram.evaluation.fitted import plain_score
from gram.evaluation.retrieval import rank_retrieval
from gram.evaluation.showcase import ShownQuery, pair_volumes, show_queries, spaced
from gram.volume import gram_volume

MakeEmbeddings = Callable[..., BenchmarkEmbeddings]
PackClips = Callable[..., Path]

CAPTIONS = [f"caption of clip {clip}" for clip in range(12)]


def _show(embeddings: BenchmarkEmbeddings, index: Path, **settings: int) -> tuple[ShownQuery, ...]:
    return show_queries(embeddings, score="volume", settings=ReportConfig(**settings), index=index)


def _gray(picture: str | None) -> int:
    assert picture is not None
    jpeg = base64.b64decode(picture.removeprefix("data:image/jpeg;base64,"))
    return round(float(simplejpeg.decode_jpeg(jpeg, colorspace="GRAY").mean()))


@pytest.fixture
def index(pack_clips: PackClips, tmp_path: Path) -> Path:
    return pack_clips(tmp_path / "shards", captions=CAPTIONS)


def test_queries_are_evenly_spaced(make_embeddings: MakeEmbeddings, index: Path) -> None:
    shown = _show(make_embeddings(), index, queries=3)
    assert [query.text for query in shown] == [f"caption {i} of the toys" for i in (0, 6, 11)]


def test_all_are_taken_where_there_are_fewer() -> None:
    assert spaced(12, total=3).tolist() == [0, 1, 2]


def test_no_queries_are_shown_if_none_are_wanted(
    make_embeddings: MakeEmbeddings, index: Path
) -> None:
    assert _show(make_embeddings(), index, queries=0) == ()


def test_the_nearest_clips_are_shown_in_order(make_embeddings: MakeEmbeddings, index: Path) -> None:
    (query, *_) = _show(make_embeddings(noise=1.5), index, retrieved=4)
    nearest = query.clips[:4]
    assert [clip.place for clip in nearest] == [1, 2, 3, 4]
    assert [clip.score for clip in nearest] == sorted(clip.score for clip in nearest)


def test_the_right_clip_is_always_shown_and_marked(
    make_embeddings: MakeEmbeddings, index: Path
) -> None:
    shown = _show(make_embeddings(noise=3.0), index, retrieved=2)
    assert any(len(query.clips) == 3 for query in shown)
    for number, query in enumerate(shown):
        assert [clip.clip_id for clip in query.clips if clip.is_right] == [f"test_{number:04d}"]


def test_the_rank_is_that_of_the_scores(make_embeddings: MakeEmbeddings, index: Path) -> None:
    embeddings = make_embeddings(noise=2.0)
    places = rank_retrieval(plain_score("volume"), embeddings.ranked).text_to_item.places
    ranks = [query.rank for query in _show(embeddings, index)]
    assert ranks == [str(place) for place in places.best_q.tolist()]


def test_a_tie_is_told(make_embeddings: MakeEmbeddings, index: Path) -> None:
    embeddings = make_embeddings(noise=0.1)
    for vectors_nd in embeddings.vectors_nd.values():
        vectors_nd[1] = vectors_nd[0]
    query = _show(embeddings, index)[0]
    assert (query.rank, query.is_first) == ("1 to 2", False)


def test_the_picture_is_the_middle_frame_of_its_clip(
    make_embeddings: MakeEmbeddings, index: Path
) -> None:
    shown = _show(make_embeddings(), index)
    grays = {clip.clip_id: _gray(clip.picture) for query in shown for clip in query.clips}
    assert len(grays) == 12
    for clip_id, gray in grays.items():
        assert gray == pytest.approx(10 * int(clip_id[-4:]), abs=2)


def test_the_caption_is_that_of_the_clip(make_embeddings: MakeEmbeddings, index: Path) -> None:
    for clip in _show(make_embeddings(), index)[0].clips:
        assert clip.caption == CAPTIONS[int(clip.clip_id[-4:])]


def test_a_clip_without_frames_has_no_picture(
    make_embeddings: MakeEmbeddings, pack_clips: PackClips, tmp_path: Path
) -> None:
    index = pack_clips(tmp_path, captions=CAPTIONS[:11])  # the row of number 11 is a broken clip
    clips = _show(make_embeddings(), index)[11].clips
    assert [clip.picture for clip in clips if clip.is_right] == [None]


def test_a_damaged_shard_is_named(make_embeddings: MakeEmbeddings, index: Path) -> None:
    shard = index.parent / "0000.tar"
    shard.write_bytes(shard.read_bytes().replace(b"\xff\xd9", b"\xff\xd8"))
    with pytest.raises(ValueError, match=r"0000.tar is damaged .*; run `gram shards verify"):
        _show(make_embeddings(), index)


def test_an_absent_shard_is_named(make_embeddings: MakeEmbeddings, index: Path) -> None:
    (index.parent / "0000.tar").unlink()
    with pytest.raises(ValueError, match=r"the shard .*0000.tar is not there; run `gram shards"):
        _show(make_embeddings(), index)


def test_a_cut_shard_is_named(make_embeddings: MakeEmbeddings, index: Path) -> None:
    shard = index.parent / "0000.tar"
    shard.write_bytes(shard.read_bytes()[:700])
    with pytest.raises(ValueError, match=r"clip 'test_0000': the shard .* is cut: its jpgs end"):
        _show(make_embeddings(), index)


def test_a_clip_that_the_index_lacks_is_named(make_embeddings: MakeEmbeddings, index: Path) -> None:
    embeddings = make_embeddings()
    renamed = dataclasses.replace(embeddings, clip_ids=("other", *embeddings.clip_ids[1:]))
    with pytest.raises(ValueError, match=r"lacks 1 of the embedded clips, 'other' first"):
        _show(renamed, index)


def test_volumes_of_pairs_are_those_of_their_vectors(make_embeddings: MakeEmbeddings) -> None:
    embeddings = make_embeddings(captions=2)
    matched, unmatched = pair_volumes(embeddings)
    items_qkd = embeddings.vectors_nkd[embeddings.text_group_q]
    tuples_qkd = torch.cat([embeddings.text_qd.unsqueeze(1), items_qkd], dim=1)
    np.testing.assert_allclose(matched, gram_volume(tuples_qkd).numpy(), atol=1e-5)
    assert unmatched.shape == (24 * 11,)
