"""The memory of a training: what is computed without allocating any, beside what is measured."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
import torch

from gram.config import InputsConfig, LossConfig, ModelConfig
from gram.model import GramModel
from gram.training.counting import (
    computing_in,
    forward_operations,
    forward_step,
    kept_bytes,
    made_batch,
    without_content,
)
from gram.training.memory import Case, Kept, TrainingMemory, training_memory
from gram.training.precision import PrecisionName
from gram.types import ITEM_MODALITIES, Modality

INPUTS = InputsConfig(image_pixels=32, audio_frames=64, subtitle_tokens=40, train_frames=2)
LOSS = LossConfig(matching_on="all")
PIECES = 500
CLIPS = 8

NOTHING_AT_RANDOM: Mapping[str, Any] = {
    "text": {"dropout": 0.0},
    "audio": {"layer_drop": 0.0},
    "vision": {"drop_path": 0.0},
}
"""On a CPU attention with dropout is not that of a fused kernel."""

TINY = [
    ("tiny", "fp32", False),
    ("tiny", "fp32", True),
    ("tiny", "bf16", False),
    ("tiny", "bf16", True),
]
PASSES = ("preset", "precision", "is_checkpointed")


def config(preset: str, *, modalities: tuple[Modality, ...] = ITEM_MODALITIES) -> ModelConfig:
    return ModelConfig.model_validate(
        {"preset": preset, "modalities": modalities, **NOTHING_AT_RANDOM}
    )


@cache
def on_a_cpu(preset: str, precision: PrecisionName) -> TrainingMemory:
    return training_memory(
        config(preset), INPUTS, LOSS, num_pieces=PIECES, precision=precision, device="cpu"
    )


@cache
def on_a_gpu(matching_on: str) -> TrainingMemory:
    loss = LossConfig.model_validate({"matching_on": matching_on})
    return training_memory(config("tiny"), INPUTS, loss, num_pieces=PIECES)


def real(preset: str, *, is_checkpointed: bool) -> GramModel:
    model = GramModel(config(preset), INPUTS, pieces=("",) * PIECES).train()
    if is_checkpointed:
        model.checkpoint_activations()
    return model


def held_and_most(work: Callable[[], object]) -> tuple[int, int]:
    """Give the bytes that torch holds for the result of a call, and the most during the call."""
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        result = work()
    held = most = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            most = max(most, held)
    del result
    return held, most


def forward(model: GramModel, precision: PrecisionName) -> object:
    batch = made_batch(model, clips=CLIPS)
    with computing_in(precision, kind="cpu"):
        return forward_step(LOSS)(model, batch)


def forward_and_backward(model: GramModel, precision: PrecisionName) -> None:
    encodings, matching = forward(model, precision)  # type: ignore[misc]
    (matching + sum(one.sum() for one in encodings.embeddings.vectors.values())).backward()


@pytest.mark.parametrize(PASSES, [*TINY, ("small", "fp32", False), ("small", "fp32", True)])
def test_what_a_pass_keeps_is_what_was_computed(
    preset: str, precision: PrecisionName, is_checkpointed: bool
) -> None:
    with without_content(config(preset), INPUTS, num_pieces=PIECES, device="cpu") as model:
        if is_checkpointed:
            model.checkpoint_activations()
        computed = kept_bytes(model, forward_step(LOSS), clips=CLIPS, precision=precision)
    built = real(preset, is_checkpointed=is_checkpointed)
    held, _ = held_and_most(lambda: forward(built, precision))
    assert computed == pytest.approx(held, rel=0.1)


@pytest.mark.parametrize(PASSES, [*TINY, ("small", "fp32", True)])
def test_a_step_takes_no_more_than_was_computed(
    preset: str, precision: PrecisionName, is_checkpointed: bool
) -> None:
    memory = on_a_cpu(preset, precision)
    computed = memory.activations(CLIPS, is_checkpointed=is_checkpointed)
    built = real(preset, is_checkpointed=is_checkpointed)
    forward_and_backward(built, precision)  # the gradients are there from now on
    _, most = held_and_most(lambda: forward_and_backward(built, precision))
    assert 0.4 * computed < most < 1.1 * computed


def test_states_are_weights_gradients_and_two_moments() -> None:
    weights = sum(one.numel() for one in real("tiny", is_checkpointed=False).parameters())
    assert on_a_gpu("all").states == 16 * weights


def test_the_matching_head_reads_tokens_of_the_modalities_of_the_loss() -> None:
    sizes = {name: on_a_gpu(name).tokens for name in ("all", "video_audio")}
    frames, slices = 2 * 5, 4  # class token and four patches a frame; patches of a slice
    assert sizes["video_audio"] == 4 * 64 * (frames + slices)
    assert sizes["all"] == 4 * 64 * (2 * frames + slices + INPUTS.subtitle_tokens)


def test_without_matching_no_pair_is_counted() -> None:
    memory = training_memory(
        config("tiny"), INPUTS, LossConfig(matching_weight=0), num_pieces=PIECES
    )
    assert memory.tokens == 0
    assert memory.plain.clip < on_a_gpu("all").plain.clip


def test_a_model_that_only_reads_has_no_part_of_a_vision_tower() -> None:
    model = config("tiny", modalities=(Modality.SUBTITLE,))
    assert training_memory(model, INPUTS, LOSS, num_pieces=PIECES).vision_states == 0


# --- what follows from it ---------------------------------------------------------------------

MEMORY = TrainingMemory(
    states=1000 * 2**20,
    vision_states=800 * 2**20,
    summed=0,
    plain=Kept(clip=90 * 2**20, shared=100 * 2**20),
    checkpointed=Kept(clip=10 * 2**20, shared=0),
    layer=5 * 2**20,
    inputs=0,
    tokens=0,
)


def test_all_parts_are_added_with_a_tenth_and_a_gib() -> None:
    used = 1000 + 100 + 3 * (90 + 2 * 5)
    found = MEMORY.of_process(Case(batch_size=8), clips=3)
    assert found == pytest.approx((1.1 * used + 1024) * 2**20)


def test_shares_spare_the_vision_tower_s_states() -> None:
    whole, shared = (
        MEMORY.of_process(Case(batch_size=8, processes=4, is_sharded=is_sharded), clips=0)
        for is_sharded in (False, True)
    )
    assert whole - shared == pytest.approx(1.1 * 600 * 2**20)


def test_as_many_clips_fit_as_take_no_more_than_there_is() -> None:
    case = Case(batch_size=8)
    needed = MEMORY.of_process(case, clips=3)
    assert MEMORY.most_clips(case, memory=needed + 10) == 3
    assert MEMORY.most_clips(case, memory=needed - 10) == 2


def test_no_more_clips_are_held_than_the_share_has() -> None:
    assert MEMORY.most_clips(Case(batch_size=8, processes=4), memory=2**50) == 2


def test_where_weights_alone_do_not_fit_no_clip_does() -> None:
    assert MEMORY.most_clips(Case(batch_size=8), memory=2**30) == 0


def test_operations_grow_with_the_clips_and_are_those_of_the_matrices() -> None:
    model = config("tiny", modalities=(Modality.VIDEO,))
    with without_content(model, INPUTS, num_pieces=PIECES) as counted:
        counts = [
            forward_operations(counted, lambda one, batch: one.vision(batch.video_bfchw), clips=n)
            for n in (1, 3)
        ]
    tokens, frames, width, mlp = 5, 2, 64, 128
    patches = 2 * frames * 4 * (3 * 16 * 16) * width
    layer = 2 * frames * tokens * (4 * width * width + 2 * width * mlp + 2 * tokens * width)
    assert counts == [patches + 2 * layer, 3 * (patches + 2 * layer)]
