"""What single frames and pages say of their length, against bytes that were written by hand."""

from pathlib import Path

import pytest

from gram.data.sound_ends import (
    aac_frame_bytes,
    is_cut_frame,
    is_cut_ogg,
    mp3_frame_bytes,
    mp3_length_tag,
    mp3_stated_bytes,
)


@pytest.mark.parametrize(
    ("head", "length"),
    [
        ("fffb9064", 417),  # MPEG-1 layer III, 128 kbit/s, 44.1 kHz
        ("fffb9264", 418),  # the same, padded
        ("fff340c4", 104),  # MPEG-2 layer III, 32 kbit/s, 22.05 kHz
        ("ffe340c4", 208),  # MPEG-2.5 layer III, 32 kbit/s, 11.025 kHz
        ("fffd9064", 522),  # MPEG-1 layer II, 160 kbit/s, 44.1 kHz
        ("ffff9064", 312),  # MPEG-1 layer I, 288 kbit/s, 44.1 kHz
        ("fffb0064", None),  # free bit rate
        ("fffbf064", None),  # no bit rate
        ("fffb9c64", None),  # no sample rate
        ("ffeb9064", None),  # no version
        ("00000000", None),
        ("fffb90", None),
    ],
)
def test_the_header_of_an_mp3_frame_states_its_length(head: str, length: int | None) -> None:
    assert mp3_frame_bytes(bytes.fromhex(head)) == length


@pytest.mark.parametrize(("head", "length"), [("fff15040177ffc", 187), ("fffb90640000", None)])
def test_the_header_of_an_aac_frame_states_its_length(head: str, length: int | None) -> None:
    assert aac_frame_bytes(bytes.fromhex(head)) == length


@pytest.mark.parametrize(
    ("container", "head", "length"), [("mp3", "fffb9064", 417), ("aac", "fff15040177ffc", 187)]
)
def test_a_frame_is_cut_if_a_byte_is_missing(container: str, head: str, length: int) -> None:
    frame = bytes.fromhex(head).ljust(length, b"x")
    assert not is_cut_frame(frame, container)
    assert is_cut_frame(frame[:-1], container)
    assert is_cut_frame(frame[:2], container)


@pytest.mark.parametrize("rest", [b"", b"TAG", b"junk that is no frame"])
def test_what_is_no_frame_tells_nothing(rest: bytes) -> None:
    assert not is_cut_frame(rest, "mp3")


@pytest.mark.parametrize(
    ("tag", "stated"),
    [
        (b"Xing" + bytes([0, 0, 0, 3]) + bytes([0, 0, 0, 9]) + bytes([0, 1, 0, 0]), 65536),
        (b"Info" + bytes([0, 0, 0, 2]) + bytes([0, 0, 2, 0]), 512),
        (b"Info" + bytes([0, 0, 0, 1]) + bytes([0, 0, 2, 0]), None),
        (b"VBRI" + bytes(6) + bytes([0, 0, 3, 0]), 768),
    ],
)
def test_the_length_tag_of_an_mp3_states_its_size(tag: bytes, stated: int | None) -> None:
    assert mp3_stated_bytes(tag.ljust(100, b"\0")) == stated


def test_the_length_tag_stands_behind_the_tag_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(
        b"ID3\4\0\0" + bytes([0, 0, 1, 0]) + b"Xing of a title".ljust(128) + b"\xff\xfbInfo7"
    )
    assert mp3_length_tag(path) == b"Info7"


PAGE = b"OggS" + bytes(22) + bytes([2, 255, 45]) + b"y" * 300


@pytest.mark.parametrize(
    ("content", "is_cut"),
    [
        (PAGE, False),
        (PAGE + PAGE, False),
        (PAGE + b"junk", False),
        (PAGE[:-1], True),
        (PAGE + PAGE[:28], True),
        (PAGE + PAGE[:6], True),
        (b"no page", False),
    ],
)
def test_a_page_of_ogg_is_cut_if_a_byte_is_missing(
    content: bytes, is_cut: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.ogg"
    path.write_bytes(content)
    assert is_cut_ogg(path) is is_cut
