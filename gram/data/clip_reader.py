"""Members of shards -> decoded pictures and filter banks, read by offset, checked, kept in memory.

Shape letters of this file: F pictures (frames or depth maps), K channels (3 or 1), H and W pixels;
C slices of sound, T spectrogram frames, M mel bins.
"""

import io
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import simplejpeg
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from gram.config import InputsConfig
from gram.data.sound import SAMPLE_RATE_HZ
from gram.data.tars import MEMBERS, Member, read_member
from gram.data.transforms import (
    filter_bank,
    num_slices,
    samples_of_slice,
)

PictureKind = Literal["jpgs", "depths"]

COLORS: dict[PictureKind, str] = {"jpgs": "RGB", "depths": "GRAY"}
"""Colors that the pictures of a member are decoded to."""


class ClipReader:
    """Reads and decodes what the clips of some index rows have, clip by clip, in any order.

    What was decoded is kept until the memory for it is full, and nothing is thrown away then. Any
    number of threads may read at a time.
    """

    def __init__(
        self,
        rows: pa.Table,
        *,
        folder: Path,
        inputs: InputsConfig,
        prepare: Callable[[Tensor], Tensor],
        cache_mib: int,
    ) -> None:
        """Take what is needed from the rows; no shard is opened yet.

        Args:
            rows: Rows of an index, all of usable clips.
            folder: Folder of the shards.
            inputs: Form of the filter banks.
            prepare: What is done to decoded pictures before they are kept, uint8, (F, K, H, W).
            cache_mib: Memory for what was decoded, in MiB; 0 keeps nothing.
        """
        self._folder, self._inputs, self._prepare = folder, inputs, prepare
        self._clip_ids, self._shards = rows["clip_id"], rows["shard"]
        self._places = {kind: _places(rows, kind) for kind in MEMBERS}
        self._sizes = {kind: _Lists(rows[f"{kind}_sizes"]) for kind in COLORS}
        seconds_n = rows["audio_seconds"].fill_null(0.0).to_numpy()
        self._num_samples = (seconds_n * SAMPLE_RATE_HZ).round().astype(np.int64)
        self._cache = _Cache(cache_mib * 2**20)

    def num_pictures(self, row: int, kind: PictureKind) -> int:
        """Give how many frames or depth maps the clip has; it must have some."""
        return len(self._sizes[kind][row])

    def num_slices(self, row: int) -> int:
        """Give the number of slices that the clip's sound is divided into."""
        return num_slices(int(self._num_samples[row]), self._inputs)

    def pictures(self, row: int, kind: PictureKind, numbers: Sequence[int]) -> Tensor:
        """Give some of a clip's frames or depth maps, prepared: uint8, shape (F, K, H, W).

        Raises:
            ValueError: If the shard is absent or damaged.
        """
        held = {number: self._cache.get((row, kind, number)) for number in numbers}
        missing = [number for number, picture in held.items() if picture is None]
        if missing:
            content = self._read(row, kind)
            with self._named(row, kind):
                decoded = _decode(content, self._sizes[kind][row], missing, colors=COLORS[kind])
            prepared_fkhw = self._prepare(decoded)
            for number, picture in zip(missing, prepared_fkhw, strict=True):
                held[number] = self._cache.put((row, kind, number), picture)
            if missing == list(numbers):
                return prepared_fkhw
        chosen = [picture for number in numbers if (picture := held[number]) is not None]
        # In memory as (F, H, W, K): scaling is two to three times faster on it.
        return torch.stack([picture.permute(1, 2, 0) for picture in chosen]).permute(0, 3, 1, 2)

    def sound(self, row: int, numbers: Sequence[int]) -> Tensor:
        """Give filter banks of some slices of a clip's sound: float32, shape (C, T, M).

        Each slice is computed alone, so its values do not depend on what was read before.

        Raises:
            ValueError: If the shard is absent or damaged.
        """
        held = {number: self._cache.get((row, "flac", number)) for number in numbers}
        missing = [number for number, bank in held.items() if bank is None]
        if missing:
            content = self._read(row, "flac")
            for number in missing:
                with self._named(row, "flac"):
                    samples_n = self._samples(content, row, number)
                bank_tm = filter_bank(samples_n, self._inputs)
                held[number] = self._cache.put((row, "flac", number), bank_tm)
        return torch.stack([bank for number in numbers if (bank := held[number]) is not None])

    def _samples(self, content: bytes, row: int, number: int) -> NDArray[np.int16]:
        """Decode the samples of one slice out of a FLAC file."""
        wanted = samples_of_slice(number, int(self._num_samples[row]), self._inputs)
        with soundfile.SoundFile(io.BytesIO(content)) as file:
            file.seek(wanted.start)
            samples_n: NDArray[np.int16] = file.read(wanted.stop - wanted.start, dtype="int16")
        return samples_n

    def _read(self, row: int, kind: str) -> bytes:
        """Read a member of a clip and compare it with its checksum."""
        member = Member(*self._places[kind][row].tolist())
        return read_member(self._shard(row), member, clip_id=self._clip_id(row), kind=kind)

    @contextmanager
    def _named(self, row: int, kind: str) -> Iterator[None]:
        """Name clip and shard where a member is whole, but cannot be decoded."""
        try:
            yield
        except (ValueError, soundfile.SoundFileError) as error:
            raise ValueError(
                f"clip {self._clip_id(row)!r}: its {kind} in the shard {self._shard(row)} are what "
                f"was packed, but cannot be decoded ({error}); set the clip aside in its "
                "annotations, or extract it again"
            ) from error

    def _shard(self, row: int) -> Path:
        return self._folder / str(self._shards[row].as_py())

    def _clip_id(self, row: int) -> str:
        return str(self._clip_ids[row].as_py())


class _Lists:
    """A column of lists of whole numbers, read without making Python objects of all of it."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        lists = column.combine_chunks()
        self._ends = lists.offsets.to_numpy()
        self._values = lists.values.to_numpy()

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        """Give the list of a row; empty where it is null."""
        numbers_n: NDArray[np.int32] = self._values[self._ends[row] : self._ends[row + 1]]
        return numbers_n


def _places(rows: pa.Table, kind: str) -> NDArray[np.int64]:
    """Give offset, size and CRC-32 of the members of a kind, shape (rows, 3); -1 where none is."""
    names = (f"{kind}_offset", f"{kind}_size", f"{kind}_crc32")
    return np.stack([rows[name].fill_null(-1).to_numpy() for name in names], axis=1)


def _decode(
    content: bytes, sizes: NDArray[np.int32], numbers: Sequence[int], *, colors: str
) -> Tensor:
    """Decode some of the JPEGs that stand one behind the other: uint8, shape (F, K, H, W)."""
    ends = np.cumsum(sizes, dtype=np.int64)
    jpegs = [content[ends[number] - sizes[number] : ends[number]] for number in numbers]
    height, width, _, _ = simplejpeg.decode_jpeg_header(jpegs[0])
    channels = 1 if colors == "GRAY" else 3
    pictures_fhwk = np.empty((len(jpegs), height, width, channels), np.uint8)
    for jpeg, picture_hwk in zip(jpegs, pictures_fhwk, strict=True):
        simplejpeg.decode_jpeg(jpeg, colors, buffer=picture_hwk)
    return torch.from_numpy(pictures_fhwk).permute(0, 3, 1, 2)


class _Cache:
    """Tensors by key, up to a number of bytes."""

    def __init__(self, limit_bytes: int) -> None:
        self._free_bytes = limit_bytes
        self._held: dict[Hashable, Tensor] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Tensor | None:
        return self._held.get(key)

    def put(self, key: Hashable, value: Tensor) -> Tensor:
        """Keep a copy of a tensor if it still fits, and give it back either way."""
        with self._lock:
            if key in self._held or value.nbytes > self._free_bytes:
                return value
            self._free_bytes -= value.nbytes
            # A copy: the tensor may be a view of a larger one, which would be kept alive whole.
            self._held[key] = value.clone()
        return value
