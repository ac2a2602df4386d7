import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from gram.training.checkpoint import PartialCheckpoint


def at(folder: Path, made_with: str = "settings") -> PartialCheckpoint:
    return PartialCheckpoint(folder / "run" / "last.pt", made_with=made_with)


def state(value: float = 1.0) -> dict[str, Any]:
    return {"model": {"weight": torch.full((2, 2), value)}, "rows": [{"step": 1, "loss": value}]}


def test_a_state_is_read_as_it_was_saved(tmp_path: Path) -> None:
    at(tmp_path).save(state(3.0))
    loaded = at(tmp_path).load()
    assert loaded is not None
    assert torch.equal(loaded["model"]["weight"], torch.full((2, 2), 3.0))
    assert loaded["rows"] == [{"step": 1, "loss": 3.0}]


def test_a_state_of_an_optimizer_survives(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    at(tmp_path).save({"optimizer": optimizer.state_dict()})
    loaded = at(tmp_path).load()
    assert loaded is not None
    fresh = torch.optim.AdamW(layer.parameters(), lr=0.1)
    fresh.load_state_dict(loaded["optimizer"])
    moments = [optimizer.state[layer.weight]["exp_avg"], fresh.state[layer.weight]["exp_avg"]]
    assert torch.equal(*moments)


def test_the_newest_state_is_read(tmp_path: Path) -> None:
    at(tmp_path).save(state(1.0))
    at(tmp_path).save(state(2.0))
    loaded = at(tmp_path).load()
    assert loaded is not None
    assert loaded["rows"][0]["loss"] == 2.0


def test_random_numbers_go_on_where_they_were(tmp_path: Path) -> None:
    at(tmp_path).save(state())
    expected = torch.rand(4)
    torch.manual_seed(99)
    at(tmp_path).load()
    assert torch.equal(torch.rand(4), expected)


def test_there_is_none_at_first(tmp_path: Path) -> None:
    assert at(tmp_path).load() is None


def test_one_made_with_other_settings_is_not_read(tmp_path: Path) -> None:
    at(tmp_path).save(state())
    assert at(tmp_path, "others").load() is None


def test_one_made_with_other_settings_leaves_random_numbers_alone(tmp_path: Path) -> None:
    at(tmp_path).save(state())
    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    at(tmp_path, "others").load()
    assert torch.equal(torch.rand(4), expected)


def test_one_made_with_other_settings_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    at(tmp_path).save(state())
    with caplog.at_level(logging.INFO, logger="gram"):
        at(tmp_path, "others").load()
    assert "last.pt was made with other settings or inputs and is not used" in caplog.text


def test_it_stands_in_a_folder_beside_the_output(tmp_path: Path) -> None:
    at(tmp_path).save(state())
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["partial"]


def test_its_folder_is_removed(tmp_path: Path) -> None:
    at(tmp_path).save(state())
    at(tmp_path).remove()
    assert list((tmp_path / "run").iterdir()) == []


def test_removing_one_that_is_not_there_does_nothing(tmp_path: Path) -> None:
    at(tmp_path).remove()
    assert list(tmp_path.iterdir()) == []


def test_one_that_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    at(tmp_path).save(state(1.0))
    with pytest.raises((AttributeError, TypeError, RuntimeError)):
        at(tmp_path).save({"model": (number for number in range(3))})
    loaded = at(tmp_path).load()
    assert loaded is not None
    assert loaded["rows"][0]["loss"] == 1.0


def test_an_interrupted_write_is_not_read(tmp_path: Path) -> None:
    at(tmp_path).save(state())
    written = at(tmp_path).path
    written.rename(written.with_name(f".{written.name}.part"))
    assert at(tmp_path).load() is None
