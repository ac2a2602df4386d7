"""The encoders with the recorded weights, run on the recorded inputs."""

import re

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.models.bert.modeling_bert import BertOnlyMLMHead

from gram import upstream
from gram.encoders.beats import Beats, BeatsSizes
from gram.encoders.beats_attention import distance_buckets
from gram.encoders.text import TextEncoder
from gram.encoders.vision import VisionEncoder
from tests.golden.compared import Pair, Pairs, Recording, below, numbers, outputs_of, paired

# --- EVA --------------------------------------------------------------------------------------


def build_eva(recording: Recording, *, pixels: int | None = None) -> VisionEncoder:
    """Build the tower with its weights, for the recorded resolution or another."""
    flags, config = recording.facts["resolved_flags"], recording.facts["model_cfg_used"]
    encoder = VisionEncoder(
        pixels=pixels or flags["image_size"],
        patch=config["vision_cfg"]["patch_size"],
        width=flags["embed_dim"],
        depth=config["vision_cfg"]["layers"],
        heads=flags["heads"],
        mlp_width=flags["mlp_hidden"],
        drop_path=config["vision_cfg"]["drop_path_rate"],
    )
    weights = below("state.visual.", recording)
    tower = {name: weight for name, weight in weights.items() if not name.startswith("head.")}
    tokens = encoder.tower.pos_embed.shape[1]
    tower["pos_embed"] = upstream.resize_positions(tower["pos_embed"], tokens, mode="bicubic")
    encoder.tower.load_state_dict(tower)
    return encoder.eval()


def eva_values(encoder: VisionEncoder, recording: Recording) -> Pairs:
    """Compare patches, blocks, tokens and the head of CLIP."""
    modules: dict[str, nn.Module] = {"mid.patch_embed": encoder.tower.patch_embed}
    for number in numbers(r"mid\.block(\d+)", recording):
        modules[f"mid.block{number}"] = encoder.tower.blocks[int(number)]
    with outputs_of(modules) as seen, torch.no_grad():
        tokens_bld = encoder.tower.forward_features(recording.tensors["in.pixels"])
    head = below("state.visual.head.", recording)
    clip_bd = functional.linear(tokens_bld[:, 0], head["weight"], head["bias"])
    return paired({**seen, "out.all_features": tokens_bld, "out.clip_head": clip_bd}, recording)


def eva_gradients(encoder: VisionEncoder, recording: Recording) -> Pairs:
    """Compare the gradients of pixels and weights."""
    pixels = recording.tensors["in.pixels"].clone().requires_grad_()
    tokens_bld = encoder.tower.forward_features(pixels)
    inputs = {"pixels": pixels} | {
        f"visual.{name}": weight for name, weight in encoder.tower.named_parameters()
    }
    return _gradients((tokens_bld * recording.tensors["in.cotangent"]).sum(), inputs, recording)


def eva_resized(recording: Recording) -> Pairs:
    """Compare the position table and the tokens of the tower at the larger resolution."""
    encoder = build_eva(recording, pixels=recording.facts["resize_image_size"])
    with torch.no_grad():
        tokens_bld = encoder.tower.forward_features(recording.tensors["resize.in.pixels"])
    positions = encoder.tower.pos_embed.detach()
    return paired({"resize.out.all_features": tokens_bld, "resize.pos_embed": positions}, recording)


# --- BEATs ------------------------------------------------------------------------------------


def build_beats(recording: Recording) -> Beats:
    """Build the network of the recorded configuration, with its weights."""
    config = recording.facts["cfg_used"]
    sizes = BeatsSizes(
        patch=config["input_patch_size"],
        patch_width=config["embed_dim"],
        width=config["encoder_embed_dim"],
        depth=config["encoder_layers"],
        heads=config["encoder_attention_heads"],
        mlp_width=config["encoder_ffn_embed_dim"],
        dropout=config["dropout"],
        layer_drop=config["encoder_layerdrop"],
        gradient_decay=config["layer_wise_gradient_decay_ratio"],
        position_kernel=config["conv_pos"],
        position_groups=config["conv_pos_groups"],
        buckets=config["num_buckets"],
        max_distance=config["max_distance"],
    )
    network = Beats(sizes)
    network.load_state_dict(below("state.", recording))
    return network.eval()


def beats_values(network: Beats, recording: Recording) -> Pairs:
    """Compare the tokens of every recorded input, and all that was recorded on the way."""
    pairs: Pairs = {}
    for case in numbers(r"in\.fbank_(\w+)", recording):
        layers = network.encoder.layers
        modules: dict[str, nn.Module] = {
            f"mid_{case}.patch_conv": network.patch_embedding,
            f"mid_{case}.encoder_input": network.post_extract_proj,
            f"mid_{case}.pos_conv": network.encoder.pos_conv,
            **{f"mid_{case}.layer{number}": layer for number, layer in enumerate(layers)},
        }
        with outputs_of(modules) as seen, torch.no_grad():
            tokens_bld = network(recording.tensors[f"in.fbank_{case}"])
            seen[f"mid_{case}.rel_bias"] = layers[0].self_attn.bias(
                tokens_bld.shape[1], max_distance=network.encoder.sizes.max_distance
            )
        seen[f"out.{case}"] = tokens_bld
        pairs |= paired(
            {name: value for name, value in seen.items() if name in recording.tensors}, recording
        )
    return pairs


def beats_buckets(network: Beats, recording: Recording) -> Pair:
    """Compare the table of buckets."""
    sizes = network.encoder.sizes
    given = distance_buckets(
        recording.tensors["mid.rel_pos"], buckets=sizes.buckets, max_distance=sizes.max_distance
    )
    return Pair(given, recording.tensors["mid.rel_bucket"])


def beats_gradients(network: Beats, recording: Recording) -> Pairs:
    """Compare the gradients of filter banks and weights."""
    pairs: Pairs = {}
    for case in numbers(r"in\.cotangent_(\w+)", recording):
        banks = recording.tensors[f"in.fbank_{case}"].clone().requires_grad_()
        total = (network(banks) * recording.tensors[f"in.cotangent_{case}"]).sum()
        inputs = {"fbank": banks, **dict(network.named_parameters(remove_duplicate=False))}
        pairs |= _gradients(total, inputs, recording, start=f"grad_{case}.")
    return pairs


# --- BERT -------------------------------------------------------------------------------------


def build_bert(recording: Recording) -> TextEncoder:
    """Build the network of the recorded configuration, with its weights."""
    config = recording.facts["config"]
    encoder = TextEncoder(
        pieces=config["vocab_size"],
        max_tokens=config["max_position_embeddings"],
        width=config["hidden_size"],
        depth=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        mlp_width=config["intermediate_size"],
        dropout=config["hidden_dropout_prob"],
    )
    weights = below("state.bert.", recording)
    weights.pop("embeddings.position_ids", None)  # numbers of the rows: a buffer, not saved now
    encoder.bert.load_state_dict(weights)
    return encoder.eval()


def bert_values(encoder: TextEncoder, recording: Recording) -> Pairs:
    """Compare a text alone, with a condition (each layer), and with a masked condition."""
    given = recording.tensors
    ids_bl, mask_bl = given["in.input_ids"], given["in.attention_mask"].bool()
    condition_bqd = given["in.encoder_hidden_states"]
    stages = [encoder.bert.embeddings, *encoder.bert.encoder.layer]
    modules = {f"mid.cross.hidden{number}": stage for number, stage in enumerate(stages)}
    with torch.no_grad():
        alone = encoder.read(ids_bl, mask_bl)
        with outputs_of(modules) as seen:
            crossed = encoder.read(ids_bl, mask_bl, condition_bqd=condition_bqd)
        masked = encoder.read(
            ids_bl,
            mask_bl,
            condition_bqd=condition_bqd,
            condition_mask_bq=given["in.encoder_attention_mask"].bool(),
        )
    outputs = {"out.text_only": alone, "out.cross": crossed, "out.cross_masked": masked}
    return paired({**seen, **outputs}, recording)


def bert_caption_values(encoder: TextEncoder, recording: Recording) -> Pairs:
    """Compare loss and logits of captioning: masked words, each token reads those before it."""
    with torch.no_grad():
        loss, logits_blp = _caption_loss(
            encoder, recording, condition_bqd=recording.tensors["in.encoder_hidden_states"]
        )
    return paired({"out.mlm_causal.loss": loss, "out.mlm_causal.logits": logits_blp}, recording)


def bert_gradients(encoder: TextEncoder, recording: Recording) -> Pairs:
    """Compare the gradients of captioning: condition, word table, keys of the cross attention."""
    condition_bqd = recording.tensors["in.encoder_hidden_states"].clone().requires_grad_()
    loss, _ = _caption_loss(encoder, recording, condition_bqd=condition_bqd)
    inputs = {
        "encoder_hidden_states": condition_bqd,
        "word_embeddings_rowsum": encoder.bert.embeddings.word_embeddings.weight,
    } | {
        f"cross_key_weight_layer{number}": layer.crossattention.self.key.weight
        for number, layer in enumerate(encoder.bert.encoder.layer)
    }
    names = [name for name in inputs if f"grad.mlm.{name}" in recording.tensors]
    gradients = torch.autograd.grad(loss, [inputs[name] for name in names])
    return {
        f"grad.mlm.{name}": Pair(
            gradient.sum(dim=1) if name.endswith("rowsum") else gradient,
            recording.tensors[f"grad.mlm.{name}"],
        )
        for name, gradient in zip(names, gradients, strict=True)
    }


def _caption_loss(
    encoder: TextEncoder, recording: Recording, *, condition_bqd: Tensor
) -> tuple[Tensor, Tensor]:
    head = BertOnlyMLMHead(encoder.bert.config).eval()
    head.load_state_dict(below("state.cls.", recording))
    hidden_bld = encoder.read(
        recording.tensors["in.input_ids"],
        recording.tensors["in.attention_mask_3d"].bool(),
        condition_bqd=condition_bqd,
    )
    words = encoder.bert.embeddings.word_embeddings.weight  # the head's table is this one
    transformed_bld = head.predictions.transform(hidden_bld)
    logits_blp = functional.linear(transformed_bld, words, head.predictions.bias)
    labels_bl = recording.tensors["in.labels"]
    return functional.cross_entropy(logits_blp.flatten(0, 1), labels_bl.flatten()), logits_blp


# --- all --------------------------------------------------------------------------------------


def _gradients(
    total: Tensor, inputs: dict[str, Tensor], recording: Recording, *, start: str = "grad."
) -> Pairs:
    """Compare the gradients that were recorded below a start."""
    names = list(below(start, recording))
    gradients = torch.autograd.grad(total, [inputs[name] for name in names])
    return {
        f"{start}{name}": Pair(gradient, recording.tensors[f"{start}{name}"])
        for name, gradient in zip(names, gradients, strict=True)
    }


def published_numbers(recording: Recording) -> set[str]:
    """Name what was recorded of the network's doing: all but inputs, weights and distances."""
    is_given = re.compile(r"(.*\.)?in\..*|state\..*|mid\.rel_.*")
    return {name for name in recording.tensors if not is_given.fullmatch(name)}
