"""The recorded matching head and its text encoder, in our classes, as readers of pairs."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gram.encoders.text import TextEncoder
from gram.evaluation.rerank import Match, match_probability
from gram.types import Tokens
from tests.golden.recording import facts_of

Tensors = dict[str, Tensor]
Matcher = Callable[[str], Match]
"""Gives what reads pairs, from the letters of the modalities whose tokens it reads."""


def text_encoder(state: Tensors) -> TextEncoder:
    """Build the text encoder with recorded weights of whatever size."""
    start = "multimodal_encoder.bert."
    given = {name.removeprefix(start): one for name, one in state.items() if name.startswith(start)}
    pieces, width = given["embeddings.word_embeddings.weight"].shape
    encoder = TextEncoder(
        pieces=pieces,
        max_tokens=len(given["embeddings.position_embeddings.weight"]),
        width=width,
        depth=sum(name.endswith("attention.self.query.weight") for name in given) // 2,
        heads=facts_of("03_bert")["config"]["num_attention_heads"],
        mlp_width=len(given["encoder.layer.0.intermediate.dense.weight"]),
        dropout=0.0,
    )
    for name, own in encoder.bert.named_parameters():
        own.data[: len(given[name])] = given[name]  # our table of positions may be longer
    return encoder.eval()


def match_head(state: Tensors) -> nn.Sequential:
    """Build the matching head with recorded weights."""
    given = {name: state[f"itm_head.{name}.weight"] for name in ("linear1", "layernorm", "linear2")}
    width = len(given["layernorm"])
    layers = [nn.Linear(width, width), nn.LayerNorm(width, eps=1e-12), nn.Linear(width, 2)]
    for layer, (name, weight) in zip(layers, given.items(), strict=True):
        layer.load_state_dict({"weight": weight, "bias": state[f"itm_head.{name}.bias"]})
    return nn.Sequential(layers[0], nn.GELU(), *layers[1:])


def matcher_of(state: Tensors, given: Tensors, *, shares: bool) -> Matcher:
    """Read pairs one by one, or, as a run does, what pairs of an item share once."""
    encoder, head = text_encoder(state), match_head(state)
    ids_nl, mask_nl = given["eval.in.input_ids"], given["eval.in.attention_mask"].bool()
    prepared = encoder.pair_reader(Tokens(ids_bl=ids_nl, mask_bl=mask_nl))

    def reader(letters: str) -> Match:
        condition_mqd = given[f"eval.in.condition_feats_{letters}"]
        mask_1q = torch.ones(1, condition_mqd.shape[1], dtype=torch.bool)

        @torch.no_grad()
        def match_shared(texts_p: Tensor, items_p: Tensor) -> Tensor:
            read_p = torch.zeros(len(texts_p))
            for item in items_p.unique().tolist():
                pairs, condition_1qd = items_p == item, condition_mqd[item : item + 1]
                first_bd = prepared.first_tokens(texts_p[pairs], condition_1qd, mask_1q=mask_1q)
                read_p[pairs] = match_probability(head(first_bd))
            return read_p

        @torch.no_grad()
        def match(texts_p: Tensor, items_p: Tensor) -> Tensor:
            texts = Tokens(ids_bl=ids_nl[texts_p], mask_bl=mask_nl[texts_p])
            condition_pqd = condition_mqd[items_p]
            everything_pq = torch.ones(condition_pqd.shape[:2], dtype=torch.bool)
            read_pd = encoder.match(texts, condition_pqd, condition_mask_bq=everything_pq)
            return match_probability(head(read_pd))

        return match_shared if shares else match

    return reader
