import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from gram.config import SpeechConfig
from gram.data.status import Status
from gram.data.subtitles import SUBTITLES
from gram.data.tables import EXTRACTION, Row, read_rows, write_rows
from gram.data.tars import add_member, open_archive
from gram.perception.speech import (
    Heard,
    Recognizer,
    level_dbfs,
    recognize_speech,
    token_log_probabilities,
)
from tests.tiny_models import WINDOW_SECONDS, Samples, noise, tone
from tests.unit.data.made_shards import flac_of_samples

CPU = torch.device("cpu")
THREE_WINDOWS = np.concatenate([tone(word, WINDOW_SECONDS) for word in ("low", "high", "low")])

SOUNDS: dict[str, Samples | None] = {
    "low": tone("low", 1.5),
    "no_sound": None,
    "long": THREE_WINDOWS,
    "high": tone("high", 2.0),
    "silent": tone("high", 1.0, level=1e-4),
    "noise": noise(2.0, seed=5),
    "between": tone("between", 1.5),
}


def configured(model: Path, **changes: object) -> SpeechConfig:
    return SpeechConfig.model_validate({"model": str(model), **changes})


def heard(model: Path, sounds: Sequence[Samples], **changes: object) -> list[Heard]:
    return Recognizer(configured(model, **changes), CPU).hear(sounds)


def recognized(
    folder: Path, model: Path, *, subtitles: dict[str, str] | None = None, **changes: object
) -> dict[str, Row]:
    """Recognize a chunk of all sounds, and of one clip that cannot be used."""
    rows: list[Row] = []
    with open_archive(folder / "clips.tar") as tar:
        for number, (clip_id, samples_n) in enumerate(SOUNDS.items()):
            row = {"key": f"{number:08d}", "clip_id": clip_id, "status": Status.OK}
            row |= {"has_audio": samples_n is not None, "audio_seconds": 0.0}
            if samples_n is not None:
                row["audio_seconds"] = len(samples_n) / 16_000
                add_member(tar, f"{row['key']}.flac", flac_of_samples(samples_n))
            rows.append(row | {"subtitle": (subtitles or {}).get(clip_id)})
    rows.insert(3, {"key": "00000009", "clip_id": "lost", "status": Status.NOT_FOUND})
    write_rows(folder / "extraction.parquet", rows, schema=EXTRACTION)
    recognize_speech(
        configured(model, **changes),
        archive=folder / "clips.tar",
        table=folder / "extraction.parquet",
        output=folder / "speech.parquet",
        device=CPU,
    )
    return {row["clip_id"]: row for row in read_rows(folder / "speech.parquet")}


# --- the recogniser ---------------------------------------------------------------------------


def test_each_sound_gets_its_own_words(whisper: Path) -> None:
    texts = [one.text for one in heard(whisper, [tone("low", 1.5), tone("high", 1.2)])]
    assert texts == ["low", "high"]


def test_windows_of_a_long_sound_are_joined(whisper: Path) -> None:
    assert [one.text for one in heard(whisper, [THREE_WINDOWS])] == ["low high low"]


def test_long_sounds_together_are_heard_as_alone(whisper: Path) -> None:
    other = np.concatenate([tone("high", WINDOW_SECONDS) for _ in range(3)])
    assert [one.text for one in heard(whisper, [THREE_WINDOWS, other])] == [
        "low high low",
        "high high high",
    ]


def test_each_clip_has_its_own_language(whisper: Path) -> None:
    found = heard(whisper, [tone("low", 1.5), noise(2.0, seed=5)])
    assert [one.language for one in found] == ["en", "de"]


def test_the_window_that_is_surest_of_speech_tells_the_language(whisper: Path) -> None:
    (one,) = heard(whisper, [np.concatenate([tone("between", WINDOW_SECONDS), noise(2.0)])])
    assert one.language == "de"


def test_a_language_of_the_settings_is_taken(whisper: Path) -> None:
    assert heard(whisper, [tone("low", 1.5)], language="de")[0].language == "de"


def test_a_language_that_the_model_does_not_know_is_refused(whisper: Path) -> None:
    with pytest.raises(ValueError, match=r"language is 'xx', which .* knows de, en"):
        heard(whisper, [tone("low", 1.0)], language="xx")


def test_what_is_known_well_is_sure_and_what_is_no_speech_is_told(whisper: Path) -> None:
    low, between = heard(whisper, [tone("low", 1.5), tone("between", 1.5)])
    assert low.mean_log_probability is not None
    assert -0.2 < low.mean_log_probability < 0
    assert low.no_speech_probability < 0.1
    assert between.no_speech_probability > 0.9


def test_a_window_without_speech_has_no_words(whisper: Path) -> None:
    (between,) = heard(whisper, [tone("between", 1.5)], min_log_probability=-1e-6)
    assert (between.text, between.mean_log_probability) == ("", None)


def test_no_sounds_give_nothing(whisper: Path) -> None:
    assert heard(whisper, []) == []


def test_log_probabilities_end_with_the_end_token() -> None:
    scores_lv = torch.tensor([[2.0, 0.0], [0.0, 1.0], [5.0, 5.0]])
    window = {"scores": list(scores_lv), "sequences": torch.tensor([7, 0, 1, 1])}
    found_l = token_log_probabilities(window, end=1)
    expected = [2 - np.log(np.exp(2) + 1), 1 - np.log(np.exp(1) + 1)]
    assert found_l.tolist() == pytest.approx(expected, rel=1e-6)


# --- a chunk ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory, whisper: Path) -> dict[str, Row]:
    return recognized(tmp_path_factory.mktemp("chunk"), whisper)


def test_every_clip_keeps_its_row_in_order(rows: dict[str, Row]) -> None:
    assert list(rows) == ["low", "no_sound", "long", "lost", *list(SOUNDS)[3:]]


def test_what_was_heard_is_the_subtitle(rows: dict[str, Row]) -> None:
    texts = {clip_id: row["subtitle"] for clip_id, row in rows.items() if row["subtitle"]}
    assert texts.pop("between")  # whatever it is
    assert texts == {"low": "low", "long": "low high low", "high": "high", "noise": "high"}


def test_what_was_heard_says_how_sure_and_by_which_model(rows: dict[str, Row]) -> None:
    row = rows["noise"]
    assert (row["source"], row["reason"], row["language"]) == ("speech", None, "de")
    assert row["mean_log_probability"] < 0 < row["no_speech_probability"]
    assert row["model"].startswith("tiny-whisper@sha256:")


@pytest.mark.parametrize(
    ("clip_id", "reason"),
    [("no_sound", "no sound"), ("silent", "silent"), ("lost", "clip not usable")],
)
def test_a_clip_that_was_not_heard_says_why(
    rows: dict[str, Row], clip_id: str, reason: str
) -> None:
    told = {name: rows[clip_id][name] for name in SUBTITLES.names}
    assert told == {**dict.fromkeys(SUBTITLES.names), "clip_id": clip_id, "reason": reason}


def test_a_clip_without_speech_says_so_with_its_probability(whisper: Path, tmp_path: Path) -> None:
    row = recognized(tmp_path, whisper, min_log_probability=-1e-6)["between"]
    assert (row["subtitle"], row["reason"]) == (None, "no speech heard")
    assert row["no_speech_probability"] > 0.9


def test_a_subtitle_of_the_annotations_wins(whisper: Path, tmp_path: Path) -> None:
    rows = recognized(tmp_path, whisper, subtitles={"low": " written ", "high": " "})
    assert [(rows[name]["subtitle"], rows[name]["source"]) for name in ("low", "high")] == [
        ("written", "annotation"),
        ("high", "speech"),
    ]


def test_annotations_can_be_passed_over(whisper: Path, tmp_path: Path) -> None:
    row = recognized(tmp_path, whisper, subtitles={"low": "written"}, keep_annotated=False)["low"]
    assert (row["subtitle"], row["source"]) == ("low", "speech")


def test_the_same_input_gives_the_same_bytes(whisper: Path, tmp_path: Path) -> None:
    written = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        recognized(tmp_path / name, whisper)
        written.append((tmp_path / name / "speech.parquet").read_bytes())
    assert written[0] == written[1]


@pytest.mark.parametrize("windows", [1, 2, 100])
def test_how_many_are_heard_together_changes_no_word(
    rows: dict[str, Row], whisper: Path, tmp_path: Path, windows: int
) -> None:
    found = recognized(tmp_path, whisper, windows=windows)
    assert {name: row["subtitle"] for name, row in found.items()} == {
        name: row["subtitle"] for name, row in rows.items()
    }


# --- mistakes and edges -----------------------------------------------------------------------


def test_a_model_that_hears_no_speech_is_refused(depth_anything: Path) -> None:
    with pytest.raises(ValueError, match=r"subtitles\.speech\.model: the folder .* holds no model"):
        Recognizer(configured(depth_anything), CPU)


def test_a_model_of_another_sample_rate_is_refused(whisper: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(whisper, tmp_path / "slow"))
    processor = model / "processor_config.json"
    text = processor.read_text(encoding="utf-8")
    assert '"sampling_rate": 16000' in text
    processor.write_text(text.replace('"sampling_rate": 16000', '"sampling_rate": 8000'))
    with pytest.raises(ValueError, match="hears sound of 8000 Hz, and the clips' is kept at 16000"):
        recognized(tmp_path, model)


@pytest.mark.parametrize(
    ("samples", "level"),
    [
        (np.zeros(16_000, np.float32), -120.0),
        (np.zeros(0, np.float32), -120.0),
        (np.ones(16_000, np.float32), 0.0),
        (np.concatenate([np.zeros(16_000), np.full(1_600, 0.01)]).astype(np.float32), -40.0),
    ],
    ids=["silence", "nothing", "full scale", "one loud tenth of a second"],
)
def test_the_loudest_piece_tells_the_level(samples: Samples, level: float) -> None:
    assert level_dbfs(samples, sample_rate_hz=16_000) == level
