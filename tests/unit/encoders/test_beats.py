import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gram.encoders import beats
from gram.encoders.beats import (
    Beats,
    BeatsLayer,
    PositionConvolution,
    is_drawn,
    residual_scale,
    scale_gradient,
    tokens_of,
)
from gram.encoders.beats_attention import GatedAttention, distance_buckets
from tests.unit.encoders.made_beats import sizes


def build(**settings: float) -> Beats:
    torch.manual_seed(0)
    return Beats(sizes(**settings)).eval()  # type: ignore[arg-type]


def banks(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def gradients(network: Beats, *, seed: int = 0) -> dict[str, Tensor]:
    """Give the gradient of each weight, of a fixed sum of the tokens."""
    tokens_bld = network(banks(2, 48, 32))
    total = (tokens_bld * banks(*tokens_bld.shape, seed=seed + 1)).sum()
    names, weights = zip(*network.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(total, weights), strict=True))


# --- tokens -----------------------------------------------------------------------------------


def test_the_mel_index_of_the_tokens_runs_fastest() -> None:
    patches_bpij = torch.arange(6).view(1, 1, 2, 3)  # two in time, three in frequency
    assert tokens_of(patches_bpij).flatten().tolist() == [0, 1, 2, 3, 4, 5]


def test_a_patch_becomes_the_token_of_its_place() -> None:
    network, banks_btm = build(), torch.zeros(1, 48, 32)
    banks_btm[:, :16, 16:] = 1  # first in time, second in frequency
    seen: list[Tensor] = []
    network.layer_norm.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    network(banks_btm)
    assert seen[0][0].any(dim=1).tolist() == [False, True, False, False, False, False]


def test_patches_as_wide_as_tokens_are_not_projected() -> None:
    assert not [name for name in build(patch_width=24).state_dict() if "post_extract" in name]


def test_what_is_left_over_after_the_last_patch_is_not_read() -> None:
    network, banks_btm = build(), banks(1, 40, 32)
    torch.testing.assert_close(network(banks_btm), network(banks_btm[:, :32]))


def test_layers_start_from_different_weights() -> None:
    first, second = build().encoder.layers
    assert not torch.equal(first.fc1.weight, second.fc1.weight)


# --- attention --------------------------------------------------------------------------------


@pytest.mark.parametrize("distance", [-40, -7, -2, -1, 0, 1, 2, 3, 5, 40])
def test_a_distance_falls_into_the_bucket_that_its_formula_says(distance: int) -> None:
    length, half, exact, most = abs(distance), 8, 4, 20
    coarse = exact + int(math.log(max(length, 1) / exact) / math.log(most / exact) * (half - exact))
    expected = (length if length < exact else min(coarse, half - 1)) + (8 if distance > 0 else 0)
    found = distance_buckets(torch.tensor([distance]), buckets=16, max_distance=most)
    assert found.tolist() == [expected]


def test_the_bias_of_a_query_and_key_is_that_of_the_key_s_distance() -> None:
    attention = GatedAttention(width=8, heads=2, buckets=8, dropout=0.0)
    bias_hll = attention.bias(5, max_distance=6)
    ahead_two = distance_buckets(torch.tensor(2), buckets=8, max_distance=6)
    expected_h = attention.relative_attention_bias.weight[ahead_two]
    torch.testing.assert_close(bias_hll[:, 1, 3], expected_h)


def test_attention_is_softmax_of_scaled_products_plus_gated_bias() -> None:
    torch.manual_seed(0)
    attention = GatedAttention(width=8, heads=2, buckets=8, dropout=0.0)
    nn.init.normal_(attention.grep_a)
    tokens_bld, bias_hll = banks(3, 5, 8), attention.bias(5, max_distance=6)
    read_bld = torch.zeros(3, 5, 8)
    for head in range(2):
        part = slice(4 * head, 4 * head + 4)
        query, key, value = (
            linear(tokens_bld)[..., part]
            for linear in (attention.q_proj, attention.k_proj, attention.v_proj)
        )
        raw = attention.grep_linear(query)
        update, reset = raw[..., :4].sum(-1).sigmoid(), raw[..., 4:].sum(-1).sigmoid()
        gate = 2 + update * (reset * attention.grep_a[0, head, 0, 0] - 1)
        logits = query @ key.mT / 2 + gate.unsqueeze(-1) * bias_hll[head]
        read_bld[..., part] = logits.softmax(-1) @ value
    torch.testing.assert_close(attention(tokens_bld, bias_hll), attention.out_proj(read_bld))


def test_the_layers_share_one_table_of_the_bias() -> None:
    layers = build(depth=3).encoder.layers
    assert len({id(layer.self_attn.relative_attention_bias) for layer in layers}) == 1


# --- layers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "expected"), [(2, 2**0.5), (8, 2.0)])
def test_the_input_of_a_branch_is_scaled_by_depth(depth: int, expected: float) -> None:
    assert residual_scale(depth) == pytest.approx(expected)


def test_a_layer_norms_the_sum_of_scaled_input_and_branch() -> None:
    layer, tokens_bld = BeatsLayer(sizes(depth=8)), banks(2, 4, 24)
    bias_hll = layer.self_attn.bias(4, max_distance=6)
    attended = functional.layer_norm(2 * tokens_bld + layer.self_attn(tokens_bld, bias_hll), (24,))
    thought = layer.fc2(functional.gelu(layer.fc1(attended)))
    expected = functional.layer_norm(2 * attended + thought, (24,))
    torch.testing.assert_close(layer(tokens_bld, bias_hll), expected)


@pytest.mark.parametrize("kernel", [3, 4])
def test_the_positional_convolution_gives_one_vector_a_token(kernel: int) -> None:
    convolution = PositionConvolution(6, kernel=kernel, groups=2)
    assert convolution(banks(2, 7, 6)).shape == (2, 7, 6)


@pytest.mark.parametrize(("kernel", "read"), [(3, [2, 3, 4]), (4, [2, 3, 4, 5])])
def test_the_positional_convolution_looks_around_a_token(kernel: int, read: list[int]) -> None:
    convolution, tokens_bld = PositionConvolution(6, kernel=kernel, groups=2), torch.zeros(1, 8, 6)
    tokens_bld[0, 3] = 1
    moved = (convolution(tokens_bld)[0].abs() > 1e-9).any(dim=1)
    assert moved.nonzero().flatten().tolist() == read


def test_a_place_of_the_kernel_has_the_length_that_its_weight_says() -> None:
    convolution = PositionConvolution(6, kernel=4, groups=2)
    nn.init.uniform_(convolution.weight_g, 1, 2)
    lengths = convolution.weight().square().sum(dim=(0, 1)).sqrt()
    torch.testing.assert_close(lengths, convolution.weight_g.flatten())


# --- gradients --------------------------------------------------------------------------------


def test_a_scaled_gradient_leaves_the_value() -> None:
    value = banks(3)
    assert torch.equal(scale_gradient(value, 0.6), value)


def test_a_scaled_gradient_is_multiplied() -> None:
    value = banks(3).requires_grad_()
    (gradient,) = torch.autograd.grad(scale_gradient(value, 0.6).sum(), value)
    torch.testing.assert_close(gradient, torch.full((3,), 0.6))


@pytest.mark.parametrize(
    ("name", "power"),
    [
        ("encoder.layers.2.fc1.weight", 0),
        ("encoder.layers.1.fc1.weight", 1),
        ("encoder.layers.0.fc1.weight", 2),
        ("encoder.pos_conv.0.weight_g", 3),
        ("patch_embedding.weight", 3),
    ],
    ids=["last", "middle", "first", "positions", "patches"],
)
def test_gradients_decay_once_a_layer_in_front(name: str, power: int) -> None:
    whole = gradients(build(depth=3, gradient_decay=1.0))[name]
    decayed = gradients(build(depth=3, gradient_decay=0.6))[name]
    assert (decayed - 0.6**power * whole).norm() < 1e-5 * decayed.norm()


# --- layers that are left out -----------------------------------------------------------------


def test_layers_are_left_out_as_often_as_was_asked_for() -> None:
    torch.manual_seed(0)
    left_out = sum(is_drawn(0.3) for _ in range(2000)) / 2000
    assert abs(left_out - 0.3) < 0.03


def test_in_training_a_layer_that_is_drawn_is_left_out() -> None:
    network = build(layer_drop=1.0).train()
    seen: list[Tensor] = []
    network.encoder.layer_norm.register_forward_hook(lambda _, given, output: seen.append(output))
    assert torch.equal(network(banks(1, 48, 32)), seen[0])


def test_each_layer_is_drawn_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []
    monkeypatch.setattr(beats, "is_drawn", lambda rate: bool(asked.append(rate)))
    build(depth=3, layer_drop=0.25).train()(banks(1, 48, 32))
    assert asked == [0.25] * 3


def test_in_evaluation_no_layer_is_left_out() -> None:
    network = build(layer_drop=1.0)
    assert torch.equal(network(banks(1, 48, 32)), build(layer_drop=0.0)(banks(1, 48, 32)))


def test_evaluation_draws_nothing() -> None:
    network = build(layer_drop=0.5)
    before = torch.get_rng_state()
    network(banks(1, 48, 32))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_seed_decides_which_layers_are_left_out() -> None:
    torch.manual_seed(3)
    first = [is_drawn(0.5) for _ in range(20)]
    torch.manual_seed(3)
    assert [is_drawn(0.5) for _ in range(20)] == first


# --- sizes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"heads": 5}, r"width of 24 is no whole number of heads \(5\); change model\.audio"),
        ({"position_groups": 7}, r"width of 24 is no .* position_groups \(7\); change model\."),
        ({"buckets": 3}, r"3 buckets cannot hold distances up to 6: .* change model\.audio"),
        ({"buckets": 32}, r"32 buckets cannot hold distances up to 6: .* change model\.audio"),
    ],
    ids=["heads", "groups", "few buckets", "short distance"],
)
def test_sizes_that_do_not_fit_are_refused(change: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        sizes(**change)  # type: ignore[arg-type]
