"""Our losses on the inputs of 02_losses, under the names of its tensors; our steps on 07_optim."""

import re
from collections.abc import Callable
from itertools import count, takewhile
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gram import losses, matching
from gram.collectives import gather, own_rank
from gram.encoders.text import TextEncoder
from gram.training.optimizer import schedule_factor
from gram.types import Tokens
from tests.golden.recording import Golden

LABEL_SMOOTHING = 0.1
"""As the recording says in words; it is in no field."""

GATHERING = "detached"
"""As the released code gathers features."""

FEATURES = ("v", "a", "s", "d")
"""Vectors of an item in the order in which a tuple grows."""

CASE = re.compile(r"w(\d+)\.r(\d+)\.k(\d+)\.(temp\d+)(_round16)?\.")

Tensors = dict[str, Tensor]


class Case(NamedTuple):
    """One recorded loss: of a rank among ranks, with a number of vectors and a temperature."""

    name: str
    ranks: int
    rank: int
    count: int
    temperature: str
    is_rounded: bool


def given_of(golden: Callable[[str], Golden]) -> dict[str, Any]:
    """Read what ``loss_parts`` needs: inputs and facts of the losses, weights of BERT."""
    recording = golden("02_losses")
    return {
        "tensors": recording.tensors,
        "facts": {name: recording.facts[name] for name in ("seed", "temperatures", "itm_ratio")},
        "state": golden("04_gram_state").tensors,
        "heads": golden("03_bert").facts["config"]["num_attention_heads"],
    }


def published_steps(
    recording: Golden, build: Callable[..., Optimizer]
) -> list[tuple[int, list[float], list[Tensor]]]:
    """Take the recorded steps of AdamW: number, rates of the groups, parameters afterwards."""
    facts, tensors = recording.facts["adamw"], recording.tensors
    names = list(takewhile(lambda name: name in tensors, (f"adamw.p{i}.init" for i in count())))
    parameters = [tensors[name].clone().requires_grad_() for name in names]
    groups = [
        {"params": [parameter], "peak": rate, "weight_decay": decay}
        for parameter, rate, decay in zip(
            parameters, facts["group_lr"], facts["group_weight_decay"], strict=True
        )
    ]
    adam = build(groups, lr=0.0, betas=tuple(facts["betas"]), eps=facts["eps"])
    steps = []
    for step in range(1, facts["num_train_steps"] + 1):
        factor = schedule_factor(
            step, num_steps=facts["num_train_steps"], warmup=facts["warmup_ratio"]
        )
        for i, (parameter, group) in enumerate(zip(parameters, adam.param_groups, strict=True)):
            group["lr"] = group["peak"] * factor
            parameter.grad = tensors[f"adamw.step{step}.grad{i}"].clone()
        adam.step()
        rates = [group["lr"] for group in adam.param_groups]
        steps.append((step, rates, [parameter.detach().clone() for parameter in parameters]))
    return steps


def case_of(key: str) -> Case | None:
    """Read what case a tensor belongs to; None: it is an input."""
    found = CASE.match(key)
    if found is None:
        return None
    ranks, rank, count, temperature, rounded = found.groups()
    name = found.group().removesuffix(".")
    return Case(name, int(ranks), int(rank), int(count), temperature, rounded is not None)


def is_same(given: Tensor, expected: Tensor, key: str) -> bool:
    """Compare as the recording asks for: whole numbers exactly, gradients by their length.

    Logits are volumes over a temperature, so their error may grow with them. Where features were
    rounded to half precision, one that lies between two such numbers may fall to either, which
    moves the match logits, and the gradients of condition tokens, by up to the spacing of those
    numbers.
    """
    if given.shape != expected.shape:
        return False
    if not expected.is_floating_point():
        return torch.equal(given, expected)
    half = torch.finfo(torch.float16).eps
    if ".grad_" in key:
        relative = half if "_round16." in key and "condition" in key else 1e-4
        return bool((given - expected).norm() <= relative * expected.norm())
    absolute = half if key.endswith("_round16.itm_logits") else 1e-5
    relative = 1e-5 if ".logits_" in key else 0.0
    return torch.allclose(given, expected, rtol=relative, atol=absolute)


def loss_parts(given: dict[str, Any], key: str) -> Tensors:
    """Compute all that was recorded of a case, as the process group's rank.

    Args:
        given: ``tensors`` of the recording and ``facts`` of it, ``state`` and ``heads`` of BERT.
        key: Name of the case of any rank.
    """
    case = case_of(f"{key}.")
    assert case is not None
    temperature = torch.tensor(given["facts"]["temperatures"][case.temperature])
    temperature.requires_grad_()
    rows = _own_rows(given["tensors"]["in.feat_t"], case.ranks)
    features = {
        name: given["tensors"][f"in.feat_{name}"][rows].clone().requires_grad_()
        for name in ("t", *FEATURES[: case.count - 1])
    }
    contrastive, parts = _contrast(features, temperature)
    parts |= _negatives(contrastive, temperature.detach(), first=rows.start)
    torch.manual_seed(given["facts"]["seed"] + 100 * case.count + own_rank())
    drawn = matching.draw_hard_negatives(
        contrastive.text_distance_bn,
        contrastive.item_distance_bn,
        temperature=temperature.detach(),
        first=rows.start,
    )
    parts |= dict(zip(("neg_cond_for_text", "neg_text_for_cond"), drawn, strict=True))
    recorded = CASE.sub(
        f"w{case.ranks}.r{own_rank()}.k{case.count}.{case.temperature}"
        f"{'_round16' if case.is_rounded else ''}.",
        f"{key}.",
    )
    negatives = [
        given["tensors"][recorded + name] for name in ("neg_cond_for_text", "neg_text_for_cond")
    ]
    parts |= _matching(given, negatives, rows=rows, is_rounded=case.is_rounded)
    return {recorded + name: part.detach() for name, part in parts.items()}


def _own_rows(whole: Tensor, ranks: int) -> slice:
    size = len(whole) // ranks
    return slice(own_rank() * size, (own_rank() + 1) * size)


def _contrast(features: Tensors, temperature: Tensor) -> tuple[losses.ContrastiveLoss, Tensors]:
    texts, *items = features.values()
    vectors_bkd = torch.stack(items, dim=1)
    gathered = gather((texts, vectors_bkd), gathering=GATHERING)  # type: ignore[arg-type]
    loss = losses.volume_contrastive_loss(
        losses.Tuples(texts, vectors_bkd),
        temperature=temperature,
        label_smoothing=LABEL_SMOOTHING,
        gathered=losses.Tuples(*gathered, None, own_rank() * len(texts)),
    )
    leaves = [*features.values(), temperature]
    names = [*(f"grad_area.feat_{name}" for name in features), "grad_area.contra_temp"]
    gradients = torch.autograd.grad(loss.total, leaves, materialize_grads=True)
    return loss, {
        "loss_area": loss.total,
        "loss_itc": torch.zeros(()),
        "ce_d2a": loss.text_to_item,
        "ce_a2d": loss.item_to_text,
        "logits_d2a": -loss.text_distance_bn / temperature,
        "logits_a2d": -loss.item_distance_bn / temperature,
        **dict(zip(names, gradients, strict=True)),
    }


def _negatives(loss: losses.ContrastiveLoss, temperature: Tensor, *, first: int) -> Tensors:
    distances = {"t2cond": loss.text_distance_bn, "cond2t": loss.item_distance_bn}
    return {
        f"weights_{name}": matching.negative_weights(
            distance_bn, temperature=temperature, first=first
        )
        for name, distance_bn in distances.items()
    }


def _matching(
    given: dict[str, Any], negatives: list[Tensor], *, rows: slice, is_rounded: bool
) -> Tensors:
    tensors = given["tensors"]
    condition_bqd = tensors["in.condition_feats_va"][rows].clone().requires_grad_()
    condition_nqd, ids_nl, mask_nl = gather(
        (
            condition_bqd,
            tensors["in.caption_input_ids"][rows],
            tensors["in.caption_attention_mask"][rows],
        ),
        gathering="connected",
    )
    texts, items = matching.matching_rows(*negatives, first=rows.start)
    encoder, head = _matcher(given["state"], heads=given["heads"])
    features_pd = encoder.match(
        Tokens(ids_bl=ids_nl[texts], mask_bl=mask_nl[texts].bool()),
        condition_nqd[items],
        condition_mask_bq=torch.ones(condition_nqd[items].shape[:2], dtype=torch.bool),
    )
    if is_rounded:
        features_pd = features_pd.half().float()
    logits = head(features_pd)
    cross_entropy = matching.matching_loss(logits, num_right=len(negatives[0]))
    loss = given["facts"]["itm_ratio"] * cross_entropy
    gradients = torch.autograd.grad(loss, (condition_bqd, head[0].weight))
    return {
        "targets": texts[: len(negatives[0])],
        "itm_bert_in.input_ids": ids_nl[texts],
        "itm_bert_in.attention_mask": mask_nl[texts],
        "itm_bert_in.encoder_hidden_states": condition_nqd[items],
        "itm_logits": logits,
        "itm_targets": (torch.arange(len(logits)) < len(negatives[0])).long(),
        "itm_ce_unweighted": cross_entropy,
        "loss_itm": loss,
        "grad_itm.condition_feats_va": gradients[0],
        "grad_itm.itm_head.linear1.weight": gradients[1],
    }


def _matcher(state: Tensors, *, heads: int) -> tuple[TextEncoder, nn.Sequential]:
    """Build BERT and the matching head with the recorded weights."""
    start = "multimodal_encoder.bert."
    weights = {name.removeprefix(start): one for name, one in state.items() if start in name}
    words = weights["embeddings.word_embeddings.weight"]
    encoder = TextEncoder(
        pieces=len(words),
        max_tokens=len(weights["embeddings.position_embeddings.weight"]),
        width=words.shape[1],
        depth=len({name.split(".")[2] for name in weights if name.startswith("encoder.layer.")}),
        heads=heads,
        mlp_width=len(weights["encoder.layer.0.intermediate.dense.bias"]),
        dropout=0.0,
    )
    own = encoder.bert.state_dict()
    weights = {name: _grown(weights[name], own[name]) for name in own}
    encoder.bert.load_state_dict(weights)
    head = nn.Sequential(
        *(nn.Linear(words.shape[1], words.shape[1]), nn.GELU()),
        *(nn.LayerNorm(words.shape[1], eps=1e-12), nn.Linear(words.shape[1], 2)),
    )
    places = {"linear1": 0, "layernorm": 2, "linear2": 3}
    head.load_state_dict(
        {
            f"{place}.{kind}": state[f"itm_head.{name}.{kind}"]
            for name, place in places.items()
            for kind in ("weight", "bias")
        }
    )
    return encoder.eval(), head.eval()


def _grown(weight: Tensor, own: Tensor) -> Tensor:
    """Put zeros below a position table that is shorter than ours."""
    grown = torch.zeros_like(own)
    grown[: len(weight)] = weight
    return grown
