"""The vision tower of the published code: values, gradients, another resolution."""

import re
from collections.abc import Callable

import pytest
import torch

from gram.encoders.vision import VisionEncoder
from tests.golden.compared import Recording, assert_gradients, assert_values, below
from tests.golden.encoder_runs import (
    build_eva,
    eva_gradients,
    eva_resized,
    eva_values,
    published_numbers,
)


@pytest.fixture
def recording(golden: Callable[[str], Recording]) -> Recording:
    return golden("03_eva_clip")


@pytest.fixture
def encoder(recording: Recording) -> VisionEncoder:
    return build_eva(recording)


def test_patches_blocks_tokens_and_head_are_the_published_ones(
    encoder: VisionEncoder, recording: Recording
) -> None:
    assert_values(eva_values(encoder, recording))


def test_gradients_are_the_published_ones(encoder: VisionEncoder, recording: Recording) -> None:
    assert_gradients(eva_gradients(encoder, recording))


def test_gradients_are_the_published_ones_with_activations_computed_again(
    encoder: VisionEncoder, recording: Recording
) -> None:
    encoder.checkpoint_activations()
    assert_gradients(eva_gradients(encoder, recording))


def test_at_another_resolution_positions_and_tokens_are_the_published_ones(
    recording: Recording,
) -> None:
    assert_values(eva_resized(recording))


def test_every_recorded_number_is_compared(encoder: VisionEncoder, recording: Recording) -> None:
    compared = {
        *eva_values(encoder, recording),
        *eva_gradients(encoder, recording),
        *eva_resized(recording),
    }
    assert compared == published_numbers(recording)


def test_the_tower_has_the_published_weights_and_no_head(
    encoder: VisionEncoder, recording: Recording
) -> None:
    names = {name for name in below("state.visual.", recording) if not name.startswith("head.")}
    assert set(encoder.tower.state_dict()) == names


def test_blocks_are_dropped_as_often_as_published(
    encoder: VisionEncoder, recording: Recording
) -> None:
    published = [
        float(found.group(1)) if (found := re.search(r"p=([\d.e-]+)", one)) else 0.0
        for one in recording.facts["resolved_flags"]["drop_path"]
    ]
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in encoder.tower.blocks]
    torch.testing.assert_close(rates, published, rtol=0, atol=1e-7)


def test_both_branches_of_a_block_are_dropped_equally_often(encoder: VisionEncoder) -> None:
    rates = [
        (getattr(block.drop_path1, "drop_prob", 0.0), getattr(block.drop_path2, "drop_prob", 0.0))
        for block in encoder.tower.blocks
    ]
    assert [one for one, _ in rates] == [other for _, other in rates]
