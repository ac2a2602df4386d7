"""Re-ranking by the matching head, beside the released code's loop over items.

The loop reads, for each direction by itself and item after item, the texts that are marked for the
item, 25 at a time, each with its own copy of the item's tokens. Its captions are of one length, so
that it wastes nothing on padding. Ours reads a pair that both directions mark once, and computes
what pairs share once, and what the head does not read not at all (gram/encoders/pair_reader.py).
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bench.timing import in_turns
from gram.config import ModelConfig, TextConfig
from gram.encoders.text import TextEncoder
from gram.evaluation.rerank import mark_best
from gram.types import Tokens

CLIPS, KEEP, AT_ONCE, LOOP_AT_ONCE = 884, 50, 256, 25
DEPTHS = (1, 2)
"""Layers of the text encoder: the demo's one, of which only the first token is read, and two."""
CAPTION_TOKENS, CONDITION_TOKENS = 12, 164
"""Of a caption, and of a clip of the demo: 4 frames, sound, subtitle."""
TURNS = 3


def rerank_section() -> str:
    """Measure both for each depth, and give the section that says what came out."""
    torch.manual_seed(0)
    sizes = ModelConfig.model_validate({"preset": "tiny"}).text
    ids_nl = torch.randint(5, 500, (CLIPS, CAPTION_TOKENS))
    texts = Tokens(ids_bl=ids_nl, mask_bl=torch.ones_like(ids_nl, dtype=torch.bool))
    condition_mqd = torch.randn(CLIPS, CONDITION_TOKENS, sizes.width)
    scores_nm = torch.rand(CLIPS, CLIPS) + 0.3 * torch.eye(CLIPS)
    marked = [
        mark_best(scores_nm, near_is="large", keep=KEEP),
        mark_best(scores_nm.mT, near_is="large", keep=KEEP).mT,
    ]
    pairs, marks = int((marked[0] | marked[1]).sum()), sum(int(one.sum()) for one in marked)
    lines = [_line(depth, sizes, texts, condition_mqd, marked=marked) for depth in DEPTHS]
    return (
        "## Re-ranking by the matching head\n\n"
        f"{CLIPS} captions and clips, the best {KEEP} of each query in both directions: {marks:,} "
        f"marked pairs, which the loop reads {LOOP_AT_ONCE} at a time, {pairs:,} different ones. "
        f"The demo's text encoder has width {sizes.width} and {sizes.depth} layer; captions of "
        f"{CAPTION_TOKENS} pieces, {CONDITION_TOKENS} tokens a clip. Medians of {TURNS} turns; in "
        "brackets processor seconds.\n\n"
        "| layers | loop over items, s | ours, s | times faster | pairs a second |\n"
        "|---:|---:|---:|---:|---:|\n" + "\n".join(lines)
    )


def _line(
    depth: int,
    sizes: TextConfig,
    texts: Tokens,
    condition_mqd: Tensor,
    *,
    marked: Sequence[Tensor],
) -> str:
    """Measure an encoder of so many layers."""
    encoder = TextEncoder(
        pieces=500,
        max_tokens=sizes.positions,
        width=sizes.width,
        depth=depth,
        heads=sizes.heads,
        mlp_width=sizes.mlp_width,
        dropout=0.0,
    ).eval()
    both = marked[0] | marked[1]
    with torch.inference_mode():
        medians = in_turns(
            {
                "loop": lambda: [_by_loop(encoder, texts, condition_mqd, one) for one in marked],
                "ours": lambda: _by_items(encoder, texts, condition_mqd, both),
            },
            turns=TURNS,
            has_warm_up=False,  # a turn is so long that its first calls do not count
        )
    loop, ours = medians["loop"], medians["ours"]
    faster = loop.wall_seconds / ours.wall_seconds
    of_cpu = loop.cpu_seconds / ours.cpu_seconds
    return (
        f"| {depth} | {loop.wall_seconds:.1f} ({loop.cpu_seconds:.1f}) | {ours.wall_seconds:.2f} "
        f"({ours.cpu_seconds:.2f}) | {faster:.1f} ({of_cpu:.1f}) | "
        f"{int(both.sum()) / ours.wall_seconds:,.0f} |"
    )


def _of_items(marked_nm: Tensor, *, size: int) -> Iterator[tuple[int, Tensor]]:
    """Give each item with some of its marked texts."""
    for item in range(marked_nm.shape[1]):
        rows = marked_nm[:, item].nonzero().flatten()
        for start in range(0, len(rows), size):
            yield item, rows[start : start + size]


def _rows(texts: Tokens, rows: Tensor) -> Tokens:
    return Tokens(ids_bl=texts.ids_bl[rows], mask_bl=texts.mask_bl[rows])


def _by_loop(encoder: TextEncoder, texts: Tokens, condition_mqd: Tensor, marked_nm: Tensor) -> None:
    for item, rows in _of_items(marked_nm, size=LOOP_AT_ONCE):
        condition_bqd = condition_mqd[item].expand(len(rows), -1, -1).contiguous()
        mask_bq = torch.ones(condition_bqd.shape[:2], dtype=torch.bool)
        encoder.match(_rows(texts, rows), condition_bqd, condition_mask_bq=mask_bq)


def _by_items(
    encoder: TextEncoder, texts: Tokens, condition_mqd: Tensor, marked_nm: Tensor
) -> None:
    mask_1q = torch.ones(1, condition_mqd.shape[1], dtype=torch.bool)
    reader = encoder.pair_reader(texts)
    for item, rows in _of_items(marked_nm, size=AT_ONCE):
        reader.first_tokens(rows, condition_mqd[item : item + 1], mask_1q=mask_1q)
