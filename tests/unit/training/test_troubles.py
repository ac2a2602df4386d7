"""What a training does when the disk is full or its checkpoints are not what they should be."""

import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from gram.files import DiskFullError
from gram.jobs import TrainSettings
from gram.tracking import Tracker
from gram.training import loop
from gram.types import Modality
from tests.unit.training.forked import newest_step
from tests.unit.training.small_disk import on_small_disk

Train = Callable[..., Path]
MakeSettings = Callable[..., TrainSettings]
Compare = Callable[[Path, Path], bool]


@pytest.fixture
def settings(make_settings: MakeSettings) -> TrainSettings:
    return make_settings(modalities=(Modality.AUDIO, Modality.SUBTITLE), steps=8)


@pytest.fixture
def undisturbed(run: Train, settings: TrainSettings) -> Path:
    return run(settings, folder="undisturbed")


@pytest.fixture
def weight_bytes(undisturbed: Path) -> int:
    """Give the size of the weights; a partial checkpoint has the moments too: three times that."""
    return (undisturbed / "last.safetensors").stat().st_size


class Hook(Tracker):
    """Does something when it is told of a step."""

    def __init__(self, acts: Mapping[int, Callable[[], object]]) -> None:
        """Take what to do, by step."""
        super().__init__()
        self.acts = acts

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """Do it."""
        self.acts.get(step, lambda: None)()


@pytest.fixture
def told_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell the tracker of every step."""
    monkeypatch.setattr(loop, "TRACKED_STEPS", 1)


def end() -> None:
    raise SystemExit(143)


def said(path: Path) -> None:
    """Have what is logged from now on written to a file."""
    logging.getLogger("gram").addHandler(logging.FileHandler(path))


# --- a full disk ------------------------------------------------------------------------------


@pytest.mark.usefixtures("told_often")
def test_a_disk_that_fills_up_costs_checkpoints_and_the_one_before_stays(
    run: Train,
    settings: TrainSettings,
    undisturbed: Path,
    weight_bytes: int,
    are_equal: Compare,
    tmp_path: Path,
) -> None:
    ballast = tmp_path / "run/ballast"

    def fill() -> None:
        free = shutil.disk_usage(tmp_path / "run").free
        ballast.write_bytes(bytes(free - weight_bytes // 2))

    def killed_when_full_then_gone_on_with() -> None:
        said(tmp_path / "log.txt")
        with pytest.raises(SystemExit):
            run(settings, tracker=Hook({4: fill, 7: end}))
        assert newest_step(tmp_path / "run") == 2
        ballast.unlink()
        run(settings)
        shutil.copytree(tmp_path / "run", tmp_path / "copied")

    on_small_disk(tmp_path / "run", killed_when_full_then_gone_on_with, size=20 * weight_bytes)
    log = (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert (
        "no partial checkpoint was written, and the training goes on: [Errno 28] no space to write "
        f"in {tmp_path / 'run/partial'}: 0 MiB are free on its disk" in log
    )
    assert are_equal(tmp_path / "copied", undisturbed)


@pytest.mark.usefixtures("told_often")
def test_a_disk_without_room_for_the_result_ends_the_training_which_can_go_on(
    run: Train,
    settings: TrainSettings,
    undisturbed: Path,
    weight_bytes: int,
    are_equal: Compare,
    tmp_path: Path,
) -> None:
    ballast = tmp_path / "run/ballast"

    def fill() -> None:
        free = shutil.disk_usage(tmp_path / "run").free
        ballast.write_bytes(bytes(free - weight_bytes // 2))

    def ended_by_a_full_disk_then_gone_on_with() -> None:
        with pytest.raises(
            DiskFullError, match=r"no space to write in .*/run: .* free some, or mo"
        ):
            run(settings, tracker=Hook({8: fill}))
        assert not (tmp_path / "run/last.safetensors").exists()
        ballast.unlink()
        said(tmp_path / "log.txt")
        logging.getLogger("gram").setLevel(logging.INFO)
        run(settings)
        shutil.copytree(tmp_path / "run", tmp_path / "copied")

    on_small_disk(tmp_path / "run", ended_by_a_full_disk_then_gone_on_with, size=20 * weight_bytes)
    assert "going on after step 6, from" in (tmp_path / "log.txt").read_text(encoding="utf-8")
    assert are_equal(tmp_path / "copied", undisturbed)


# --- checkpoints that are not what they should be ---------------------------------------------


def damaged_in_the_middle(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.usefixtures("told_often")
@pytest.mark.parametrize("damage", [damaged_in_the_middle, cut, emptied])
def test_of_a_damaged_checkpoint_the_one_before_is_gone_on_from(
    run: Train,
    settings: TrainSettings,
    undisturbed: Path,
    are_equal: Compare,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[Path], None],
) -> None:
    with pytest.raises(SystemExit):
        run(settings, tracker=Hook({7: end}))
    newest = max((tmp_path / "run/partial").glob("last.step*.pt"))
    damage(newest)
    with caplog.at_level("INFO", logger="gram"):
        run(settings)
    assert f"{newest} is damaged (its content is not what its name says)" in caplog.text
    assert "going on after step 4, from" in caplog.text
    assert are_equal(tmp_path / "run", undisturbed)


@pytest.mark.usefixtures("told_often")
def test_a_checkpoint_of_other_settings_is_told_of_and_the_training_starts_anew(
    run: Train,
    make_settings: MakeSettings,
    settings: TrainSettings,
    are_equal: Compare,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(SystemExit):
        run(settings, tracker=Hook({7: end}))
    changed: dict[str, Any] = {"learning_rate": 2e-3, "loss": {"label_smoothing": 0.2}}
    other = make_settings(modalities=(Modality.AUDIO, Modality.SUBTITLE), steps=8, **changed)
    again = run(other)
    assert (
        "was made with other settings or inputs and is removed: loss.label_smoothing was 0.1, is "
        "0.2; training.learning_rate was 0.001, is 0.002" in caplog.text
    )
    assert are_equal(again, run(other, folder="anew"))
