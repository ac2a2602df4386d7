"""Sounds without a picture and pictures without sound: from media files to batches."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import soundfile

from gram.data.probe import Readers
from gram.data.sound_ends import mp3_frame_bytes
from gram.data.status import Medium, Status
from gram.data.tables import Row
from gram.types import Modality
from tests.unit.data.made_datasets import dataset, with_inputs
from tests.unit.data.made_media import Chunk, make_media, run_ffmpeg, run_stages
from tests.unit.data.made_shards import MadeClip, make_index

STILL = ("-frames:v", "1", "-update", "1")
PICTURE = "nullsrc=s=98x66,geq=r='2*X':g='3*Y':b='128+X-Y'"
"""A picture whose red tells the column and whose green the row."""

SOUNDS = {
    "wav": (),
    "flac": (),
    "mp3": (),
    "ogg": (),
    "m4a": ("-c:a", "aac"),
    "aac": ("-c:a", "aac"),
    "aiff": (),
    "opus": ("-c:a", "libopus", "-ar", "48000"),
    "wma": ("-c:a", "wmav2"),
}
PICTURES = ("jpg", "png", "bmp", "tiff", "webp")


def make_sound(path: Path, *options: str, seconds: float = 2.0) -> Path:
    return make_media(path, *options, picture=None, sound=f"sine=440:r=44100:d={seconds}")


def make_picture(path: Path, *options: str) -> Path:
    return make_media(path, *STILL, *options, picture=PICTURE, sound=None, codec=())


@pytest.fixture(scope="module")
def chunk(tmp_path_factory: pytest.TempPathFactory) -> Chunk:
    """Give sounds and pictures of every format, which went through all stages once."""
    folder = tmp_path_factory.mktemp("stills")
    for suffix, options in SOUNDS.items():
        make_sound(folder / "media" / f"{suffix}.{suffix}", *options)
    make_sound(folder / "media" / "headless.mp3", "-write_xing", "0", "-q:a", "2")
    for suffix in PICTURES:
        make_picture(folder / "media" / f"{suffix}.{suffix}")
    make_picture(folder / "media" / "a%03d.jpg")
    make_picture(folder / "media" / "gray.jpg", "-pix_fmt", "gray")
    names = [*SOUNDS, "headless", *PICTURES, "a%03d", "gray"]
    return run_stages(
        folder / "media", [{"video_id": name} for name in names], output=folder / "out"
    )


def told(row: Row) -> tuple[object, ...]:
    return tuple(row[name] for name in ("status", "medium", "has_video", "has_audio", "frames"))


@pytest.mark.parametrize("name", [*SOUNDS, "headless"])
def test_a_sound_is_a_clip_without_frames(chunk: Chunk, name: str) -> None:
    row = chunk.rows[name]
    assert told(row) == ("ok", "sound", False, True, 0)
    assert row["duration_seconds"] == pytest.approx(2.0, abs=0.1)
    assert row["audio_seconds"] == pytest.approx(2.0, abs=0.1)
    assert (row["black_share"], row["video_stream"]) == (None, None)


def test_the_tone_of_a_sound_is_kept(chunk: Chunk) -> None:
    spectrum = np.abs(np.fft.rfft(chunk.sound("wav")[:16000]))
    assert int(spectrum.argmax()) == 440


@pytest.mark.parametrize("name", [*PICTURES, "a%03d", "gray"])
def test_a_picture_is_a_clip_of_one_frame(chunk: Chunk, name: str) -> None:
    row = chunk.rows[name]
    assert told(row) == ("ok", "picture", True, False, 1)
    assert (row["duration_seconds"], row["audio_seconds"]) == (None, 0.0)
    assert (row["width"], row["height"]) == (98, 66)
    (jpeg,) = chunk.frames(name)
    assert simplejpeg.decode_jpeg_header(jpeg)[:2] == (48, 72)


def test_the_frame_of_a_picture_is_the_picture(chunk: Chunk) -> None:
    (jpeg,) = chunk.frames("png")
    shown = simplejpeg.decode_jpeg(jpeg).astype(float)
    source = ("-f", "lavfi", "-i", PICTURE, "-frames:v", "1", "-vf", "scale=72:48")
    raw = run_ffmpeg(*source, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    wanted = np.frombuffer(raw, np.uint8).reshape(48, 72, 3).astype(float)
    assert np.abs(shown - wanted).mean() < 2


def test_a_member_stands_for_each_modality_only(chunk: Chunk) -> None:
    members = {name.split(".")[1] for name in chunk.members if name[:8] == chunk.rows["wav"]["key"]}
    assert members == {"flac", "json"}
    members = {name.split(".")[1] for name in chunk.members if name[:8] == chunk.rows["jpg"]["key"]}
    assert members == {"jpgs", "json"}


# --- what is no sound and no picture --------------------------------------------------------------


def run_one(tmp_path: Path, path: Path, **record: object) -> Row:
    chunk = run_stages(path.parent, [{"video_id": path.stem} | record], output=tmp_path / "stages")
    return dict(chunk.rows[path.stem])


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


CUT: Mapping[str, tuple[Status, str]] = {
    "wav": (Status.UNREADABLE, "has a damaged sound: "),
    "flac": (Status.UNREADABLE, "has a damaged sound: "),
    "mp3": (Status.TRUNCATED, "lacks its end: its first frame announces "),
    "aac": (Status.TRUNCATED, "lacks its end: its last frame is cut off"),
    "jpg": (Status.UNREADABLE, "has a damaged picture: "),
    "bmp": (Status.UNREADABLE, "has a damaged picture: "),
    "png": (Status.UNREADABLE, "has a damaged picture: "),
    "webp": (Status.UNREADABLE, "is a still picture (webp) whose size cannot be read"),
}


@pytest.mark.parametrize("suffix", CUT)
def test_what_was_cut_is_set_aside(tmp_path: Path, suffix: str) -> None:
    make = make_picture if suffix in PICTURES else make_sound
    row = run_one(tmp_path, cut(make(tmp_path / "media" / f"a.{suffix}")))
    status, words = CUT[suffix]
    assert row["status"] == status
    assert words in row["reason"]


@pytest.mark.parametrize("suffix", ["ogg", "opus"])
def test_an_ogg_shows_a_cut_inside_a_page(tmp_path: Path, suffix: str) -> None:
    path = make_sound(tmp_path / "media" / f"a.{suffix}", *SOUNDS[suffix], seconds=8.0)
    row = run_one(tmp_path, cut(path))
    assert (row["status"], row["stage"]) == ("truncated", "probe")
    assert row["reason"] == f"a.{suffix} lacks its end: its last page is cut off"


HEADLESS = ("-write_xing", "0")


@pytest.mark.parametrize(
    "options", [(), ("-q:a", "2"), ("-ar", "22050")], ids=["cbr", "vbr", "mpeg2"]
)
@pytest.mark.parametrize("missing", [1, 30, 60])
def test_an_mp3_that_states_no_length_shows_a_cut_inside_a_frame(
    tmp_path: Path, missing: int, options: tuple[str, ...]
) -> None:
    path = make_sound(tmp_path / "media" / "a.mp3", *HEADLESS, *options)
    path.write_bytes(path.read_bytes()[:-missing])
    row = run_one(tmp_path, path)
    assert (row["status"], row["stage"]) == ("truncated", "probe")
    assert row["reason"] == "a.mp3 lacks its end: its last frame is cut off"


def test_a_part_before_the_cut_of_a_sound_is_whole(tmp_path: Path) -> None:
    path = make_sound(tmp_path / "media" / "a.mp3", *HEADLESS)
    path.write_bytes(path.read_bytes()[:-60])
    row = run_one(tmp_path, path, start=0.25, end=1.0)
    assert (row["status"], row["audio_seconds"]) == ("ok", 0.75)


def test_a_tag_at_the_end_of_an_mp3_is_no_cut(tmp_path: Path) -> None:
    tags = ("-write_id3v1", "1", "-metadata", "title=a")
    path = make_sound(tmp_path / "media" / "a.mp3", *HEADLESS, *tags)
    assert path.read_bytes()[-128:].startswith(b"TAG")
    assert run_one(tmp_path, path)["status"] == "ok"


def test_an_mp3_that_was_cut_between_frames_cannot_be_told(tmp_path: Path) -> None:
    """It is shorter, and nothing else; docs/data.md says so."""
    path = make_sound(tmp_path / "media" / "a.mp3", *HEADLESS, "-b:a", "64k", "-ar", "32000")
    whole = path.read_bytes()
    start = whole.index(b"\xff\xfb")
    length = mp3_frame_bytes(whole[start:])
    assert length == 288
    path.write_bytes(whole[: start + 20 * length])
    row = run_one(tmp_path, path)
    assert (row["status"], row["duration_seconds"]) == ("ok", pytest.approx(20 * 0.036))


def test_a_picture_by_the_name_of_a_film_is_told_of(tmp_path: Path) -> None:
    path = make_picture(tmp_path / "media" / "a.jpg")
    row = run_one(tmp_path, path.rename(path.with_suffix(".mp4")))
    assert (row["status"], row["medium"]) == ("no_video", None)
    assert row["reason"] == (
        "a.mp4 is a still picture (jpeg) by the name of a film; name it .jpeg if it is meant"
    )


def test_a_film_by_the_name_of_a_picture_is_a_film(tmp_path: Path) -> None:
    path = make_media(tmp_path / "media" / "a.mp4", sound=None)
    row = run_one(tmp_path, path.rename(path.with_suffix(".jpg")))
    assert (row["status"], row["medium"], row["frames"]) == ("ok", "film", 8)


def test_a_sound_without_a_sample_is_no_audio(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    path = tmp_path / "media" / "a.wav"
    soundfile.write(path, np.zeros(0, np.int16), 16_000)
    row = run_one(tmp_path, path)
    assert (row["status"], row["stage"]) == ("no_audio", "probe")
    assert row["reason"] == "a.wav has a sound track without a single sample"


def test_a_picture_has_no_parts(tmp_path: Path) -> None:
    row = run_one(tmp_path, make_picture(tmp_path / "media" / "a.jpg"), start=1, end=2)
    assert row["status"] == "too_short"
    assert "is a still picture, which has no parts; leave out where" in row["reason"]


def test_a_sound_has_parts(tmp_path: Path) -> None:
    row = run_one(tmp_path, make_sound(tmp_path / "media" / "a.wav"), start=0.5, end=1.25)
    assert (row["duration_seconds"], row["audio_seconds"]) == (0.75, 0.75)


def test_a_sound_beyond_its_end_is_too_short(tmp_path: Path) -> None:
    row = run_one(tmp_path, make_sound(tmp_path / "media" / "a.wav"), start=5, end=6)
    assert (row["status"], row["stage"]) == ("too_short", "probe")


# --- files of one name ----------------------------------------------------------------------------


BESIDE: Mapping[str, Callable[[Path], Path]] = {
    "film.mp4": lambda path: make_media(path, sound=None),
    "broken.mp4": lambda path: cut(make_media(path, sound=None)),
    "sound.mp3": make_sound,
    "picture.jpg": make_picture,
}


@pytest.mark.parametrize(
    ("files", "status", "medium"),
    [
        (("film.mp4", "sound.mp3"), Status.OK, Medium.FILM),
        (("film.mp4", "picture.jpg"), Status.OK, Medium.FILM),
        (("broken.mp4", "sound.mp3"), Status.UNREADABLE, None),
        (("sound.mp3", "picture.jpg"), Status.DUPLICATE, None),
        (("sound.mp3",), Status.OK, Medium.SOUND),
    ],
    ids=["sound beside", "picture beside", "sound beside a broken one", "no film", "alone"],
)
def test_a_film_counts_before_what_stands_beside_it(
    tmp_path: Path, files: tuple[str, ...], status: Status, medium: Medium | None
) -> None:
    for name in files:
        BESIDE[name](tmp_path / "media" / f"a{Path(name).suffix}")
    row = run_one(tmp_path, tmp_path / "media" / "a.mp4")
    assert (row["status"], row["medium"]) == (status, medium)


def test_a_reader_gives_the_medium_of_each_file(tmp_path: Path) -> None:
    paths = [make(tmp_path / f"a{Path(name).suffix}") for name, make in BESIDE.items()]
    del paths[1]
    with Readers(1) as readers:
        media = [facts.medium for facts in readers.read_all(paths[1:])]
    assert media == [Medium.SOUND, Medium.PICTURE]


# --- in a loader ----------------------------------------------------------------------------------

MIXED = (
    MadeClip(clip_id="film"),
    MadeClip(clip_id="picture", frames=1, sound_seconds=None, depth_maps=None),
    MadeClip(clip_id="sound", frames=0, depth_maps=None),
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_index(tmp_path_factory.mktemp("mixed"), MIXED)


@pytest.mark.parametrize(
    ("modalities", "clips"),
    [
        ([Modality.AUDIO], ["film", "sound"]),
        ([Modality.VIDEO], ["film", "picture"]),
        ([Modality.VIDEO, Modality.AUDIO], ["film"]),
    ],
    ids=["sound", "frames", "both"],
)
def test_a_run_takes_the_clips_that_have_what_it_asks_for(
    index: Path, modalities: list[Modality], clips: list[str]
) -> None:
    data = dataset(index, with_inputs(missing="drop"), modalities=modalities, is_training=False)
    assert [data.sample(row, epoch=0).clip_id for row in range(len(data))] == clips


def test_frames_of_a_picture_are_that_picture(index: Path) -> None:
    data = dataset(index, modalities=[Modality.VIDEO], num_frames=3, is_training=True)
    video_fchw = data.sample(1, epoch=0).video_fchw
    assert video_fchw is not None
    assert len(video_fchw) == 3
    assert video_fchw.float().std(dim=0).max() == 0


def test_a_masked_sound_has_no_frames(index: Path) -> None:
    data = dataset(index, modalities=[Modality.VIDEO, Modality.AUDIO], is_training=False)
    sample = data.sample(2, epoch=0)
    assert sample.video_fchw is None
    assert sample.audio_ctm is not None
