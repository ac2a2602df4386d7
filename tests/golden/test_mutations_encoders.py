"""Do the comparisons with the published encoders bite? One behavior is changed at a time."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gram import upstream
from gram.encoders import beats, text
from gram.encoders.beats import Beats, PositionConvolution
from gram.encoders.beats_attention import GatedAttention
from gram.encoders.text import TextEncoder
from gram.encoders.vision import VisionEncoder
from tests.golden import encoder_runs
from tests.golden.compared import Recording, assert_gradients, assert_values

Golden = Callable[[str], Recording]
Patch = pytest.MonkeyPatch


def set_norm_eps(network: nn.Module, eps: float) -> None:
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = eps


def set_quick_gelu(network: nn.Module) -> None:
    """Replace the exact GELU by the one through tanh, wherever a module holds it."""
    for module in network.modules():
        for name, child in module.named_children():
            if "GELU" in type(child).__name__:
                setattr(module, name, nn.GELU(approximate="tanh"))


# --- EVA --------------------------------------------------------------------------------------


@pytest.fixture
def eva(golden: Golden) -> tuple[VisionEncoder, Recording]:
    recording = golden("03_eva_clip")
    return encoder_runs.build_eva(recording), recording


def test_the_tanh_form_of_gelu_is_noticed_in_the_vision_tower(
    eva: tuple[VisionEncoder, Recording],
) -> None:
    encoder, recording = eva
    set_quick_gelu(encoder)
    with pytest.raises(AssertionError, match=r"block0.*all_features"):
        assert_values(encoder_runs.eva_values(encoder, recording))


def test_another_eps_of_the_norms_is_noticed_in_the_vision_tower(
    eva: tuple[VisionEncoder, Recording],
) -> None:
    encoder, recording = eva
    set_norm_eps(encoder, 1e-5)
    with pytest.raises(AssertionError, match=r"block0.*all_features"):
        assert_values(encoder_runs.eva_values(encoder, recording))


def test_tokens_without_the_final_norm_are_noticed(eva: tuple[VisionEncoder, Recording]) -> None:
    encoder, recording = eva
    encoder.tower.norm = nn.Identity()
    with pytest.raises(AssertionError, match=r"all_features'.*clip_head"):
        assert_values(encoder_runs.eva_values(encoder, recording))


def test_a_bilinear_resize_is_noticed(golden: Golden, monkeypatch: Patch) -> None:
    published = upstream.resize_positions

    def bilinear(table: Tensor, tokens: int, *, mode: str) -> Tensor:
        return published(table, tokens, mode="bilinear")

    monkeypatch.setattr(upstream, "resize_positions", bilinear)
    with pytest.raises(AssertionError, match=r"resize\.out\.all_features.*resize\.pos_embed"):
        assert_values(encoder_runs.eva_resized(golden("03_eva_clip")))


# --- BEATs ------------------------------------------------------------------------------------


@pytest.fixture
def audio(golden: Golden) -> tuple[Beats, Recording]:
    recording = golden("03_beats")
    return encoder_runs.build_beats(recording), recording


def without_residual_scale(monkeypatch: Patch, _network: Beats) -> None:
    monkeypatch.setattr(beats, "residual_scale", lambda depth: 1.0)


def scale_of_one_branch(monkeypatch: Patch, _network: Beats) -> None:
    """Count layers, not branches, of which there are two a layer."""
    monkeypatch.setattr(beats, "residual_scale", lambda depth: depth**0.25)


def gate_by_the_scaled_query(monkeypatch: Patch, _network: Beats) -> None:
    unscaled = GatedAttention.gate

    def scaled(attention: GatedAttention, query_bhle: Tensor) -> Tensor:
        return unscaled(attention, query_bhle * query_bhle.shape[-1] ** -0.5)

    monkeypatch.setattr(GatedAttention, "gate", scaled)


def no_gate(monkeypatch: Patch, _network: Beats) -> None:
    monkeypatch.setattr(GatedAttention, "gate", lambda attention, query_bhle: 1.0)


def norm_over_another_axis(monkeypatch: Patch, _network: Beats) -> None:
    def weight(convolution: PositionConvolution) -> Tensor:
        length = torch.linalg.vector_norm(convolution.weight_v, dim=(1, 2), keepdim=True)
        return convolution.weight_v * (convolution.weight_g / length)

    monkeypatch.setattr(PositionConvolution, "weight", weight)


def time_fastest(monkeypatch: Patch, _network: Beats) -> None:
    in_order = beats.tokens_of
    monkeypatch.setattr(beats, "tokens_of", lambda patches_bpij: in_order(patches_bpij.mT))


def tanh_gelu_of_layers(monkeypatch: Patch, _network: Beats) -> None:
    exact = functional.gelu

    def quick(value: Tensor, **_: str) -> Tensor:
        return exact(value, approximate="tanh")

    monkeypatch.setattr(beats.functional, "gelu", quick)


def tanh_gelu_of_positions(_monkeypatch: Patch, network: Beats) -> None:
    set_quick_gelu(network.encoder.pos_conv)


def other_eps(_monkeypatch: Patch, network: Beats) -> None:
    set_norm_eps(network, 1e-4)


@pytest.mark.parametrize(
    "change",
    [
        without_residual_scale,
        scale_of_one_branch,
        gate_by_the_scaled_query,
        no_gate,
        norm_over_another_axis,
        time_fastest,
        tanh_gelu_of_layers,
        tanh_gelu_of_positions,
        other_eps,
    ],
)
def test_a_change_of_the_audio_network_is_noticed_at_every_length(
    audio: tuple[Beats, Recording],
    monkeypatch: Patch,
    change: Callable[[Patch, Beats], None],
) -> None:
    network, recording = audio
    change(monkeypatch, network)
    with pytest.raises(AssertionError) as error:
        assert_values(encoder_runs.beats_values(network, recording))
    outputs = [name for name in encoder_runs.published_numbers(recording) if "out." in name]
    assert [name for name in outputs if f"'{name}'" not in str(error.value)] == []


def test_gradients_that_do_not_decay_are_noticed(
    audio: tuple[Beats, Recording], monkeypatch: Patch
) -> None:
    network, recording = audio
    monkeypatch.setattr(beats, "scale_gradient", lambda value, factor: value)
    with pytest.raises(AssertionError, match=r"patch_embedding"):
        assert_gradients(encoder_runs.beats_gradients(network, recording))


def test_gradients_that_do_not_decay_leave_the_values_as_they_are(
    audio: tuple[Beats, Recording], monkeypatch: Patch
) -> None:
    network, recording = audio
    monkeypatch.setattr(beats, "scale_gradient", lambda value, factor: value)
    assert_values(encoder_runs.beats_values(network, recording))


def test_buckets_of_another_form_are_noticed(
    audio: tuple[Beats, Recording], monkeypatch: Patch
) -> None:
    network, recording = audio
    other = -recording.tensors["mid.rel_pos"]  # query less key
    monkeypatch.setitem(recording.tensors, "mid.rel_pos", other)
    given, expected = encoder_runs.beats_buckets(network, recording)
    assert not torch.equal(given, expected)


# --- BERT -------------------------------------------------------------------------------------


@pytest.fixture
def bert(golden: Golden) -> tuple[TextEncoder, Recording]:
    recording = golden("03_bert")
    return encoder_runs.build_bert(recording), recording


def causal(monkeypatch: Patch, _encoder: TextEncoder) -> None:
    """Let no token of a text read those behind it."""
    original = TextEncoder.read

    def read(encoder: TextEncoder, ids_bl: Tensor, given: Tensor, **rest: Tensor) -> Tensor:
        tokens = ids_bl.shape[1]
        before_bll = given[:, None] & torch.ones(tokens, tokens).tril().bool()
        return original(encoder, ids_bl, before_bll, **rest)

    monkeypatch.setattr(TextEncoder, "read", read)


def padding_is_read(monkeypatch: Patch, _encoder: TextEncoder) -> None:
    monkeypatch.setattr(text, "BLOCKED", 0.0)


def bert_tanh_gelu(_monkeypatch: Patch, encoder: TextEncoder) -> None:
    for layer in encoder.bert.encoder.layer:
        layer.intermediate.intermediate_act_fn = nn.GELU(approximate="tanh")


def bert_other_eps(_monkeypatch: Patch, encoder: TextEncoder) -> None:
    set_norm_eps(encoder, 1e-5)


@pytest.mark.parametrize("change", [causal, padding_is_read, bert_tanh_gelu, bert_other_eps])
def test_a_change_of_the_text_network_is_noticed_in_every_pass(
    bert: tuple[TextEncoder, Recording],
    monkeypatch: Patch,
    change: Callable[[Patch, TextEncoder], None],
) -> None:
    encoder, recording = bert
    change(monkeypatch, encoder)
    with pytest.raises(AssertionError, match=r"(?s)(?=.*text_only)(?=.*cross')(?=.*cross_masked)"):
        assert_values(encoder_runs.bert_values(encoder, recording))


def read_all(monkeypatch: Patch, recording: Recording, mask: str) -> None:
    """Let a mask hide nothing, in this test alone: recordings are read once for all tests."""
    monkeypatch.setitem(recording.tensors, mask, torch.ones_like(recording.tensors[mask]))


def test_a_condition_mask_that_is_not_read_is_noticed(
    bert: tuple[TextEncoder, Recording], monkeypatch: Patch
) -> None:
    encoder, recording = bert
    read_all(monkeypatch, recording, "in.encoder_attention_mask")
    with pytest.raises(AssertionError, match=r"out\.cross_masked"):
        assert_values(encoder_runs.bert_values(encoder, recording))


def test_captioning_that_reads_ahead_is_noticed(
    bert: tuple[TextEncoder, Recording], monkeypatch: Patch
) -> None:
    encoder, recording = bert
    read_all(monkeypatch, recording, "in.attention_mask_3d")
    with pytest.raises(AssertionError, match=r"mlm_causal\.logits.*mlm_causal\.loss"):
        assert_values(encoder_runs.bert_caption_values(encoder, recording))


def test_gradients_of_captioning_that_reads_ahead_are_noticed(
    bert: tuple[TextEncoder, Recording], monkeypatch: Patch
) -> None:
    encoder, recording = bert
    read_all(monkeypatch, recording, "in.attention_mask_3d")
    with pytest.raises(AssertionError, match=r"cross_key_weight_layer"):
        assert_gradients(encoder_runs.bert_gradients(encoder, recording))
