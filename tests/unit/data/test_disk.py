import errno
from pathlib import Path

import pytest

from gram.data.disk import DiskFullError, full_disk_explained


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT], ids=["disk", "quota"])
def test_a_full_disk_is_explained(tmp_path: Path, number: int) -> None:
    words = rf"no space to write in {tmp_path}: \d+ MiB are free on its disk, .* and run again"
    with pytest.raises(DiskFullError, match=words), full_disk_explained(tmp_path):
        raise OSError(number, "full")


def test_a_folder_that_is_not_there_yet_is_looked_for_above(tmp_path: Path) -> None:
    folder, words = tmp_path / "not" / "yet", rf"write in {tmp_path}: "
    with pytest.raises(DiskFullError, match=words), full_disk_explained(folder):
        raise OSError(errno.ENOSPC, "full")


def test_the_first_explanation_counts(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    with (
        pytest.raises(DiskFullError, match="inner"),
        full_disk_explained(tmp_path),
        full_disk_explained(inner),
    ):
        raise OSError(errno.ENOSPC, "full")


def test_other_errors_stay_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(PermissionError, match="no"), full_disk_explained(tmp_path):
        raise PermissionError(errno.EACCES, "no")
