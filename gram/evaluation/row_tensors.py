"""Tensors written row by row into one safetensors file, and read some rows at a time.

All of a benchmark's condition tokens need not fit in memory: what is written goes to a map of the
file, and reading takes the rows that are asked for.

Shape letters of this file: N rows.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from gram.files import atomic_path

RowType = Literal["none", "float16", "float32"]
"""Type of the rows in the file; none: nothing is written to it."""

_TYPES: dict[RowType, tuple[str, str]] = {"float16": ("F16", "<f2"), "float32": ("F32", "<f4")}
"""Type of torch -> its name in the file, and numpy's."""

_ALIGNMENT = 8


class RowWriter:
    """Tensors of N rows each, whose rows are written in order."""

    def __init__(self, path: Path, *, rows: int, dtype: RowType) -> None:
        """Take the file that is written; nothing is written before the first rows are known."""
        self._path, self._rows, self._dtype = path, rows, dtype
        self._maps: dict[str, NDArray[np.generic]] = {}
        self._written = 0

    def write(self, parts: Mapping[str, Tensor]) -> None:
        """Write the next rows of every tensor.

        Args:
            parts: For each name some rows, float, of one shape each from the first call on.

        Raises:
            ValueError: If names or shapes are others than at the first call, or the type is none.
        """
        if self._dtype == "none":
            raise ValueError("the rows have no type, so none is written; give float16 or float32")
        if not self._maps:
            self._open({name: tuple(part.shape[1:]) for name, part in parts.items()})
        found = {name: tuple(part.shape[1:]) for name, part in parts.items()}
        wanted = {name: one.shape[1:] for name, one in self._maps.items()}
        if found != wanted:
            raise ValueError(
                f"rows of the shapes {found} follow rows of {wanted}; write them alike"
            )
        size = len(next(iter(parts.values())))
        for name, part in parts.items():
            values = part.detach().cpu().to(getattr(torch, self._dtype)).numpy()
            self._maps[name][self._written : self._written + size] = values
        self._written += size

    def _open(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Write the header, make the file as long as it will be, and map every tensor."""
        file_type, numpy_type = _TYPES.get(self._dtype, ("", "u1"))
        header: dict[str, object] = {}
        places, end = {}, 0
        for name in sorted(shapes):
            shape = (self._rows, *shapes[name])
            begin, end = end, end + int(np.prod(shape)) * np.dtype(numpy_type).itemsize
            header[name] = {"dtype": file_type, "shape": shape, "data_offsets": [begin, end]}
            places[name] = (begin, shape)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        with self._path.open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            start = file.tell()
            file.truncate(start + end)
        self._maps = {
            name: np.memmap(self._path, numpy_type, "r+", offset=start + begin, shape=shape)
            for name, (begin, shape) in places.items()
        }

    def close(self) -> None:
        """Check that all rows were written, and have them written.

        Raises:
            ValueError: If rows are lacking.
        """
        if not self._maps:
            self._open({})
        if self._maps and self._written != self._rows:
            raise ValueError(f"{self._written} of {self._rows} rows were written; write them all")
        for one in self._maps.values():
            getattr(one, "flush")()  # noqa: B009 - numpy's type of a map is that of an array
        self._maps = {}


@contextmanager
def write_rows(path: Path, *, rows: int, dtype: RowType = "float32") -> Iterator[RowWriter]:
    """Write tensors row by row, whole or not at all; without any rows, a file without tensors.

    Args:
        path: The file.
        rows: N.
        dtype: Type of the rows; with none, nothing may be written.
    """
    with atomic_path(Path(path)) as temporary:
        writer = RowWriter(temporary, rows=rows, dtype=dtype)
        yield writer
        writer.close()


class RowReader:
    """Tensors of a file, of which some rows are read at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            ValueError: If it is no whole safetensors file.
        """
        try:
            self._file = safe_open(path, framework="pt")
        except SafetensorError as error:
            raise ValueError(
                f"{path} is not a whole safetensors file ({error}); delete it and embed again"
            ) from error
        names = self._file.keys()  # type: ignore[no-untyped-call]
        self._slices = {
            name: self._file.get_slice(name)  # type: ignore[no-untyped-call]
            for name in names
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tensors."""
        return tuple(self._slices)

    def rows(self, name: str, rows: Tensor) -> Tensor:
        """Read some rows of a tensor, int64 in any order, as float32."""
        unique, number = torch.unique(rows, return_inverse=True)
        read = torch.stack([self._slices[name][int(row)] for row in unique])
        return read.float()[number]
