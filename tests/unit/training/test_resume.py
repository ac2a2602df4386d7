"""A training that is killed and started again ends as if nothing had happened."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gram.jobs import TrainSettings
from gram.tracking import Tracker
from gram.training import loop
from gram.types import ITEM_MODALITIES

Train = Callable[..., Path]
MakeSettings = Callable[..., TrainSettings]
Compare = Callable[[Path, Path], bool]

BOTH = pytest.mark.parametrize("kind", ["volume", "cosine"])


class Killer(Tracker):
    """Ends a job as SIGTERM does, when it tells of a step."""

    def __init__(self, step: int) -> None:
        """Wait for the step."""
        super().__init__()
        self.step = step

    def metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        """End the job."""
        if step == self.step:
            raise SystemExit(143)


@pytest.fixture
def told_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell the tracker of every step, so that it can end the job in any."""
    monkeypatch.setattr(loop, "TRACKED_STEPS", 1)


killed = pytest.mark.usefixtures("told_often")


def kill(run: Train, settings: TrainSettings, *, step: int = 5, **arguments: Any) -> None:  # noqa: ANN401 - they are passed on
    """Train until a step, in which the job is ended; the checkpoint is two to four steps old."""
    with pytest.raises(SystemExit):
        run(settings, tracker=Killer(step), **arguments)


@BOTH
@killed
def test_a_killed_training_ends_as_an_undisturbed_one(
    run: Train, make_settings: MakeSettings, kind: str, are_equal: Compare
) -> None:
    settings = make_settings(modalities=ITEM_MODALITIES, steps=7, loss={"kind": kind})
    undisturbed = run(settings, folder="undisturbed")
    kill(run, settings)
    assert are_equal(run(settings), undisturbed)


@killed
def test_a_training_killed_within_a_later_epoch_ends_as_an_undisturbed_one(
    run: Train, make_settings: MakeSettings, are_equal: Compare
) -> None:
    settings = make_settings(epochs=4, batch_size=5)
    undisturbed = run(settings, folder="undisturbed")
    kill(run, settings, step=5, checkpoint_steps=3)
    kill(run, settings, step=7, checkpoint_steps=3)
    assert are_equal(run(settings, workers=2), undisturbed)


@killed
def test_a_killed_training_goes_on_where_it_stopped(
    run: Train, make_settings: MakeSettings, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings(steps=6)
    kill(run, settings)
    with caplog.at_level("INFO", logger="gram"):
        run(settings)
    assert "going on after step 4, from" in caplog.text


@pytest.mark.parametrize(
    "means", [{"workers": 2}, {"cache_mib": 64}, {"checkpoint_steps": 3}], ids=lambda one: min(one)
)
@killed
def test_a_killed_training_goes_on_with_other_means(
    run: Train, make_settings: MakeSettings, means: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings(steps=6)
    kill(run, settings)
    with caplog.at_level("INFO", logger="gram"):
        run(settings, **means)
    assert "going on after step 4, from" in caplog.text


@killed
def test_a_killed_training_leaves_no_output(
    run: Train, make_settings: MakeSettings, tmp_path: Path
) -> None:
    kill(run, make_settings())
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["partial"]


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"steps": 7}, {"loss": {"temperature": 0.1}}],
    ids=["seed", "steps", "temperature"],
)
@killed
def test_a_training_with_other_settings_starts_anew(
    run: Train, make_settings: MakeSettings, change: dict[str, Any], are_equal: Compare
) -> None:
    kill(run, make_settings(steps=6))
    settings = make_settings(**{"steps": 6, **change})
    assert are_equal(run(settings), run(settings, folder="undisturbed"))


@killed
def test_a_training_on_another_index_starts_anew(
    run: Train, make_settings: MakeSettings, shards: Path, tmp_path: Path, are_equal: Compare
) -> None:
    settings = make_settings(steps=6)
    kill(run, settings)
    index = tmp_path / "index.parquet"
    rows = pd.read_parquet(shards / "index.parquet")
    rows["subtitle"] = rows["subtitle"].str.replace(" ", " and ")
    rows.to_parquet(index)
    shutil.copyfile(shards / "manifest.json", tmp_path / "manifest.json")
    for shard in shards.glob("*.tar"):
        (tmp_path / shard.name).symlink_to(shard)
    again = run(settings, index=index)
    assert are_equal(again, run(settings, folder="undisturbed", index=index))


@killed
def test_a_training_from_another_start_starts_anew(
    run: Train, make_settings: MakeSettings, are_equal: Compare
) -> None:
    settings = make_settings(steps=6)
    one = run(make_settings(steps=1), folder="one") / "last.safetensors"
    other = run(make_settings(steps=1, seed=5), folder="other") / "last.safetensors"
    kill(run, settings, start=one)
    again = run(settings, start=other)
    assert are_equal(again, run(settings, folder="undisturbed", start=other))
