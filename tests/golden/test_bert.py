"""The text network of the published code: alone, with a condition, and as it captions."""

from collections.abc import Callable

import pytest

from gram.encoders.text import TextEncoder
from tests.golden.compared import Recording, assert_gradients, assert_values, below
from tests.golden.encoder_runs import (
    bert_caption_values,
    bert_gradients,
    bert_values,
    build_bert,
    published_numbers,
)


@pytest.fixture
def recording(golden: Callable[[str], Recording]) -> Recording:
    return golden("03_bert")


@pytest.fixture
def encoder(recording: Recording) -> TextEncoder:
    return build_bert(recording)


def test_a_text_is_read_as_published_alone_and_with_a_condition(
    encoder: TextEncoder, recording: Recording
) -> None:
    assert_values(bert_values(encoder, recording))


def test_loss_and_logits_of_captioning_are_the_published_ones(
    encoder: TextEncoder, recording: Recording
) -> None:
    assert_values(bert_caption_values(encoder, recording))


def test_gradients_of_captioning_are_the_published_ones(
    encoder: TextEncoder, recording: Recording
) -> None:
    assert_gradients(bert_gradients(encoder, recording))


def test_every_recorded_number_is_compared(encoder: TextEncoder, recording: Recording) -> None:
    compared = {
        *bert_values(encoder, recording),
        *bert_caption_values(encoder, recording),
        *bert_gradients(encoder, recording),
    }
    assert compared == published_numbers(recording)


def test_the_network_has_the_published_weights(encoder: TextEncoder, recording: Recording) -> None:
    published = set(below("state.bert.", recording)) - {"embeddings.position_ids"}
    assert set(encoder.bert.state_dict()) == published
