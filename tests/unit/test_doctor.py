"""What the doctor finds, and how large models are."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from gram.cli import app
from gram.config import InputsConfig, ModelConfig
from gram.doctor import count_parameters, examine, memory_of_cases
from gram.model import GramModel

Usage = namedtuple("Usage", ["total", "used", "free"])


def test_the_parts_of_a_preset_are_counted_as_a_model_has_them() -> None:
    config, inputs = ModelConfig(preset="tiny"), InputsConfig(image_pixels=32, audio_frames=64)
    counts = count_parameters(config, inputs, num_pieces=30)
    model = GramModel(config, inputs, pieces=("",) * 30)
    assert sum(counts.values()) == sum(one.numel() for one in model.parameters())


def test_counting_allocates_nothing() -> None:
    counts = count_parameters(ModelConfig(), InputsConfig(), num_pieces=30522)
    assert sum(counts.values()) > 1e9


def test_the_paper_s_model_needs_shares_or_activations_computed_again_on_24_gb() -> None:
    lines = memory_of_cases(ModelConfig(), InputsConfig(), num_pieces=30522)
    fits = {
        (line.case.processes, line.case.is_sharded, line.case.is_checkpointed): line.clips[0]
        for line in lines
    }
    assert fits[1, False, True] == 0
    assert 0 < fits[4, True, True] < fits[8, True, True]


def test_a_machine_with_all_it_needs_gets_no_advice(tmp_path: Path) -> None:
    assert {finding.what: finding.advice for finding in examine(tmp_path)}["ffmpeg"] == ""


def test_an_absent_ffmpeg_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRAM_FFMPEG", "/nowhere")
    advice = {finding.what: finding.advice for finding in examine(tmp_path)}["ffmpeg"]
    assert "GRAM_FFMPEG is '/nowhere', which is not a file; set it to the path" in advice


def test_a_full_disk_is_told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10, 9, 2**30))
    (advice,) = [finding.advice for finding in examine(tmp_path) if finding.what == "disk"]
    assert advice == "less than 5 GiB; make room, or work in another folder"


def test_devices_are_named(tmp_path: Path) -> None:
    (found,) = [finding.found for finding in examine(tmp_path) if finding.what == "devices"]
    assert torch.__version__ in found


# --- the command ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def told() -> str:
    return CliRunner().invoke(app, ["doctor", "--model", "tiny"]).output


def test_the_command_prints_the_size_of_a_preset(told: str) -> None:
    counts = count_parameters(ModelConfig(preset="tiny"), InputsConfig(), num_pieces=30522)
    assert f"{sum(counts.values()):,}" in told


def test_the_command_prints_what_fits_into_gpus(told: str) -> None:
    assert "141 GB" in told
    assert "Computed, not measured: bf16, 8 frames of 224" in told


def test_the_command_fails_where_something_would_not_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GRAM_FFMPEG", "/nowhere")
    assert CliRunner().invoke(app, ["doctor"]).exit_code == 1


def test_the_command_refuses_a_preset_that_is_not_there() -> None:
    result = CliRunner().invoke(app, ["doctor", "--model", "huge"])
    assert result.exit_code == 2
    assert "huge" in result.output


def test_the_command_alone_shows_its_help() -> None:
    assert "doctor" in CliRunner().invoke(app, []).output
