"""Places of the right clips in a large gallery, beside the bare matrix products.

It runs in a process of its own, whose largest memory is told: ``python -m bench.ranks TEXTS``.

Shape letters of this file: N texts, M clips, K vectors of a clip, D embedding width.
"""

import json
import resource
import subprocess
import sys
import time

import torch
from torch.nn.functional import normalize

from gram.evaluation.fitted import directions, places_of, plain_score
from gram.evaluation.ranked import RankedSet
from gram.types import ITEM_MODALITIES

CLIPS, COUNT, WIDTH = 100_000, 4, 512
TEXTS = 100_000
PRODUCTS = 4_000
"""Texts whose products with all vectors are computed at once: 6 GiB would not fit into the rest."""
SHARE = 10
"""The bare products are measured for one text of so many, and multiplied."""


def ranks_section(texts: int = TEXTS) -> str:
    """Measure, and give the section that says what came out."""
    command = [sys.executable, "-m", "bench.ranks", str(texts)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    found = json.loads(done.stdout)
    ratio = found["ranks"] / found["products"]
    cpu, products_cpu = found["ranks_cpu"], found["products_cpu"]
    lines = [
        "## Ranks in a large gallery",
        "",
        f"{texts:,} texts and {CLIPS:,} clips of {COUNT} vectors, width {WIDTH}, float32, ranked "
        "by volume from text to clip: the place of every text's clip, ties counted, by the code "
        "that a run is scored with. The *products* are the bare matrix products of texts and "
        f"vectors, of one text of {SHARE} and multiplied. Memory is the largest of the process, "
        f"{found['data_mib']:.0f} MiB of vectors and the libraries among it.",
        "",
        "| | seconds | to the products | processor seconds | to the products |",
        "|---|---:|---:|---:|---:|",
        f"| places | {found['ranks']:.0f} | {ratio:.2f} | {cpu:.0f} | {cpu / products_cpu:.2f} |",
        f"| products | {found['products']:.0f} | 1.00 | {products_cpu:.0f} | 1.00 |",
        "",
        f"Memory: {found['peak_mib']:,.0f} MiB.",
    ]
    return "\n".join(lines)


def measure(texts: int) -> dict[str, float]:
    """Rank once, and multiply a share of it."""
    ranked = draw(texts)
    texts_nd, vectors_qd = ranked.text_qd, ranked.vectors_nkd.flatten(0, 1)
    began, began_cpu = time.perf_counter(), time.process_time()
    places = places_of(directions(plain_score("volume"), ranked).text_to_item)
    ranks, ranks_cpu = time.perf_counter() - began, time.process_time() - began_cpu
    assert len(places.best_q) == texts  # noqa: S101 - nothing was left out
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began, began_cpu = time.perf_counter(), time.process_time()
    for rows_nd in texts_nd[: texts // SHARE].split(PRODUCTS):
        rows_nd @ vectors_qd.mT
    products = (time.perf_counter() - began) * SHARE
    products_cpu = (time.process_time() - began_cpu) * SHARE
    data_mib = (texts_nd.nbytes + vectors_qd.nbytes) / 2**20
    return {
        "ranks": ranks,
        "ranks_cpu": ranks_cpu,
        "products": products,
        "products_cpu": products_cpu,
        "peak_mib": peak_mib,
        "data_mib": data_mib,
    }


def draw(texts: int) -> RankedSet:
    """Draw texts and clips of unit length that agree somewhat; each text belongs to one clip."""
    generator = torch.Generator().manual_seed(0)
    vectors_mkd = torch.randn(CLIPS, COUNT, WIDTH, generator=generator)
    texts_nd = normalize(torch.randn(texts, WIDTH, generator=generator), dim=-1)
    vectors_mkd.mul_(0.02)[:texts].add_(texts_nd[:, None])
    vectors_mkd.div_(torch.linalg.vector_norm(vectors_mkd, dim=-1, keepdim=True))
    return RankedSet(
        text_qd=texts_nd,
        text_group_q=torch.arange(texts),
        vectors_nkd=vectors_mkd,
        present_nk=torch.ones(CLIPS, COUNT, dtype=torch.bool),
        clip_group_n=torch.arange(CLIPS),
        modalities=ITEM_MODALITIES,
    )


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]))))  # noqa: T201 - read by ranks_section
