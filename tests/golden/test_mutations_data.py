"""One behavior of data path or evaluation is changed at a time: the comparison must notice.

What the comparisons hold without a change is what the other files of this folder test.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gram.config import InputsConfig
from gram.data import transforms
from gram.evaluation import rerank as reranking
from gram.evaluation.scores import NearIs
from tests.golden import test_audio as audio
from tests.golden import test_evaluation as evaluation
from tests.golden import test_frames as frames

Tensors = dict[str, Tensor]

RIGHT_BANK = transforms.filter_bank
RIGHT_PICK = transforms.pick_per_segment
RIGHT_MARKS = reranking.mark_best
PLAIN = {"audio_mean": 0.0, "audio_std": 0.5}


@pytest.fixture
def tensors(golden: Callable[[str], Any]) -> Callable[[str], Tensors]:
    def read(name: str) -> Tensors:
        found: Tensors = golden(name).tensors
        return found

    return read


# --- sound --------------------------------------------------------------------------------------


def padded_before_normalizing(samples_n: Any, inputs: InputsConfig) -> Tensor:  # noqa: ANN401
    energies_tm = RIGHT_BANK(samples_n, inputs.model_copy(update=PLAIN))
    return (energies_tm - inputs.audio_mean) / (2 * inputs.audio_std)


def with_settings(change: Callable[[InputsConfig], dict[str, Any]]) -> Callable[..., Tensor]:
    """Give a filter bank under other settings, cut to the bins of the right one."""

    def bank(samples_n: Any, inputs: InputsConfig) -> Tensor:  # noqa: ANN401
        changed = inputs.model_copy(update=change(inputs))
        return RIGHT_BANK(samples_n, changed)[:, : inputs.mel_bins]

    return bank


BANKS = {
    "padding before normalizing": padded_before_normalizing,
    "more mel bins": with_settings(lambda inputs: {"mel_bins": inputs.mel_bins + 1}),
    "another mean": with_settings(lambda inputs: {"audio_mean": inputs.audio_mean + 0.01}),
    "another deviation": with_settings(lambda inputs: {"audio_std": inputs.audio_std * 1.001}),
    "once the deviation": with_settings(lambda inputs: {"audio_std": inputs.audio_std / 2}),
    "samples in -1..1": lambda samples_n, inputs: RIGHT_BANK(samples_n / 2**15, inputs),
}


@pytest.mark.parametrize("mutant", BANKS.values(), ids=BANKS.keys())
def test_another_filter_bank_is_noticed(
    tensors: Callable[[str], Tensors],
    monkeypatch: pytest.MonkeyPatch,
    mutant: Callable[..., Tensor],
) -> None:
    recorded = tensors("05_audio")
    monkeypatch.setattr(transforms, "filter_bank", mutant)
    assert max(audio.largest_error(recorded, name) for name in audio.HEARD) > 1e-4


# --- which frames and slices --------------------------------------------------------------------


def always(draw: float) -> Callable[..., list[int]]:
    """Give a choice that takes the same place of every segment."""

    def pick(count: int, picks: int, *, draws_p: object) -> list[int]:
        return RIGHT_PICK(count, picks, draws_p=[draw] * picks)

    return pick


PICKS = {"the first": always(0.0), "the later middle": always(0.5), "the last": always(0.9999)}


@pytest.mark.parametrize("mutant", PICKS.values(), ids=PICKS.keys())
def test_another_choice_of_frames_is_noticed(mutant: Callable[..., list[int]]) -> None:
    wrong = [
        row
        for row in frames.LONG
        if mutant(row["n_frames"], row["sample_num"], draws_p=None) != row["test_indices"]
    ]
    assert wrong


@pytest.mark.parametrize("mutant", PICKS.values(), ids=PICKS.keys())
def test_another_choice_of_slices_is_noticed(
    monkeypatch: pytest.MonkeyPatch, mutant: Callable[..., list[int]]
) -> None:
    monkeypatch.setattr(transforms, "pick_per_segment", mutant)
    assert [row for row in audio.RAGGED if audio.described(audio.our_slices(row), row) != row]


def test_an_empty_slice_behind_a_full_one_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_an_empty_one(num_samples: int, inputs: InputsConfig) -> int:
        return audio.num_published_slices(transforms.num_bank_frames(num_samples), inputs)

    before = [audio.our_slices(row) for row in audio.FULL]
    monkeypatch.setattr(transforms, "num_slices", with_an_empty_one)
    assert [audio.our_slices(row) for row in audio.FULL] != before


# --- pictures -----------------------------------------------------------------------------------


def largest_error(recorded: Tensors) -> float:
    errors = [frames.error_of(recorded, name, dtype=torch.float32) for name in frames.SEEN]
    return max(errors)


@pytest.mark.parametrize("key", ["antialias", "vision_transforms"])
def test_another_way_to_scale_is_noticed(
    tensors: Callable[[str], Tensors], monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    other = {False: True, True: False, "none": "crop_flip", "crop_flip": "none"}
    for case in frames.CASES.values():
        monkeypatch.setitem(case, key, other[case[key]])
    assert largest_error(tensors("05_vision")) > 1e-2


def test_a_flip_that_is_forgotten_is_noticed(
    tensors: Callable[[str], Tensors], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = transforms.crop_flip

    def never(pictures: Tensor, crop: transforms.Crop, **sizes: Any) -> Tensor:  # noqa: ANN401
        return right(pictures, crop._replace(is_flipped=False), **sizes)

    monkeypatch.setattr(transforms, "crop_flip", never)
    assert largest_error(tensors("05_vision")) > 1e-2


def test_a_crop_that_is_moved_by_a_pixel_is_noticed(
    tensors: Callable[[str], Tensors], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = transforms._square_of

    def moved(crop: transforms.Crop, height: int, width: int) -> tuple[int, int, int]:
        top, left, side = right(crop, height, width)
        return max(0, top - 1), max(0, left - 1), side

    monkeypatch.setattr(transforms, "_square_of", moved)
    assert largest_error(tensors("05_vision")) > 1e-2


def test_another_mean_of_pixels_is_noticed(
    tensors: Callable[[str], Tensors], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "CLIP_MEAN", frames.IMAGENET[0])
    assert largest_error(tensors("05_vision")) > 1e-2


# --- ranks and re-ranking -----------------------------------------------------------------------


@pytest.mark.parametrize("tag", evaluation.METRICS)
def test_ranking_from_the_wrong_end_is_noticed(tensors: Callable[[str], Tensors], tag: str) -> None:
    scores_nm, metric = tensors("06_evaluation")[f"metric.{tag}.scores"], evaluation.METRICS[tag]
    ends: tuple[NearIs, NearIs] = ("large", "small")
    large, small = (
        evaluation.recalls_of(
            evaluation.places_of(scores_nm, metric, near_is=near_is, direction="forward")
        )
        for near_is in ends
    )
    published = evaluation.recorded_recalls(metric["compute_metric_ret.forward"], "forward")
    same = [evaluation.same_recalls([one], [published]) for one in (large, small)]
    assert same == [True, False]


def transposed(scores_qc: Tensor, **how: Any) -> Tensor:  # noqa: ANN401
    return RIGHT_MARKS(scores_qc.mT, **how).mT


def from_the_other_end(scores_qc: Tensor, *, near_is: NearIs, keep: int) -> Tensor:
    return RIGHT_MARKS(scores_qc, near_is="large" if near_is == "small" else "small", keep=keep)


def one_less(scores_qc: Tensor, *, near_is: NearIs, keep: int) -> Tensor:
    return RIGHT_MARKS(scores_qc, near_is=near_is, keep=keep - 1)


def rerank_errors(recorded: Tensors, matcher: evaluation.Matcher) -> list[float]:
    """Compare every re-ranking that was recorded with its first score."""
    errors = []
    for name in evaluation.BASES:
        letters, direction = evaluation.condition_and_direction(name)
        forward_nm, backward_nm = reranking.rerank(
            recorded[name], matcher(letters), near_is="large", keep=evaluation.KEEP
        )
        ours_nm = forward_nm if direction == "forward" else backward_nm
        errors.append(evaluation.reranked_error(ours_nm, recorded[name.removesuffix("_base")]))
    return errors


matcher = evaluation.matcher


@pytest.mark.parametrize("mutant", [transposed, from_the_other_end, one_less])
def test_marking_other_pairs_is_noticed(
    tensors: Callable[[str], Tensors],
    monkeypatch: pytest.MonkeyPatch,
    matcher: evaluation.Matcher,
    mutant: Callable[..., Tensor],
) -> None:
    monkeypatch.setattr(reranking, "mark_best", mutant)
    assert min(rerank_errors(tensors("06_evaluation"), matcher)) > 1e-4


def test_reading_another_item_is_noticed(
    tensors: Callable[[str], Tensors], matcher: evaluation.Matcher
) -> None:
    def of_the_text(letters: str) -> reranking.Match:
        match = matcher(letters)
        return lambda texts_p, items_p: match(texts_p, texts_p)

    assert min(rerank_errors(tensors("06_evaluation"), of_the_text)) > 1e-4


def test_the_probability_of_no_match_is_noticed(
    tensors: Callable[[str], Tensors], matcher: evaluation.Matcher
) -> None:
    def of_no_match(letters: str) -> reranking.Match:
        match = matcher(letters)
        return lambda texts_p, items_p: 1 - match(texts_p, items_p)

    assert min(rerank_errors(tensors("06_evaluation"), of_no_match)) > 1e-4
