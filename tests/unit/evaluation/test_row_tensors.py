"""Tensors written row by row: what stands in the file, and what is said of mistakes."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gram.evaluation.row_tensors import RowReader, RowWriter, write_rows


def write(path: Path, dtype: str = "float32") -> dict[str, torch.Tensor]:
    """Write two tensors of 5 rows, 2 rows at a time; give them."""
    random = torch.Generator().manual_seed(0)
    whole = {
        "video": torch.randn(5, 3, 4, generator=random),
        "audio": torch.randn(5, 2, 4, generator=random),
    }
    with write_rows(path, rows=5, dtype=dtype) as writer:  # type: ignore[arg-type]
        for start in range(0, 5, 2):
            writer.write({name: one[start : start + 2] for name, one in whole.items()})
    return whole


def test_the_file_is_what_safetensors_reads(tmp_path: Path) -> None:
    whole = write(tmp_path / "rows")
    read = load_file(tmp_path / "rows")
    assert read.keys() == whole.keys()
    assert all(torch.equal(read[name], whole[name]) for name in whole)


def test_half_precision_takes_half_the_bytes(tmp_path: Path) -> None:
    whole = write(tmp_path / "rows", "float16")
    assert load_file(tmp_path / "rows")["video"].dtype == torch.float16
    rows = RowReader(tmp_path / "rows").rows("video", torch.tensor([4]))
    torch.testing.assert_close(rows, whole["video"][4:], rtol=1e-3, atol=1e-3)


def test_rows_are_read_in_the_order_asked_for(tmp_path: Path) -> None:
    whole = write(tmp_path / "rows")
    wanted = torch.tensor([3, 0, 3])
    read = RowReader(tmp_path / "rows").rows("audio", wanted)
    assert torch.equal(read, whole["audio"][wanted])


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_file_of_nothing_has_no_tensors(tmp_path: Path) -> None:
    with write_rows(tmp_path / "rows", rows=5, dtype="none"):
        pass
    assert RowReader(tmp_path / "rows").names == ()


def test_rows_that_are_lacking_leave_no_file(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="2 of 5 rows were written"),
        write_rows(tmp_path / "rows", rows=5) as writer,
    ):
        writer.write({"a": torch.zeros(2, 3)})
    assert list(tmp_path.iterdir()) == []


def test_rows_of_another_shape_are_refused(tmp_path: Path) -> None:
    writer = RowWriter(tmp_path / "rows", rows=2, dtype="float32")
    writer.write({"a": torch.zeros(1, 3)})
    with pytest.raises(ValueError, match=r"'a': \(4,\)\} follow rows of \{'a': \(3,\)"):
        writer.write({"a": torch.zeros(1, 4)})


def test_a_cut_off_file_is_named(tmp_path: Path) -> None:
    write(tmp_path / "rows")
    (tmp_path / "rows").write_bytes((tmp_path / "rows").read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"rows is not a whole safetensors file .*embed again"):
        RowReader(tmp_path / "rows")
