"""Re-ranking by the matching head, beside the released code's loop over items.

The loop reads, for each direction by itself and item after item, the texts that are marked for the
item, 25 at a time, each with its own copy of the item's tokens. Ours reads a pair that both
directions mark once, and computes an item's keys and values once for all of its texts.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from bench.timing import in_turns
from gram.config import ModelConfig
from gram.encoders.text import TextEncoder
from gram.evaluation.rerank import mark_best
from gram.types import Tokens

CLIPS, KEEP, AT_ONCE, LOOP_AT_ONCE = 884, 50, 256, 25
CAPTION_TOKENS, CONDITION_TOKENS = 12, 164
"""Of a caption, and of a clip of the demo: 4 frames, sound, subtitle."""
TURNS = 3


def rerank_section() -> str:
    """Measure both, and give the section that says what came out."""
    torch.manual_seed(0)
    sizes = ModelConfig.model_validate({"preset": "tiny"}).text
    encoder = TextEncoder(
        pieces=500,
        max_tokens=sizes.positions,
        width=sizes.width,
        depth=sizes.depth,
        heads=sizes.heads,
        mlp_width=sizes.mlp_width,
        dropout=0.0,
    ).eval()
    ids_nl = torch.randint(5, 500, (CLIPS, CAPTION_TOKENS))
    texts = Tokens(ids_bl=ids_nl, mask_bl=torch.ones_like(ids_nl, dtype=torch.bool))
    condition_mqd = torch.randn(CLIPS, CONDITION_TOKENS, sizes.width)
    scores_nm = torch.rand(CLIPS, CLIPS) + 0.3 * torch.eye(CLIPS)
    marked = [
        mark_best(scores_nm, near_is="large", keep=KEEP),
        mark_best(scores_nm.mT, near_is="large", keep=KEEP).mT,
    ]
    with torch.inference_mode():
        medians = in_turns(
            {
                "loop": lambda: [_by_loop(encoder, texts, condition_mqd, one) for one in marked],
                "ours": lambda: _by_items(encoder, texts, condition_mqd, marked[0] | marked[1]),
            },
            turns=TURNS,
        )
    loop, ours = medians["loop"], medians["ours"]
    pairs, marks = int((marked[0] | marked[1]).sum()), sum(int(one.sum()) for one in marked)
    return (
        "## Re-ranking by the matching head\n\n"
        f"{CLIPS} captions and clips, the best {KEEP} of each query in both directions: {marks:,} "
        f"marked pairs, {pairs:,} different ones. The text encoder of the demo (width "
        f"{sizes.width}, {sizes.depth} layers), {CONDITION_TOKENS} tokens a clip. Medians of "
        f"{TURNS} turns.\n\n"
        "| way | seconds | processor seconds | pairs read a second |\n|---|---:|---:|---:|\n"
        f"| loop over items, {LOOP_AT_ONCE} at a time | {loop.wall_seconds:.1f} | "
        f"{loop.cpu_seconds:.1f} | {marks / loop.wall_seconds:,.0f} |\n"
        f"| ours | {ours.wall_seconds:.1f} | {ours.cpu_seconds:.1f} | "
        f"{pairs / ours.wall_seconds:,.0f} |\n\n"
        f"Ours is {loop.wall_seconds / ours.wall_seconds:.1f} times faster "
        f"({loop.cpu_seconds / ours.cpu_seconds:.1f} times by processor time)."
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
    for item, rows in _of_items(marked_nm, size=AT_ONCE):
        encoder.match_one(_rows(texts, rows), condition_mqd[item : item + 1], mask_1q=mask_1q)
