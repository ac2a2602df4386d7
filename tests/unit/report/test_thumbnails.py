"""Small pictures of clips, and what is said when a clip cannot be read."""

import base64
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from gram.report.thumbnails import Clip, read_clips, shrink

PackClips = Callable[..., Path]
CAPTIONS = [f"caption of clip {clip}" for clip in range(12)]
IDS = [f"test_{clip:04d}" for clip in range(12)]


@pytest.fixture
def index(pack_clips: PackClips, tmp_path: Path) -> Path:
    return pack_clips(tmp_path / "shards", captions=CAPTIONS)


def gray_of(clip: Clip) -> int:
    assert clip.jpeg is not None
    return round(
        float(simplejpeg.decode_jpeg(base64.b64decode(clip.jpeg), colorspace="GRAY").mean())
    )


def test_the_picture_is_the_middle_frame_of_its_clip(index: Path) -> None:
    clips = read_clips(index, IDS, pixels=96)
    assert sorted(clips) == IDS
    for number, clip_id in enumerate(IDS):
        assert gray_of(clips[clip_id]) == pytest.approx(10 * number, abs=2)


def test_the_caption_is_the_first_of_the_clip(index: Path) -> None:
    assert read_clips(index, ["test_0003"], pixels=96)["test_0003"].caption == CAPTIONS[3]


def test_a_clip_without_frames_has_no_picture(pack_clips: PackClips, tmp_path: Path) -> None:
    index = pack_clips(tmp_path, captions=CAPTIONS[:11])  # the row of number 11 is a broken clip
    assert read_clips(index, IDS, pixels=96)["test_0011"].jpeg is None


@pytest.mark.parametrize(
    ("height", "width", "pixels"), [(240, 426, 96), (256, 256, 100), (1080, 1920, 96)]
)
def test_a_picture_keeps_so_many_pixels_and_loses_most(
    height: int, width: int, pixels: int
) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)
    small = shrink(simplejpeg.encode_jpeg(picture, 90, "RGB", "420"), pixels=pixels)
    found = simplejpeg.decode_jpeg_header(small)[:2]
    assert pixels <= min(found) <= 2 * pixels
    assert found[0] / found[1] == pytest.approx(height / width, rel=0.02)


def test_a_small_picture_is_left_as_it_is() -> None:
    jpeg = simplejpeg.encode_jpeg(np.zeros((32, 48, 3), np.uint8), 90, "RGB", "420")
    assert shrink(jpeg, pixels=32) == jpeg


def test_a_damaged_shard_is_named(index: Path) -> None:
    shard = index.parent / "0000.tar"
    shard.write_bytes(shard.read_bytes().replace(b"\xff\xd9", b"\xff\xd8"))
    with pytest.raises(ValueError, match=r"0000.tar is damaged .*; run `gram shards verify"):
        read_clips(index, IDS, pixels=96)


def test_an_absent_shard_is_named(index: Path) -> None:
    (index.parent / "0000.tar").unlink()
    with pytest.raises(ValueError, match=r"the shard .*0000.tar is not there; run `gram shards"):
        read_clips(index, IDS, pixels=96)


def test_a_cut_shard_is_named(index: Path) -> None:
    shard = index.parent / "0000.tar"
    shard.write_bytes(shard.read_bytes()[:700])
    with pytest.raises(ValueError, match=r"clip 'test_0000': the shard .* is cut: its jpgs end"):
        read_clips(index, IDS, pixels=96)


def test_a_clip_that_the_index_lacks_is_named(index: Path) -> None:
    with pytest.raises(ValueError, match=r"lacks 1 of the embedded clips, 'other' first"):
        read_clips(index, ["other", "test_0001"], pixels=96)
