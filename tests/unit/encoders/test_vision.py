import pytest
import torch
from torch import Tensor

from gram.encoders.vision import VisionEncoder


def build(*, pixels: int = 16) -> VisionEncoder:
    torch.manual_seed(0)
    return VisionEncoder(
        pixels=pixels, patch=8, width=16, depth=2, heads=2, mlp_width=32, drop_path=0.0
    ).eval()


def frames(*shape: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)


def test_each_frame_has_a_class_token_and_its_patches() -> None:
    assert build()(frames(2, 3, 3, 16, 16)).tokens_buld.shape == (2, 3, 5, 16)


def test_an_item_is_the_mean_of_the_class_tokens_of_its_frames() -> None:
    encoded = build()(frames(2, 3, 3, 16, 16))
    torch.testing.assert_close(encoded.pooled_bd, encoded.tokens_buld[:, :, 0].mean(dim=1))


def test_the_order_of_frames_does_not_change_the_item() -> None:
    encoder, frames_bfchw = build(), frames(2, 3, 3, 16, 16)
    torch.testing.assert_close(
        encoder(frames_bfchw.flip(1)).pooled_bd, encoder(frames_bfchw).pooled_bd
    )


def test_the_tokens_of_a_frame_are_those_of_the_frame_alone() -> None:
    encoder, frames_bfchw = build(), frames(2, 3, 3, 16, 16)
    alone = encoder(frames_bfchw[1:, 2:]).tokens_buld[0, 0]
    torch.testing.assert_close(encoder(frames_bfchw).tokens_buld[1, 2], alone)


def test_one_channel_counts_as_three_equal_ones() -> None:
    encoder, depth_bfchw = build(), frames(2, 3, 1, 16, 16)
    torch.testing.assert_close(
        encoder(depth_bfchw).pooled_bd, encoder(depth_bfchw.repeat(1, 1, 3, 1, 1)).pooled_bd
    )


def test_pixels_are_normalized_as_clip_does() -> None:
    encoder, frames_bfchw = build(), frames(1, 1, 3, 16, 16)
    seen: list[Tensor] = []
    encoder.tower.patch_embed.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    encoder(frames_bfchw)
    expected = frames_bfchw[0, 0].double() / 255
    expected -= torch.tensor([0.48145466, 0.4578275, 0.40821073]).view(3, 1, 1)
    expected /= torch.tensor([0.26862954, 0.26130258, 0.27577711]).view(3, 1, 1)
    torch.testing.assert_close(seen[0][0].double(), expected, rtol=1e-5, atol=1e-6)


def test_the_normalization_is_not_saved() -> None:
    assert not {"mean", "std"} & set(build().state_dict())


@pytest.mark.parametrize(("width", "mlp_width"), [(16, 47), (64, 128), (56, 488)])
def test_the_hidden_layer_has_the_width_that_was_asked_for(width: int, mlp_width: int) -> None:
    encoder = VisionEncoder(
        pixels=16, patch=8, width=width, depth=1, heads=2, mlp_width=mlp_width, drop_path=0.0
    )
    assert len(encoder.state_dict()["tower.blocks.0.mlp.fc1.weight"]) == mlp_width


def test_a_frame_of_no_whole_number_of_patches_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"frames of 20 pixels are no whole .* patches of 8; change inputs\.image"
    ):
        build(pixels=20)


def test_tokens_have_gone_through_the_final_norm() -> None:
    tokens_ld = build()(frames(2, 3, 3, 16, 16)).tokens_buld.flatten(0, 2)
    torch.testing.assert_close(tokens_ld.mean(dim=1), torch.zeros(30), rtol=0, atol=1e-5)
    torch.testing.assert_close(
        tokens_ld.std(dim=1, correction=0), torch.ones(30), rtol=0, atol=1e-3
    )


def test_every_parameter_learns() -> None:
    encoder = build()
    total = encoder(frames(2, 3, 3, 16, 16)).pooled_bd.square().sum()
    names, weights = zip(*encoder.named_parameters(), strict=True)
    gradients = torch.autograd.grad(total, weights, allow_unused=True)
    unused = [name for name, gradient in zip(names, gradients, strict=True) if gradient is None]
    assert unused == []


def test_frames_of_another_size_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"reads frames of 16 x 16 pixels, got 16 x 24; resize them, or change"
    ):
        build()(frames(1, 1, 3, 16, 24))


def test_attention_is_the_fused_one() -> None:
    assert all(block.attn.fused_attn for block in build().tower.blocks)


def test_in_training_blocks_are_dropped() -> None:
    torch.manual_seed(0)
    encoder = VisionEncoder(
        pixels=16, patch=8, width=16, depth=4, heads=2, mlp_width=32, drop_path=0.9
    ).train()
    given = frames(1, 1, 3, 16, 16)
    assert not torch.equal(encoder(given).pooled_bd, encoder(given).pooled_bd)


def test_in_evaluation_no_block_is_dropped() -> None:
    torch.manual_seed(0)
    encoder = VisionEncoder(
        pixels=16, patch=8, width=16, depth=4, heads=2, mlp_width=32, drop_path=0.9
    ).eval()
    given = frames(1, 1, 3, 16, 16)
    assert torch.equal(encoder(given).pooled_bd, encoder(given).pooled_bd)
