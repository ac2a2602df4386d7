import logging
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.optim import AdamW

from gram.training.checkpoint import PartialCheckpoint


class Training(NamedTuple):
    """A model of two weights and its optimizer."""

    model: nn.Linear
    optimizer: AdamW

    def step(self, number: int = 1) -> "Training":
        """Take some steps on random inputs."""
        for _ in range(number):
            self.optimizer.zero_grad()
            self.model(torch.randn(4, 2)).square().sum().backward()
            self.optimizer.step()
        return self


def fresh(seed: int = 0) -> Training:
    torch.manual_seed(seed)
    model = nn.Linear(2, 1)
    return Training(model, AdamW(model.parameters(), lr=0.1))


def at(folder: Path, made_with: str = "settings") -> PartialCheckpoint:
    return PartialCheckpoint(folder / "run" / "last.safetensors", made_with=made_with)


def save(folder: Path, training: Training, *, steps: int = 1) -> None:
    rows = [{"step": float(step), "loss": 0.5} for step in range(1, steps + 1)]
    at(folder).save(training.model, training.optimizer, rows=rows)


def load(folder: Path, training: Training, made_with: str = "settings") -> list[dict[str, float]]:
    return at(folder, made_with).load(training.model, training.optimizer)


def test_weights_are_read_as_they_were_saved(tmp_path: Path) -> None:
    saved, other = fresh(0).step(), fresh(1)
    save(tmp_path, saved)
    load(tmp_path, other)
    assert torch.equal(other.model.weight, saved.model.weight)


def test_the_next_step_is_that_of_the_training_that_was_saved(tmp_path: Path) -> None:
    saved, other = fresh(0).step(3), fresh(1)
    save(tmp_path, saved)
    saved.step(2)
    load(tmp_path, other)
    other.step(2)
    assert torch.equal(other.model.weight, saved.model.weight)


def test_the_history_is_read_as_it_was_saved(tmp_path: Path) -> None:
    save(tmp_path, fresh(), steps=2)
    assert load(tmp_path, fresh()) == [{"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.5}]


def test_the_newest_one_is_read(tmp_path: Path) -> None:
    save(tmp_path, fresh(), steps=1)
    save(tmp_path, fresh(), steps=3)
    assert len(load(tmp_path, fresh())) == 3


def test_random_numbers_go_on_where_they_were(tmp_path: Path) -> None:
    save(tmp_path, fresh())
    expected = torch.rand(4)
    load(tmp_path, fresh(99))
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.gpu
def test_random_numbers_of_the_gpu_go_on_where_they_were(tmp_path: Path) -> None:
    training = fresh()
    training.model.cuda()
    save(tmp_path, training)
    expected = torch.rand(4, device="cuda")
    load(tmp_path, training)
    assert torch.equal(torch.rand(4, device="cuda"), expected)


def test_at_first_there_is_none(tmp_path: Path) -> None:
    assert load(tmp_path, fresh()) == []


def test_one_made_with_other_settings_is_not_read(tmp_path: Path) -> None:
    save(tmp_path, fresh(0).step())
    other = fresh(1)
    before = other.model.weight.clone()
    assert load(tmp_path, other, "others") == []
    assert torch.equal(other.model.weight, before)


def test_one_made_with_other_settings_leaves_random_numbers_alone(tmp_path: Path) -> None:
    save(tmp_path, fresh())
    fresh(7)
    expected = torch.rand(4)
    load(tmp_path, fresh(7), "others")
    assert torch.equal(torch.rand(4), expected)


def test_one_made_with_other_settings_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save(tmp_path, fresh())
    with caplog.at_level(logging.INFO, logger="gram"):
        load(tmp_path, fresh(), "others")
    assert "last.pt was made with other settings or inputs and is not used" in caplog.text


def test_going_on_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    save(tmp_path, fresh(), steps=2)
    with caplog.at_level(logging.INFO, logger="gram"):
        load(tmp_path, fresh())
    assert "going on after step 2, from" in caplog.text


def test_it_stands_in_a_folder_beside_the_output(tmp_path: Path) -> None:
    save(tmp_path, fresh())
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["partial"]


def test_its_folder_is_removed(tmp_path: Path) -> None:
    save(tmp_path, fresh())
    at(tmp_path).remove()
    assert list((tmp_path / "run").iterdir()) == []


def test_removing_one_that_is_not_there_does_nothing(tmp_path: Path) -> None:
    at(tmp_path).remove()
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_is_not_read(tmp_path: Path) -> None:
    save(tmp_path, fresh())
    written = at(tmp_path).path
    written.rename(written.with_name(f".{written.name}.part"))
    assert load(tmp_path, fresh()) == []
