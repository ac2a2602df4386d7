"""A zoo of media files: healthy ones of every kind that people have, and broken ones.

What comes out of a healthy file is tested in ``test_extract``; ``test_bad_inputs`` lists, kind by
kind, what becomes of each.
"""

import os
import struct
from pathlib import Path

import numpy as np

from tests.unit.data.made_media import H264, make_gray, make_media, run_ffmpeg

NAMES = {
    "percent": "a%03d",
    "dash": "-dash",
    "option": "-y",
    "spaces": " two  words ",
    "unicode": "épée 剣 🤺",
    "colon": "http:x",
    "quote": 'it\'s "so" [0:v];$(x)',
    "dots": "GOD8Bt5LfDE_100.000_110.000",
    "line break": "two\nlines",
    "long": "x" * 200,
}
"""Clips whose names mean something to a shell, to ffmpeg or to a format string."""

VP8 = ("-c:v", "libvpx", "-deadline", "realtime")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8")
OPTIONAL = (
    ("av1.mkv", "libaom-av1", ("-cpu-used", "8")),
    ("hevc.mp4", "libx265", ("-x265-params", "log-level=none")),
)
"""Files whose encoder is not in every ffmpeg: name, encoder and its options."""

SMALL = "testsrc2=s=32x32:r=10:d=1"


def make_zoo(folder: Path) -> list[str]:
    """Make all files and give the ids of the clips, among them some that have no file."""
    make_codecs(folder)
    make_pictures(folder)
    make_sounds(folder)
    for name in NAMES.values():
        make_media(folder / f"{name}.mp4", picture=SMALL, sound=None)
    make_edited(folder)
    make_damaged(folder)
    make_no_videos(folder)
    make_misleading(folder)
    found = {path.name: path.stem for path in folder.iterdir() if not path.name.startswith(".")}
    return [*sorted(found.values()), "video1"]


def make_codecs(folder: Path) -> None:
    """Make files of many containers and codecs, some under the name of another one."""
    make_media(folder / "plain.mp4")
    make_media(folder / "upper.MP4", sound=None)
    make_media(folder / "no_suffix", "-f", "mp4")
    make_media(folder / "mp4_named.avi", "-f", "mp4")
    make_media(folder / "hidden_ts.mp4", "-f", "mpegts")
    make_media(folder / "webm.webm", codec=VP8, sound=None)
    make_media(folder / "vp9.webm", codec=VP9, sound=None)
    make_media(folder / "vp9_in.mp4", codec=VP9, sound=None)
    make_media(folder / "flash.flv", codec=("-c:v", "flv"))
    make_media(folder / "avi.avi", codec=("-c:v", "mpeg4"))
    encoders = run_ffmpeg("-encoders").decode()
    for name, encoder, options in OPTIONAL:
        if f" {encoder} " in encoders:
            make_media(folder / name, codec=("-c:v", encoder, *options), sound=None)
    make_media(folder / "ten_bits.mkv", "-pix_fmt", "yuv420p10le", codec=H264[:4], sound=None)
    make_media(folder / "animation.gif", codec=(), sound=None)
    make_media(folder / "open_gop.mp4", "-g", "5", "-x264-params", "open-gop=1:bframes=2")
    interlaced = ("-c:v", "mpeg2video", "-flags", "+ilme+ildct")
    make_media(folder / "interlaced.mpg", "-r", "25", codec=interlaced)
    make_gray(folder / "gray_ts.mp4", list(range(20, 220, 5)), "-f", "mpegts")
    sources = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=10:d=2", "-c:v", "mpeg4")
    (folder / "live.mkv").write_bytes(run_ffmpeg(*sources, "-f", "matroska", "-"))
    make_with_cover(folder / "covered.mp4")


def make_pictures(folder: Path) -> None:
    """Make files whose pictures have odd shapes, rates or contents."""
    make_media(folder / "odd.mkv", picture="testsrc2=s=97x65:r=10:d=2", codec=("-c:v", "ffv1"))
    make_media(folder / "wide_pixels.mp4", "-vf", "setsar=2", sound=None)
    make_media(folder / "large.mp4", picture="testsrc2=s=320x120:r=10:d=2", sound=None)
    make_media(folder / "uhd.mp4", picture="testsrc2=s=3840x2160:r=2:d=4", sound=None)
    make_media(folder / "black.mp4", picture="color=black:s=96x64:r=10:d=2")
    make_media(folder / "uneven.mp4", "-vf", "select='lt(mod(n,7),3)'", "-fps_mode", "vfr")
    make_media(folder / "slides.mp4", "-vf", "select='lt(t,.5)+gt(t,1.7)'", "-fps_mode", "vfr")
    for name, count in (("one_frame", 1), ("two_frames", 2), ("three_frames", 3)):
        make_media(folder / f"{name}.mp4", "-frames:v", str(count), sound=None)
    turned = make_media(folder / "turned.mp4", sound=None)
    turned.write_bytes(turn(turned.read_bytes()))
    make_changing(folder / "changing.webm")


def make_sounds(folder: Path) -> None:
    """Make files whose sound is odd, or is not there."""
    make_media(folder / "mute.mp4", sound=None)
    make_media(folder / "silent.mp4", sound="anullsrc=d=2")
    make_media(folder / "surround.mp4", "-ac", "6", "-ar", "48000")
    make_media(folder / "low_rate.mkv", "-ar", "8000", "-c:a", "pcm_s16le")
    make_media(folder / "long_sound.mkv", sound="sine=440:d=4")
    make_media(folder / "short_sound.mp4", sound="sine=440:d=0.15")
    make_media(folder / "late_sound.mp4", "-af", "asetpts=PTS+0.5/TB")
    make_media(folder / "late_clock.mkv", "-output_ts_offset", "5")
    make_media(folder / "late_picture.mkv", "-vf", "setpts=PTS+0.5/TB", "-fps_mode", "passthrough")


def make_with_cover(path: Path) -> None:
    """Make a film that begins with a cover picture."""
    cover = make_media(
        path.parent / ".cover.jpg", "-frames:v", "1", "-update", "1", codec=(), sound=None
    )
    film = make_media(path.parent / ".film.mp4")
    options = ("-map", "0:v", "-map", "1", "-c", "copy", "-disposition:v:0", "attached_pic")
    run_ffmpeg("-i", cover, "-i", film, *options, path)


def turn(mp4: bytes) -> bytes:
    """Write a quarter turn into the track header's matrix."""
    place = mp4.index(b"tkhd") + 44
    one, unit = 1 << 16, 1 << 30
    assert mp4[place : place + 36] == struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, unit)
    matrix = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, unit)
    return mp4[:place] + matrix + mp4[place + 36 :]


def make_changing(path: Path) -> None:
    """Make a video whose second half has another size."""
    parts = path.parent / ".parts"
    for name, size in (("a", "96x64"), ("b", "64x96")):
        make_media(
            parts / f"{name}.webm", picture=f"testsrc2=s={size}:r=10:d=1", codec=VP8, sound=None
        )
    (parts / "list").write_text("file a.webm\nfile b.webm\n")
    run_ffmpeg("-f", "concat", "-i", parts / "list", "-c", "copy", path)


def make_edited(folder: Path) -> None:
    """Cut the beginning off a film of one group of pictures without encoding it anew.

    Such a file holds all frames, and a list that says from where on they are shown.
    """
    whole = make_gray(folder / ".levels.mp4", list(range(20, 220, 5)), "-g", "100")
    run_ffmpeg("-ss", "1.05", "-i", whole, "-c", "copy", folder / "edited.mp4")


def make_damaged(folder: Path) -> None:
    """Make files that are cut, overwritten, or no media at all."""
    whole = make_media(folder / ".whole.mp4", "-movflags", "+faststart").read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    (folder / "half_index.mp4").write_bytes(whole[:200])
    late_index = (folder / "plain.mp4").read_bytes()
    (folder / "no_index.mp4").write_bytes(late_index[: len(late_index) // 2])
    (folder / "overwritten.mp4").write_bytes(punch(whole))
    (folder / "hole.mp4").write_bytes(punch(whole, zeros=True))
    (folder / "flipped.mp4").write_bytes(flip(whole, 40))
    pieces = ("-g", "5", "-movflags", "+frag_keyframe+empty_moov+default_base_moof")
    fragments = make_media(folder / "fragments.mp4", *pieces).read_bytes()
    (folder / "cut_fragments.mp4").write_bytes(fragments[: len(fragments) * 6 // 10])
    film = make_media(folder / ".whole.mkv", codec=("-c:v", "mpeg4")).read_bytes()
    (folder / "cut_film.mkv").write_bytes(film[: len(film) // 2])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "zeros.mp4").write_bytes(bytes(5000))
    (folder / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "page.mp4").write_text("<!DOCTYPE html><html><body>not found</body></html>")
    (folder / "text.mp4").write_text("not a video\n")
    (folder / "dangling.mp4").symlink_to(folder / "nowhere.mp4")
    (folder / "folder.mp4").mkdir()
    os.mkfifo(folder / "pipe.mp4")
    make_media(folder / "video10.mp4", picture=SMALL, sound=None)


def punch(mp4: bytes, *, zeros: bool = False) -> bytes:
    """Overwrite a third of the frames' bytes."""
    start = mp4.index(b"mdat") + 4
    size = (len(mp4) - start) // 3
    hole = bytes(size) if zeros else np.random.default_rng(0).bytes(size)
    return mp4[: start + size] + hole + mp4[start + 2 * size :]


def flip(mp4: bytes, count: int) -> bytes:
    """Change some bytes of the frames and of the sound."""
    content, start = bytearray(mp4), mp4.index(b"mdat") + 4
    for place in np.random.default_rng(0).integers(start, len(mp4), count):
        content[place] ^= 0xFF
    return bytes(content)


def make_no_videos(folder: Path) -> None:
    """Make files without a picture that moves."""
    one = ("-frames:v", "1", "-f", "image2", "-c:v", "mjpeg")
    picture = make_media(folder / "picture.mp4", *one, codec=(), sound=None)
    make_media(folder / "sound_only.mp4", picture=None)
    make_media(folder / "song_named.mp4", "-f", "adts", "-c:a", "aac", picture=None)
    song = ("-f", "lavfi", "-i", "sine=d=1", "-f", "mjpeg", "-i", picture, "-map", "0", "-map", "1")
    run_ffmpeg(
        *song, "-c:v", "copy", "-f", "mp3", "-disposition:v", "attached_pic", folder / "song.mp4"
    )


def make_misleading(folder: Path) -> None:
    """Make files that lead to other files, or announce what they do not hold."""
    make_media(folder / ".secret.ts", "-f", "mpegts")
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n"
    (folder / "playlist.mp4").write_text(head + ".secret.ts\n#EXT-X-ENDLIST\n")
    (folder / "script.mp4").write_text("ffconcat version 1.0\nfile plain.mp4\n")
    film = make_media(folder / ".film.avi", codec=("-c:v", "mpeg4"), sound=None)
    (folder / "boaster.avi").write_bytes(boast(film.read_bytes(), frames=20, announced=200))
    gray = "color=gray:s=8400x8400:r=2:d=0.5,format=gray"
    make_media(folder / "huge.mkv", picture=gray, sound=None, codec=("-c:v", "ffv1"))
    needle = ("-vf", "setsar=2000:max=2000")
    make_media(folder / "needle.mkv", *needle, sound=None, codec=("-c:v", "ffv1"))


def boast(avi: bytes, *, frames: int, announced: int) -> bytes:
    """Write another number of frames into the two headers of an AVI that state it."""
    for place in (avi.index(b"avih") + 8 + 16, avi.index(b"strh") + 8 + 32):
        assert avi[place : place + 4] == struct.pack("<I", frames)
        avi = avi[:place] + struct.pack("<I", announced) + avi[place + 4 :]
    return avi
