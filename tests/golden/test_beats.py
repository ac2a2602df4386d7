"""The audio network of the published code: values of every recorded length, buckets, gradients."""

from collections.abc import Callable

import pytest
import torch

from gram.encoders.beats import Beats
from tests.golden.compared import Recording, assert_gradients, assert_values, below
from tests.golden.encoder_runs import (
    beats_buckets,
    beats_gradients,
    beats_values,
    build_beats,
    published_numbers,
)


@pytest.fixture
def recording(golden: Callable[[str], Recording]) -> Recording:
    return golden("03_beats")


@pytest.fixture
def network(recording: Recording) -> Beats:
    return build_beats(recording)


def test_values_of_every_length_are_the_published_ones(
    network: Beats, recording: Recording
) -> None:
    assert_values(beats_values(network, recording))


def test_distances_fall_into_the_published_buckets(network: Beats, recording: Recording) -> None:
    given, expected = beats_buckets(network, recording)
    assert torch.equal(given, expected)


def test_gradients_are_the_published_ones(network: Beats, recording: Recording) -> None:
    assert_gradients(beats_gradients(network, recording))


def test_gradients_are_the_published_ones_with_activations_computed_again(
    network: Beats, recording: Recording
) -> None:
    network.encoder.is_checkpointed = True
    assert_gradients(beats_gradients(network, recording))


def test_every_recorded_number_is_compared(network: Beats, recording: Recording) -> None:
    compared = {*beats_values(network, recording), *beats_gradients(network, recording)}
    assert compared == published_numbers(recording)


def test_the_network_has_the_published_weights(network: Beats, recording: Recording) -> None:
    assert set(network.state_dict()) == set(below("state.", recording))


def test_what_is_one_weight_in_the_published_network_is_one_here(
    network: Beats, recording: Recording
) -> None:
    weights = dict(network.named_parameters(remove_duplicate=False))
    shared = [weights[name] for name in recording.facts["shared_keys"]]
    assert {id(weight) for weight in shared} == {id(shared[0])}
