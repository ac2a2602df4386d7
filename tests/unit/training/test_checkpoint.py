"""Partial checkpoints: what is kept, which one is taken, what is said of those that are not."""

import json
import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import AdamW

from gram.files import DiskFullError
from gram.training import checkpoint
from gram.training.checkpoint import PartialCheckpoints, TrainingState

SETTINGS = json.dumps({"seed": 1, "training": {"rate": 0.1}})
OTHERS = json.dumps({"seed": 1, "training": {"rate": 0.2}})


class Training(NamedTuple):
    """A model of two weights and its optimizer."""

    model: nn.Linear
    optimizer: AdamW
    state: TrainingState

    def step(self, number: int = 1) -> "Training":
        """Take some steps on random inputs."""
        for _ in range(number):
            self.optimizer.zero_grad()
            self.model(torch.randn(4, 2)).square().sum().backward()
            self.optimizer.step()
            self.state.rows.append({"step": float(len(self.state.rows) + 1), "loss": 0.5})
        return self


def fresh(seed: int = 0) -> Training:
    torch.manual_seed(seed)
    model = nn.Linear(2, 1)
    optimizer = AdamW(model.parameters(), lr=0.1)
    scaler = GradScaler("cpu", enabled=False)
    state = TrainingState(model=model, optimizer=optimizer, scaler=scaler, rows=[], seed=seed)
    return Training(model, optimizer, state)


def at(folder: Path, made_with: str = SETTINGS) -> PartialCheckpoints:
    return PartialCheckpoints(folder / "run" / "last.safetensors", made_with=made_with)


def save(folder: Path, training: Training) -> Path:
    with at(folder) as partial:
        partial.save(training.state)
        path = partial.wait()
    assert path is not None
    return path


def load(folder: Path, training: Training, made_with: str = SETTINGS) -> int:
    """Load into a training; give the number of steps that are done."""
    with at(folder, made_with) as partial:
        partial.load(training.state)
    return len(training.state.rows)


def damage(path: Path) -> None:
    """Turn one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


# --- what is kept -----------------------------------------------------------------------------


def test_weights_are_read_as_they_were_saved(tmp_path: Path) -> None:
    saved, other = fresh(0).step(), fresh(1)
    save(tmp_path, saved)
    load(tmp_path, other)
    assert torch.equal(other.model.weight, saved.model.weight)


def test_the_state_is_that_of_the_call_whatever_comes_after(tmp_path: Path) -> None:
    saved, other = fresh(0).step(), fresh(1)
    expected = saved.model.weight.clone()
    with at(tmp_path) as partial:
        partial.save(saved.state)
        saved.step(3)
    assert load(tmp_path, other) == 1
    assert torch.equal(other.model.weight, expected)


def test_the_next_step_is_that_of_the_training_that_was_saved(tmp_path: Path) -> None:
    saved, other = fresh(0).step(3), fresh(1)
    save(tmp_path, saved)
    saved.step(2)
    load(tmp_path, other)
    other.step(2)
    assert torch.equal(other.model.weight, saved.model.weight)


def test_the_history_is_read_as_it_was_saved(tmp_path: Path) -> None:
    saved, other = fresh().step(2), fresh()
    save(tmp_path, saved)
    load(tmp_path, other)
    assert other.state.rows == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.5}]


def test_the_scale_of_float16_goes_on_where_it_was(tmp_path: Path) -> None:
    saved, other = fresh().step(), fresh()
    saved.state.scaler = GradScaler("cpu", init_scale=8.0)
    saved.state.scaler.scale(torch.zeros(1))
    save(tmp_path, saved)
    other.state.scaler = GradScaler("cpu")
    load(tmp_path, other)
    assert other.state.scaler.get_scale() == 8.0


@pytest.mark.parametrize(
    "draw",
    [lambda: torch.rand(4).tolist(), lambda: np.random.rand(4).tolist(), random.random],
    ids=["torch", "numpy", "python"],
)
def test_random_numbers_go_on_where_they_were(tmp_path: Path, draw: Callable[[], object]) -> None:
    save(tmp_path, fresh().step())
    expected = draw()
    draw()
    load(tmp_path, fresh(99))
    assert draw() == expected


@pytest.mark.gpu
def test_random_numbers_of_the_gpu_go_on_where_they_were(tmp_path: Path) -> None:
    training = fresh().step()
    training.model.cuda()
    save(tmp_path, training)
    expected = torch.rand(4, device="cuda")
    load(tmp_path, training)
    assert torch.equal(torch.rand(4, device="cuda"), expected)


# --- which one is taken -----------------------------------------------------------------------


def test_at_first_there_is_none(tmp_path: Path) -> None:
    assert load(tmp_path, fresh()) == 0


def test_the_newest_one_is_taken(tmp_path: Path) -> None:
    training = fresh()
    for _ in range(2):
        save(tmp_path, training.step())
    assert load(tmp_path, fresh()) == 2


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    training = fresh()
    paths = [save(tmp_path, training.step()) for _ in range(4)]
    assert sorted((tmp_path / "run/partial").iterdir()) == paths[2:]


def test_of_a_damaged_one_the_one_before_is_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    training = fresh()
    paths = [save(tmp_path, training.step()) for _ in range(2)]
    damage(paths[1])
    assert load(tmp_path, fresh()) == 1
    assert f"{paths[1]} is damaged" in caplog.text
    assert not paths[1].exists()


def test_where_all_are_damaged_the_training_starts_anew(tmp_path: Path) -> None:
    training = fresh()
    for _ in range(2):
        damage(save(tmp_path, training.step()))
    assert load(tmp_path, fresh()) == 0


def test_one_that_is_cut_short_is_damaged(tmp_path: Path) -> None:
    path = save(tmp_path, fresh().step())
    path.write_bytes(path.read_bytes()[:-100])
    assert load(tmp_path, fresh()) == 0


def test_an_interrupted_write_is_not_taken(tmp_path: Path) -> None:
    path = save(tmp_path, fresh().step())
    path.rename(path.with_name(".last.pt.part"))
    assert load(tmp_path, fresh()) == 0


# --- other settings ---------------------------------------------------------------------------


def test_one_of_other_settings_is_not_taken(tmp_path: Path) -> None:
    save(tmp_path, fresh(0).step())
    other = fresh(1)
    before = other.model.weight.clone()
    assert load(tmp_path, other, OTHERS) == 0
    assert torch.equal(other.model.weight, before)


def test_one_of_other_settings_leaves_random_numbers_alone(tmp_path: Path) -> None:
    save(tmp_path, fresh().step())
    fresh(7)
    expected = torch.rand(4)
    load(tmp_path, fresh(7), OTHERS)
    assert torch.equal(torch.rand(4), expected)


def test_of_other_settings_it_is_said_which(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = save(tmp_path, fresh().step())
    load(tmp_path, fresh(), OTHERS)
    assert (
        f"{path} was made with other settings or inputs and is removed: "
        "training.rate was 0.1, is 0.2" in caplog.text
    )


def test_of_many_other_settings_some_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, fresh().step())
    load(tmp_path, fresh(), json.dumps({"seed": 2, **{f"new{i}": i for i in range(4)}}))
    assert (
        "new0 was None, is 0; new1 was None, is 1; new2 was None, is 2; and 3 more" in caplog.text
    )


def test_going_on_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, fresh().step(2))
    with caplog.at_level(logging.INFO, logger="gram"):
        load(tmp_path, fresh())
    assert "going on after step 2, from" in caplog.text


# --- writing ----------------------------------------------------------------------------------


def fail(error: Exception) -> Callable[..., None]:
    def raise_it(*_: object) -> None:
        raise error

    return raise_it


def test_an_error_of_the_thread_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "_save", fail(PermissionError("read only")))
    training = fresh().step()
    with at(tmp_path) as partial:
        partial.save(training.state)
        with pytest.raises(PermissionError, match="read only"):
            partial.save(training.state)


def test_a_full_disk_costs_one_file_and_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    training = fresh().step()
    before = save(tmp_path, training)
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_save", fail(DiskFullError(tmp_path)))
        with at(tmp_path) as partial:
            partial.save(training.step().state)
            assert partial.wait() == before
    assert "no partial checkpoint was written, and the training goes on: " in caplog.text
    assert "no space to write in" in caplog.text


def test_they_stand_in_a_folder_beside_the_output(tmp_path: Path) -> None:
    save(tmp_path, fresh().step())
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["partial"]


def test_their_folder_is_removed(tmp_path: Path) -> None:
    save(tmp_path, fresh().step())
    with at(tmp_path) as partial:
        partial.remove()
    assert list((tmp_path / "run").iterdir()) == []


def test_removing_what_is_not_there_does_nothing(tmp_path: Path) -> None:
    with at(tmp_path) as partial:
        partial.remove()
    assert list(tmp_path.iterdir()) == []


def test_another_rank_leaves_the_files_to_the_one_that_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = save(tmp_path, fresh())
    monkeypatch.setattr(checkpoint, "own_rank", lambda: 1)
    at(tmp_path).remove()
    assert kept.exists()
    monkeypatch.setattr(checkpoint, "own_rank", lambda: 0)
    at(tmp_path).remove()
    assert not kept.exists()
