"""Whether a file of sound lacks its end: what formats that state no length show all the same.

MP3 and AAC are frames that each say how long they are, Ogg is pages that do. A file that was cut
inside one shows it; one that was cut between two looks whole, and cannot be told from it. An MP3
may also state its size in its first frame. Standard library only: no file is decoded here.
"""

import os
from pathlib import Path

_KBITS = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""Bit rates by the number in a frame's header, for MPEG-1 or not and each layer, in kbit/s."""

_RATES_HZ = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
"""Sample rates by the number in a frame's header, for MPEG-1, 2 and 2.5."""

LENGTH_TAGS = (b"Xing", b"Info", b"VBRI")
"""What stands in the first frame of an MP3 that states its length."""

_PAGE_BYTES = 27 + 255 + 255 * 255
"""Size of the largest page of an Ogg file."""


def mp3_frame_bytes(head: bytes) -> int | None:
    """Give the length that the header of an MP3 frame states; None if it is none or states none.

    Args:
        head: The first bytes of the frame, of which four are read.

    Example:
        >>> mp3_frame_bytes(bytes.fromhex("fffb52c4"))
        209
    """
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    rate, bits, is_padded = head[2] >> 2 & 3, head[2] >> 4, head[2] >> 1 & 1
    if version == 1 or layer == 4 or rate == 3 or bits in (0, 15):
        return None
    bits_per_second = 1000 * _KBITS[version == 3, layer][bits]
    rate_hz = _RATES_HZ[version][rate]
    if layer == 1:
        return 4 * (12 * bits_per_second // rate_hz + is_padded)
    samples = 576 if layer == 3 and version != 3 else 1152
    return samples // 8 * bits_per_second // rate_hz + is_padded


def aac_frame_bytes(head: bytes) -> int | None:
    """Give the length that the ADTS header of an AAC frame states; None if it is none."""
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5


def is_cut_frame(frame: bytes, container: str) -> bool:
    """Tell whether the last frame of an MP3 or AAC file is shorter than it says.

    Of less than a header, nothing but its beginning can be told.
    """
    lengths = {"mp3": (mp3_frame_bytes, 4), "aac": (aac_frame_bytes, 6)}
    frame_bytes, header_bytes = lengths[container]
    if len(frame) < header_bytes:
        return frame.startswith(b"\xff")
    stated = frame_bytes(frame)
    return stated is not None and len(frame) < stated


def mp3_length_tag(path: Path) -> bytes | None:
    """Give what stands in the first frame of an MP3 from its length tag on; None: it has none."""
    with path.open("rb") as file:
        head = file.read(10)
        if head.startswith(b"ID3") and len(head) == 10:
            size = sum(byte << 7 * place for place, byte in enumerate(reversed(head[6:])))
            file.seek(10 + size)
            head = b""
        first_frame = head + file.read(4096)
    places = [place for tag in LENGTH_TAGS if (place := first_frame.find(tag)) >= 0]
    return first_frame[min(places) :] if places else None


def mp3_stated_bytes(tag: bytes) -> int | None:
    """Give the size that the length tag of an MP3 states; None if it states none."""
    if tag.startswith(b"VBRI"):
        return int.from_bytes(tag[10:14], "big") or None
    flags = int.from_bytes(tag[4:8], "big")
    start = 8 + (4 if flags & 1 else 0)
    return int.from_bytes(tag[start : start + 4], "big") or None if flags & 2 else None


def is_cut_ogg(path: Path) -> bool:
    """Tell whether the last page of an Ogg file is shorter than it says."""
    with path.open("rb") as file:
        file.seek(max(os.fstat(file.fileno()).st_size - _PAGE_BYTES, 0))
        tail = file.read()
    page = tail[tail.rfind(b"OggS") :] if b"OggS" in tail else b""
    if not page:
        return False
    segments = page[27 : 27 + page[26]] if len(page) > 26 else b""
    is_header_whole = len(page) > 26 and len(segments) == page[26]
    return not is_header_whole or len(page) < 27 + len(segments) + sum(segments)
