"""Recalls, volumes, cosines and re-ranking as the published evaluation gave them."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from gram.config import ScoreName
from gram.evaluation.fitted import plain_score
from gram.evaluation.ranked import paired_set
from gram.evaluation.ranks import Places, rank_in_chunks
from gram.evaluation.rerank import Reranked, rank_reranked, rerank
from gram.evaluation.retrieval import RetrievalPlaces, rank_retrieval, summarize_places
from gram.evaluation.scores import NearIs, pairwise_score
from gram.types import Modality
from tests.golden.pairs import Matcher, Tensors, matcher_of
from tests.golden.recording import facts_of

Run = dict[str, Any]

FACTS = facts_of("06_evaluation")
METRICS: dict[str, Run] = {metric["tag"]: metric for metric in FACTS["metrics"]}
RUNS: list[Run] = FACTS["evaluate_ret_runs"]
KEEP: int = FACTS["itm_rerank_num"]
CUT_OFFS = (1, 5, 10)
"""K of the three recalls of a recorded line, such as 14.3/50.0/57.1."""

ROUNDED = 0.0501
"""Half of the last digit of a recorded recall, in percent, and a little."""

MODALITIES = {
    "v": Modality.VIDEO,
    "a": Modality.AUDIO,
    "s": Modality.SUBTITLE,
    "d": Modality.DEPTH,
}


def label(run: Run) -> str:
    return f"{run['task']} by {run['vectors_in_volume']} vectors"


DONE = [pytest.param(run, id=label(run)) for run in RUNS if "exception" not in run]
CRASHED = [pytest.param(run, id=label(run)) for run in RUNS if "exception" in run]


@pytest.fixture
def recorded(golden: Callable[[str], Any]) -> Tensors:
    tensors: Tensors = golden("06_evaluation").tensors
    return tensors


def recalls_of(places: Places, *, up_to: int = max(CUT_OFFS)) -> list[float]:
    """Give our recalls at the cut-offs that are compared, in percent."""
    kept = [k for k in CUT_OFFS if k <= up_to]
    summary = summarize_places(places, recall_at=kept)
    return [summary[f"R@{k}"] for k in kept]


def recorded_recalls(
    line: dict[str, Any], start: str, *, up_to: int = max(CUT_OFFS)
) -> list[float]:
    """Read the recorded recalls at the cut-offs that are compared, in percent."""
    values = [float(part) for part in line[f"{start}_recall"].split("/")]
    return [value for k, value in zip(CUT_OFFS, values, strict=True) if k <= up_to]


def same_recalls(ours: Sequence[list[float]], published: Sequence[list[float]]) -> bool:
    """Compare several lines of recalls."""
    flat = list(itertools.chain(*published))
    return list(itertools.chain(*ours)) == pytest.approx(flat, abs=ROUNDED)


# --- recalls of given scores --------------------------------------------------------------------

LINES = [
    (tag, function, direction)
    for tag, metric in METRICS.items()
    for function in ("compute_metric_ret", "compute_metric_ret_area")
    for direction in ("forward", "backward")
    if f"{function}.{direction}" in metric
]


def places_of(scores_nm: Tensor, metric: Run, *, near_is: NearIs, direction: str) -> Places:
    """Rank given scores of texts with items."""
    numbers = {name: number for number, name in enumerate(metric["ids"])}
    item_m = torch.arange(len(numbers))
    text_n = torch.tensor([numbers[name] for name in metric["ids_txt"]])
    scores_qc, query_q, candidate_c = (
        (scores_nm, text_n, item_m) if direction == "forward" else (scores_nm.mT, item_m, text_n)
    )
    return rank_in_chunks(
        lambda chunk: scores_qc[chunk], query_q, candidate_clip_c=candidate_c, near_is=near_is
    )


@pytest.mark.parametrize(("tag", "function", "direction"), LINES)
def test_recalls_are_the_published_ones(
    recorded: Tensors, tag: str, function: str, direction: str
) -> None:
    near_is: NearIs = "small" if function.endswith("_area") else "large"
    scores_nm = recorded[f"metric.{tag}.scores"]
    places = places_of(scores_nm, METRICS[tag], near_is=near_is, direction=direction)
    line = METRICS[tag][f"{function}.{direction}"]
    assert same_recalls([recalls_of(places)], [recorded_recalls(line, direction)])


@pytest.mark.parametrize(("tag", "function", "direction"), LINES)
def test_the_mean_of_the_recalls_is_the_published_one(
    recorded: Tensors, tag: str, function: str, direction: str
) -> None:
    near_is: NearIs = "small" if function.endswith("_area") else "large"
    scores_nm = recorded[f"metric.{tag}.scores"]
    recalls = recalls_of(places_of(scores_nm, METRICS[tag], near_is=near_is, direction=direction))
    line = METRICS[tag][f"{function}.{direction}"]
    assert sum(recalls) / 3 == pytest.approx(line[f"{direction}_ravg"], abs=ROUNDED)


# --- a whole evaluation, first scores -----------------------------------------------------------


def tasks_of(run: Run) -> list[str]:
    """Give the item modalities of each task of a run, as letters: ``ret%tv%tva`` is v and va."""
    return [task.removeprefix("t") for task in run["task"].split("%")[1:]]


def in_volume(run: Run) -> str:
    """Give the modalities of the volume: what the batch holds counts, not the task."""
    return "vasd"[: run["vectors_in_volume"] - 1]


def items_of(recorded: Tensors, letters: str) -> Tensor:
    """Give the vectors of the items, shape (M, K, D)."""
    return torch.stack([recorded[f"eval.in.feat_{letter}"] for letter in letters], dim=1)


def score_of(recorded: Tensors, score: ScoreName, letters: str) -> Tensor:
    vectors_mkd = items_of(recorded, letters)
    return pairwise_score(
        score,
        recorded["eval.in.feat_t"],
        vectors_mkd=vectors_mkd,
        present_mk=torch.ones(vectors_mkd.shape[:2], dtype=torch.bool),
        modalities=[MODALITIES[letter] for letter in letters],
    )


def first_places(recorded: Tensors, score: ScoreName, letters: str) -> RetrievalPlaces:
    items = [recorded[f"eval.in.feat_{letter}"] for letter in letters]
    modalities = [MODALITIES[letter] for letter in letters]
    vectors = dict(zip(modalities, items, strict=True))
    return rank_retrieval(plain_score(score), paired_set(recorded["eval.in.feat_t"], vectors))


def both(found: RetrievalPlaces) -> tuple[Places, Places]:
    """Give the places from text to item, then the other way round."""
    return found.text_to_item.places, found.item_to_text.places


def stem_of(run: Run) -> str:
    """Give what the tensors of a run are named after."""
    return f"eval.out.{run['task'].replace('%', '_')}.vol{run['vectors_in_volume']}"


VOLUMES = [
    pytest.param(run, id=label(run)) for run in RUNS if f"{stem_of(run)}.area" in FACTS["tensors"]
]


@pytest.mark.parametrize("run", VOLUMES)
def test_volumes_of_an_evaluation_are_the_published_ones(recorded: Tensors, run: Run) -> None:
    volume_nm = score_of(recorded, "volume", in_volume(run))
    published_nm = recorded[f"{stem_of(run)}.area"]
    torch.testing.assert_close(volume_nm, published_nm, rtol=0, atol=1e-5)


@pytest.mark.parametrize("run", DONE)
def test_the_mean_of_the_nearest_volumes_is_the_published_value(
    recorded: Tensors, run: Run
) -> None:
    nearest_n = score_of(recorded, "volume", in_volume(run)).amin(dim=1)
    published = run["log"]["gramian_value"]["value"]
    assert float(nearest_n.mean()) == pytest.approx(published, abs=1e-5)


@pytest.mark.parametrize("run", DONE)
def test_recalls_by_volume_are_the_published_ones(recorded: Tensors, run: Run) -> None:
    ours = [recalls_of(one) for one in both(first_places(recorded, "volume", in_volume(run)))]
    log = run["log"]
    published = [
        recorded_recalls(log["ret_area_forward"], "volume_T2D"),
        recorded_recalls(log["ret_area_backard"], "forward"),  # misspelt and misnamed there
    ]
    assert same_recalls(ours, published)


@pytest.mark.parametrize("letter", ["v", "a"])
@pytest.mark.parametrize("run", DONE)
def test_recalls_by_cosine_are_the_published_ones(recorded: Tensors, run: Run, letter: str) -> None:
    ours = [recalls_of(one) for one in both(first_places(recorded, cosine_to(letter), letter))]
    keys = (f"cosine_T{letter.upper()}", f"cosine_{letter.upper()}T")
    published = [recorded_recalls(run["log"][key], "forward") for key in keys]
    assert same_recalls(ours, published)


NAMED = [
    pytest.param(run, letter, id=f"{label(run)}, {letter}")
    for run in RUNS
    for letter in "vasd"
    if f"ret_itc_t{letter}" in run.get("log", {})
]


@pytest.mark.parametrize(("run", "letter"), NAMED)
def test_recalls_by_the_cosine_that_a_task_names_are_the_published_ones(
    recorded: Tensors, run: Run, letter: str
) -> None:
    ours = [recalls_of(one) for one in both(first_places(recorded, cosine_to(letter), letter))]
    line = run["log"][f"ret_itc_t{letter}"]
    assert same_recalls(ours, [recorded_recalls(line, start) for start in ("video", "txt")])


def cosine_to(letter: str) -> ScoreName:
    """Name the score that is the cosine to one modality."""
    names: dict[str, ScoreName] = {
        "v": "cosine_video",
        "a": "cosine_audio",
        "s": "cosine_subtitle",
        "d": "cosine_depth",
    }
    return names[letter]


# --- a whole evaluation, re-ranking -------------------------------------------------------------


@pytest.fixture(scope="module", params=[False, True], ids=["pair by pair", "shared parts once"])
def matcher(golden: Callable[[str], Any], request: pytest.FixtureRequest) -> Matcher:
    """Give a function that gives the reader of pairs, for the condition of some modalities."""
    state, given = golden("04_gram_state").tensors, golden("06_evaluation").tensors
    return matcher_of(state, given, shares=request.param)


def reranked_error(reranked: Tensor, published_nm: Tensor) -> float:
    """Compare what was read: infinite where other cells were, else the largest difference."""
    read_nm = published_nm != 0
    if not read_nm.equal(reranked >= 0):
        return float("inf")
    return float((reranked - published_nm)[read_nm].abs().max())


@pytest.mark.parametrize("run", VOLUMES)
def test_what_is_read_of_the_best_by_volume_is_the_published_probability(
    recorded: Tensors, matcher: Matcher, run: Run
) -> None:
    volume_nm = score_of(recorded, "volume", in_volume(run))
    found = rerank(volume_nm, matcher(tasks_of(run)[-1]), near_is="small", keep=KEEP)
    errors = [
        reranked_error(one, recorded[f"{stem_of(run)}.reranked_{direction}"])
        for one, direction in zip(found, ("forward", "backward"), strict=True)
    ]
    assert max(errors) <= 1e-5


BASES = [name for name in FACTS["tensors"] if name.endswith("_base")]


def condition_and_direction(name: str) -> tuple[str, str]:
    """Say what a re-ranking that was recorded with its first score was conditioned on.

    The volume, which the last task conditions, comes first; then the cosines of the other tasks.
    """
    *_, task, which = name.removesuffix("_base").split(".")
    number, direction = which.removeprefix("rerank").split("_")
    tasks = tasks_of({"task": task.replace("_", "%")})
    return (tasks[-1], *tasks[:-1])[int(number) // 2], direction


@pytest.mark.parametrize("name", BASES)
def test_any_first_score_is_reranked_as_published(
    recorded: Tensors, matcher: Matcher, name: str
) -> None:
    letters, direction = condition_and_direction(name)
    found = rerank(recorded[name], matcher(letters), near_is="large", keep=KEEP)
    ours_nm = found.items_of_text_nm if direction == "forward" else found.texts_of_item_nm
    assert reranked_error(ours_nm, recorded[name.removesuffix("_base")]) <= 1e-5


def places_after(reranked: Reranked) -> RetrievalPlaces:
    return rank_reranked(reranked, torch.arange(len(reranked.items_of_text_nm)))


@pytest.mark.parametrize("run", DONE)
def test_recalls_after_reranking_by_volume_are_the_published_ones(
    recorded: Tensors, matcher: Matcher, run: Run
) -> None:
    # Behind the best K the published order is that of ties; ours is that of the first score.
    volume_nm = score_of(recorded, "volume", in_volume(run))
    found = rerank(volume_nm, matcher(tasks_of(run)[-1]), near_is="small", keep=KEEP)
    ours = [recalls_of(one, up_to=KEEP) for one in both(places_after(found))]
    line, starts = run["log"]["ret_itm_area"], ("volume_ITM_T2D", "volume_ITM_D2T")
    assert same_recalls(ours, [recorded_recalls(line, start, up_to=KEEP) for start in starts])


@pytest.mark.parametrize(("run", "letter"), NAMED)
def test_recalls_after_reranking_by_a_cosine_are_the_published_ones(
    recorded: Tensors, matcher: Matcher, run: Run, letter: str
) -> None:
    cosine_nm = score_of(recorded, cosine_to(letter), letter)
    found = rerank(cosine_nm, matcher(letter), near_is="large", keep=KEEP)
    ours = [recalls_of(one, up_to=KEEP) for one in both(places_after(found))]
    line = run["log"][f"ret_itm_t{letter}"]
    published = [recorded_recalls(line, start, up_to=KEEP) for start in ("video", "txt")]
    assert same_recalls(ours, published)


# --- what the published evaluation cannot do ----------------------------------------------------


@pytest.mark.parametrize("run", CRASHED)
def test_modalities_that_crash_the_published_evaluation_are_ranked(
    recorded: Tensors, matcher: Matcher, run: Run
) -> None:
    # Published: the last task must be tva or tvas. Ours: a run's modalities are any.
    letters = tasks_of(run)[-1]
    found = rerank(
        score_of(recorded, "volume", letters), matcher(letters), near_is="small", keep=KEEP
    )
    places = itertools.chain(
        both(places_after(found)), both(first_places(recorded, "volume", letters))
    )
    gallery = len(recorded["eval.in.feat_t"])
    assert all(1 <= one.best_q.min() <= one.worst_q.max() <= gallery for one in places)


@pytest.mark.usefixtures("recorded")
def test_a_gallery_smaller_than_k_crashes_the_published_evaluation() -> None:
    assert "Error" in FACTS["rerank_num_larger_than_gallery"]


def test_a_gallery_smaller_than_k_is_read_whole(recorded: Tensors, matcher: Matcher) -> None:
    volume_nm = score_of(recorded, "volume", "va")
    found = rerank(volume_nm, matcher("va"), near_is="small", keep=len(volume_nm) + 1)
    assert all((one >= 0).all() for one in found)
