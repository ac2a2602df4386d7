"""Every kind of odd or broken input: what becomes of it, in which stage, and what is told.

Each kind lists the files of the zoo that stand for it; ``ELSEWHERE`` names the tests of kinds that
are no files.
"""

import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import simplejpeg

from gram.config import ExtractionConfig
from gram.data.status import DecidingStage, Status
from tests.unit.data import test_clip_reader, test_decode, test_probe
from tests.unit.data.made_media import SETTINGS, Chunk, make_media, run_stages
from tests.unit.data.made_zoo import NAMES, OPTIONAL, flip, punch

SHARED = Path(__file__).parents[4] / "shared"
REAL = Path(os.environ.get("GRAM_REAL_CLIPS") or SHARED / "real-clips")
FACTS = SHARED / "facts" / "media.md"


class Aside(NamedTuple):
    """What becomes of a file that cannot be used: status, stage, words of the reason."""

    status: Status
    stage: DecidingStage
    words: str


OK = None
PROBE, EXTRACT = DecidingStage.PROBE, DecidingStage.EXTRACT


def unreadable(words: str, stage: DecidingStage = PROBE) -> Aside:
    return Aside(Status.UNREADABLE, stage, words)


def truncated(words: str, stage: DecidingStage) -> Aside:
    return Aside(Status.TRUNCATED, stage, words)


def no_video(words: str) -> Aside:
    return Aside(Status.NO_VIDEO, PROBE, words)


DAMAGED = unreadable("has a damaged picture: ", EXTRACT)

KINDS: dict[str, dict[str, Aside | None]] = {
    "no media at all": {
        "empty": unreadable("is empty (0 bytes)"),
        "zeros": unreadable("cannot be opened as a video: "),
        "noise": unreadable("cannot be opened as a video: "),
        "page": unreadable("cannot be opened as a video: "),
        "text": unreadable("cannot be opened as a video: "),
        "half_index": unreadable("has no track that can be read"),
        "no_index": unreadable("cannot be opened as a video: moov atom not found"),
        "folder": unreadable("is a folder, not a media file"),
        "dangling": unreadable("cannot be opened: No such file or directory"),
        "pipe": unreadable("is not a regular file"),
    },
    "cut": {
        "cut": truncated("lacks its end: ", PROBE),
        "cut_fragments": truncated("lacks its end: ", PROBE),
        "fragments": OK,
        "cut_film": truncated("has frames in 3 of 8 time bins, the last at ", EXTRACT),
    },
    "damaged": {"flipped": DAMAGED, "hole": DAMAGED, "overwritten": DAMAGED},
    "edit list": {"edited": OK},
    "uneven rate": {"uneven": OK, "slides": OK},
    "transport stream, interlaced": {"hidden_ts": OK, "gray_ts": OK, "interlaced": OK},
    "turned": {"turned": OK},
    "pixels that are not square": {
        "wide_pixels": OK,
        "needle": unreadable("has a picture of 144000 x 48 pixels once its pixels ", EXTRACT),
    },
    "content against suffix": {
        **dict.fromkeys(("plain", "upper", "avi", "webm", "vp9", "flash", "ten_bits"), OK),
        **dict.fromkeys(("vp9_in", "no_suffix", "mp4_named", "open_gop", "hevc"), OK),
        **dict.fromkeys(("changing", "covered"), OK),
    },
    "av1": {"av1": OK},
    "gif": {"animation": OK},
    "no length announced": {
        "live": OK,
        "boaster": truncated("in 1 of 8 time bins, the last at 1.90 of 20.00 s", EXTRACT),
    },
    "odd size": {"odd": OK},
    "large picture": {
        "large": OK,
        "uhd": OK,
        "huge": unreadable("has pictures of 8400 x 8400 pixels, where 67108864 are the most"),
    },
    "few frames": {
        "one_frame": Aside(Status.TOO_SHORT, EXTRACT, "1 of at least 2 frames"),
        "two_frames": OK,
        "three_frames": OK,
    },
    "still picture": {
        "picture": no_video("is a still picture"),
        "song": OK,
    },
    "playlist": {"playlist": unreadable("cannot be opened")},
    "script": {"script": unreadable("is of the format concat, which is not read; convert it")},
    "no sound": {"mute": OK},
    "no picture": {
        "sound_only": OK,
        "song_named": OK,
    },
    "many channels, low rate": {"surround": OK, "low_rate": OK},
    "silent, black": {"silent": OK, "black": OK},
    "late": {"late_sound": OK, "late_picture": OK, "late_clock": OK, "long_sound": OK},
    "next to no sound": {"short_sound": OK},
    "sound under another suffix": {"mp4_named": OK, "song_named": OK},
    "strange names": {
        **dict.fromkeys(NAMES.values(), OK),
        "video10": OK,
        "video1": Aside(Status.NOT_FOUND, PROBE, "no media file named 'video1' in"),
    },
    "damage in a shard": {},
    "a call that stalls": {},
}

ELSEWHERE = {
    "damage in a shard": (test_clip_reader, "test_a_changed_byte_is_noticed_with_shard_and_clip"),
    "a call that stalls": (test_decode, "test_a_stalled_clip_is_set_aside_at_the_limit"),
    "a reader that stalls": (
        test_probe,
        "test_a_file_on_which_the_reader_stalls_is_given_up_at_the_limit",
    ),
}

CASES = [
    pytest.param(name, expected, id=f"{kind}: {name!r}")
    for kind, files in KINDS.items()
    for name, expected in files.items()
]


@pytest.mark.parametrize(("name", "expected"), CASES)
def test_a_file_becomes_what_its_kind_says(zoo: Chunk, name: str, expected: Aside | None) -> None:
    if name not in zoo.rows:
        assert name in [Path(file).stem for file, _, _ in OPTIONAL]
        pytest.skip("this ffmpeg has no encoder for it")
    row = zoo.rows[name]
    found = (row["status"], row["stage"])
    if expected is None:
        assert (*found, row["reason"]) == (Status.OK, None, None)
    else:
        assert found == (expected.status, expected.stage)
        assert expected.words in row["reason"]


def test_every_file_of_the_zoo_is_of_a_kind(zoo: Chunk) -> None:
    assert set(zoo.rows) <= {name for files in KINDS.values() for name in files}


@pytest.mark.parametrize("kind", KINDS | ELSEWHERE)
def test_every_kind_is_tested_here_or_elsewhere(kind: str) -> None:
    assert KINDS.get(kind) or callable(getattr(*ELSEWHERE[kind]))


def test_the_kinds_are_those_that_were_measured() -> None:
    if not FACTS.is_file():
        pytest.skip(f"no table of measured inputs at {FACTS}")
    (table,) = re.findall(r"^## Bad input.*?^\|---.*?\n(.*?)^$", FACTS.read_text(), re.M | re.S)
    assert len(table.splitlines()) == len(KINDS)


# --- no wrong frame ----------------------------------------------------------------------------


def levels_of(zoo: Chunk, name: str) -> list[float]:
    return [float(simplejpeg.decode_jpeg(jpeg).mean()) for jpeg in zoo.frames(name)]


@pytest.mark.parametrize(
    ("name", "first_frame"), [("gray_ts", 0), ("edited", 11)], ids=["transport stream", "edit list"]
)
def test_the_frames_are_those_of_their_times(zoo: Chunk, name: str, first_frame: int) -> None:
    times = np.array(zoo.record(name)["times"])
    frames = first_frame + np.floor(times * 10 + 1e-3).astype(int)
    assert len(frames) == 8
    assert levels_of(zoo, name) == pytest.approx((20 + 5 * frames).tolist(), abs=2.5)


def test_frames_in_front_of_an_edit_are_not_counted(zoo: Chunk) -> None:
    assert zoo.rows["edited"]["decoded_frames"] == 29


@pytest.mark.parametrize(
    ("name", "share"), [("black", 1.0), ("plain", 0.0)], ids=["black", "not black"]
)
def test_black_pictures_are_told(zoo: Chunk, name: str, share: float) -> None:
    assert zoo.rows[name]["black_share"] == share


# --- sound in its place ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "loudness", "share"), [("silent", -120.0, 1.0), ("plain", -21.1, 0.0)], ids=str
)
def test_silence_is_told(zoo: Chunk, name: str, loudness: float, share: float) -> None:
    row = zoo.rows[name]
    assert row["loudness_dbfs"] == pytest.approx(loudness, abs=0.5)
    assert row["silent_share"] == share


def test_without_sound_there_is_nothing_to_tell_of_it(zoo: Chunk) -> None:
    row = zoo.rows["mute"]
    told = (row["has_audio"], row["audio_seconds"], row["loudness_dbfs"], row["silent_share"])
    assert told == (False, 0.0, None, None)


def test_a_clock_that_does_not_begin_at_zero_makes_no_clip_longer(zoo: Chunk) -> None:
    assert zoo.rows["late_clock"]["duration_seconds"] == pytest.approx(2.0, abs=0.01)


def test_a_late_picture_is_told_and_has_its_own_length(zoo: Chunk) -> None:
    row = zoo.rows["late_picture"]
    assert row["picture_start_seconds"] == pytest.approx(0.5, abs=0.01)
    assert row["duration_seconds"] == pytest.approx(2.0, abs=0.01)


def test_a_sound_in_front_of_a_late_picture_stays_where_it_is(zoo: Chunk) -> None:
    assert np.flatnonzero(abs(zoo.sound("late_picture")) > 500)[0] / 16000 < 0.05


def test_the_rest_of_a_long_sound_is_kept(zoo: Chunk) -> None:
    assert zoo.rows["long_sound"]["audio_seconds"] == pytest.approx(4.0, abs=0.05)


def test_a_moment_of_sound_is_kept(zoo: Chunk) -> None:
    assert zoo.rows["short_sound"]["audio_seconds"] == pytest.approx(0.15, abs=0.03)


@pytest.mark.parametrize(
    ("name", "rate", "channels"), [("surround", 48000, 6), ("low_rate", 8000, 1)], ids=str
)
def test_rate_and_channels_of_the_source_are_recorded(
    zoo: Chunk, name: str, rate: int, channels: int
) -> None:
    row = zoo.rows[name]
    assert (row["sample_rate_hz"], row["channels"]) == (rate, channels)
    assert row["audio_seconds"] == pytest.approx(2.0, abs=0.05)


# --- no way out ----------------------------------------------------------------------------------


@pytest.fixture
def visits() -> Iterator[tuple[int, list[bytes]]]:
    """Give the port of a server on this machine, and what it is asked for."""
    asked: list[bytes] = []

    def serve() -> None:
        while True:
            try:
                visitor, _ = server.accept()
            except OSError:
                return
            with visitor:
                asked.append(visitor.recv(1024))

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1], asked
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


NETWORK = {
    "playlist": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{url}a.ts\n#EXT-X-ENDLIST\n",
    "script": "ffconcat version 1.0\nfile '{url}a.mp4'\n",
    "manifest": '<?xml version="1.0"?><MPD><BaseURL>{url}</BaseURL></MPD>',
    "session": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
}


def test_no_file_makes_us_ask_another_machine(
    tmp_path: Path, visits: tuple[int, list[bytes]]
) -> None:
    port, asked = visits
    (tmp_path / "media").mkdir()
    for name, text in NETWORK.items():
        content = text.format(url=f"http://127.0.0.1:{port}/")
        (tmp_path / "media" / f"{name}.mp4").write_text(content)
    records = [{"video_id": name} for name in NETWORK]
    chunk = run_stages(tmp_path / "media", records, output=tmp_path / "out")
    assert {row["status"] for row in chunk.rows.values()} == {"unreadable"}
    assert asked == []


# --- damage, kept --------------------------------------------------------------------------------


def extract_whole(tmp_path: Path, content: bytes, settings: ExtractionConfig) -> dict[str, object]:
    (tmp_path / "media" / "a.mp4").write_bytes(content)
    chunk = run_stages(
        tmp_path / "media", [{"video_id": "a"}], output=tmp_path / "out", settings=settings
    )
    return dict(chunk.rows["a"])


@pytest.fixture
def film(tmp_path: Path) -> bytes:
    return make_media(tmp_path / "media" / "a.mp4", "-movflags", "+faststart").read_bytes()


KEEPING = SETTINGS.model_copy(update={"damaged": "keep"})


def test_a_damaged_clip_is_kept_by_setting_and_its_errors_are_counted(
    tmp_path: Path, film: bytes
) -> None:
    row = extract_whole(tmp_path, flip(film, 40), KEEPING)
    assert (row["status"], row["bins_hit"]) == ("ok", 8)
    assert row["decode_errors"] > 0


def test_a_whole_clip_has_no_errors_where_damage_is_kept(tmp_path: Path, film: bytes) -> None:
    row = extract_whole(tmp_path, film, KEEPING)
    assert (row["status"], row["decode_errors"]) == ("ok", 0)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.3, truncated("time bins", EXTRACT)), (0.0, DAMAGED)],
    ids=["a part", "nothing"],
)
def test_a_clip_of_which_too_little_is_left_is_not_kept(
    tmp_path: Path, film: bytes, share: float, expected: Aside
) -> None:
    start = film.index(b"mdat") + 4
    kept = start + round(share * (len(film) - start))
    row = extract_whole(tmp_path, film[:kept] + bytes(len(film) - kept), KEEPING)
    assert (row["status"], row["stage"]) == (expected.status, expected.stage)
    assert expected.words in str(row["reason"])


def test_damage_costs_a_clip_unless_a_setting_says_otherwise(tmp_path: Path, film: bytes) -> None:
    assert extract_whole(tmp_path, punch(film), SETTINGS)["status"] == "unreadable"


# --- files that people filmed or broke -----------------------------------------------------------

FILMED: dict[str, Aside | None] = {
    "corrupted": unreadable("corrupted.mp4 has a damaged picture: ", EXTRACT),
    "truncated": truncated("lacks its end: ", PROBE),
    "decord_unordered": OK,
    "rotated_three_frames": OK,
    "torchcodec_av1": OK,
    "torchcodec_h265": OK,
    "torchcodec_nasa": OK,
    "empty": unreadable("is empty (0 bytes)"),
    "noise": unreadable("cannot be opened as a video: "),
    "text": unreadable("text.mp4 "),
}


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Chunk:
    if not (REAL / "broken").is_dir():
        pytest.skip(f"no real clips in {REAL}; name their folder in GRAM_REAL_CLIPS")
    records = [{"video_id": name} for name in FILMED]
    return run_stages(REAL, records, output=tmp_path_factory.mktemp("filmed"))


@pytest.mark.parametrize(("name", "expected"), FILMED.items(), ids=FILMED)
def test_a_real_file_becomes_what_its_kind_says(
    filmed: Chunk, name: str, expected: Aside | None
) -> None:
    test_a_file_becomes_what_its_kind_says(filmed, name, expected)


def test_a_real_turned_clip_is_upright(filmed: Chunk) -> None:
    row = filmed.rows["rotated_three_frames"]
    height, width = simplejpeg.decode_jpeg_header(filmed.frames("rotated_three_frames")[0])[:2]
    assert (row["width"] > row["height"], width > height) == (True, False)
