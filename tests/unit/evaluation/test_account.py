import csv
import io
from pathlib import Path

import pytest

from gram.data.status import Status
from gram.evaluation.account import COLUMNS, SplitAccount, account_as_csv, account_dataset
from gram.jobs import ClipUse
from gram.types import Modality
from tests.unit.data.made_shards import MadeClip, make_index

CLIPS = [
    MadeClip(clip_id="whole", subtitle="hello"),
    MadeClip(clip_id="silent", sound_seconds=None, depth_maps=None),
    MadeClip(clip_id="sound", frames=0, depth_maps=None),
    MadeClip(clip_id="other", split="test"),
    *(MadeClip(clip_id=f"cut{n}", status=Status.TRUNCATED) for n in range(3)),
    MadeClip(clip_id="twice", status=Status.DUPLICATE),
    MadeClip(clip_id="gone", status=Status.DEAD),
    MadeClip(clip_id="lost", split="test", status=Status.NOT_FOUND),
]


def use(run: str, *modalities: Modality, split: str = "train", missing: str = "drop") -> ClipUse:
    return ClipUse.model_validate(
        {
            "run": run,
            "purpose": "evaluation" if split == "test" else "pretraining",
            "dataset": "toys",
            "split": split,
            "modalities": (Modality.VIDEO, *modalities),
            "missing": missing,
        }
    )


USES = (
    use("tva", Modality.AUDIO),
    use("tvas", Modality.AUDIO, missing="mask"),
    use("again", Modality.AUDIO),
    use("tva", Modality.AUDIO, split="test"),
    use("elsewhere").model_copy(update={"dataset": "others"}),
)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_index(tmp_path_factory.mktemp("made"), CLIPS)


@pytest.fixture(scope="module")
def accounts(index: Path) -> list[SplitAccount]:
    return account_dataset("toys", index=index, uses=USES)


def told(account: SplitAccount) -> dict[str, tuple[int, int, str]]:
    steps = {f"{step.label} {step.use.run if step.use else ''}": step for step in account.steps}
    return {name.strip(): (step.clips, step.lost, step.reasons) for name, step in steps.items()}


def test_each_split_has_an_account_in_the_order_of_the_clips(accounts: list[SplitAccount]) -> None:
    assert [(one.dataset, one.split) for one in accounts] == [("toys", "train"), ("toys", "test")]


def test_each_step_says_how_many_are_left_how_many_lost_and_why(
    accounts: list[SplitAccount],
) -> None:
    assert told(accounts[0]) == {
        "listed": (8, 0, ""),
        "found": (6, 2, "dead (fetch) 1, duplicate (probe) 1"),
        "readable": (3, 3, "truncated (probe) 3"),
        "with video": (2, 1, "no frames 1"),
        "with audio": (2, 1, "no sound 1"),
        "with subtitle": (1, 2, "not annotated 2"),
        "with depth": (1, 2, "not_found 2"),
        "used in pretraining, TVA drop tva": (
            1,
            7,
            "unusable 5, without video 1, without audio 1",
        ),
        "used in pretraining, TVA mask tvas": (
            3,
            5,
            "unusable 5, used without video 1, used without audio 1",
        ),
        "used in pretraining, TVA drop again": (
            1,
            7,
            "unusable 5, without video 1, without audio 1",
        ),
    }


def test_a_use_is_told_at_its_own_split(accounts: list[SplitAccount]) -> None:
    assert told(accounts[1])["used in evaluation, TVA drop tva"] == (1, 1, "unusable 1")


def test_uses_of_one_kind_are_shown_once_in_order(accounts: list[SplitAccount]) -> None:
    assert [step.label for step in accounts[0].shown] == [
        "listed",
        "found",
        "readable",
        "with video",
        "with audio",
        "with subtitle",
        "with depth",
        "used in pretraining, TVA drop",
        "used in pretraining, TVA mask",
    ]


def test_no_clip_is_lost_without_a_reason(accounts: list[SplitAccount]) -> None:
    for account in accounts:
        for step in account.steps[1:]:
            causes = {what: count for what, count in step.because.items() if what[:5] != "used "}
            assert sum(causes.values()) == step.lost


def test_the_csv_has_a_line_a_step(accounts: list[SplitAccount]) -> None:
    lines = list(csv.DictReader(io.StringIO(account_as_csv(accounts))))
    assert tuple(lines[0]) == COLUMNS
    assert len(lines) == sum(len(account.steps) for account in accounts)
    assert lines[8] == {
        "dataset": "toys",
        "split": "train",
        "step": "used in pretraining",
        "run": "tvas",
        "modalities": "TVA",
        "missing": "mask",
        "clips": "3",
        "lost": "5",
        "because": "unusable 5; used without video 1; used without audio 1",
    }
