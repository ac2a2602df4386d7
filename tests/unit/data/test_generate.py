import colorsys
import itertools
import json
import re
from pathlib import Path

import av
import numpy as np
import pytest

from gram.config import GeneratedDataset
from gram.data.generate import (
    draw_depth,
    draw_frames,
    generate_clips,
    pitch_hz,
    play_sound,
)
from gram.data.generated_world import (
    COLORS,
    PITCHES,
    PLACES,
    TEMPLATES,
    TOPICS,
    GeneratedClip,
    plan_clips,
    write_captions,
    write_subtitle,
)
from gram.data.sound import SAMPLE_RATE_HZ

FACTORS = {"color": COLORS, "pitch": PITCHES, "topic": TOPICS, "place": PLACES}


def small_dataset(**changes: object) -> GeneratedDataset:
    settings = {"kind": "generated", "clips": {"train": 2, "test": 1}, "seconds": 1.0, "pixels": 32}
    return GeneratedDataset.model_validate({**settings, **changes})


def written(dataset: GeneratedDataset, folder: Path, *, chunk: int = 0) -> list[dict[str, object]]:
    annotations = folder / f"annotations{chunk}.json"
    generate_clips(dataset, chunk=chunk, media=folder / "media", annotations=annotations, workers=2)
    records: list[dict[str, object]] = json.loads(annotations.read_text(encoding="utf-8"))
    return records


def factors(clip: GeneratedClip) -> tuple[str, str, str, str]:
    return clip.color, clip.pitch, clip.topic, clip.place


def hue_of(frames_fhwc: np.ndarray) -> float:
    """Give the hue of the colored pixels, 0..1."""
    pixels = frames_fhwc.reshape(-1, 3).astype(float)
    colored = pixels[np.ptp(pixels, axis=1) > 100]
    return colorsys.rgb_to_hsv(*colored.mean(axis=0) / 255)[0]


def loudest_hz(sound_n: np.ndarray, rate_hz: int) -> float:
    spectrum = abs(np.fft.rfft(sound_n.astype(float)))
    return float(spectrum.argmax() * rate_hz / len(sound_n))


def nearest_color(hue: float) -> str:
    return list(COLORS)[round(hue * len(COLORS)) % len(COLORS)]


def nearest_pitch(hertz: float) -> str:
    return min(PITCHES, key=lambda pitch: abs(np.log(pitch_hz(pitch) / hertz)))


def names_one(text: str, words: tuple[str, ...]) -> bool:
    plain = re.sub(r"[^a-z ]", " ", text)
    return any(f" {word} " in f" {plain} " for word in words)


# --- the plan ---------------------------------------------------------------------------------


def test_no_two_clips_share_a_combination() -> None:
    clips = plan_clips(small_dataset(clips={"train": 433, "validation": 96, "test": 96}))
    assert len({factors(clip) for clip in clips}) == 625


def test_the_order_in_which_splits_are_written_changes_nothing() -> None:
    one = plan_clips(small_dataset(clips={"train": 5, "test": 3}))
    other = plan_clips(small_dataset(clips={"test": 3, "train": 5}))
    assert one == other


def test_another_seed_gives_other_combinations() -> None:
    one, other = (plan_clips(small_dataset(seed=seed)) for seed in (0, 1))
    assert [factors(clip) for clip in one] != [factors(clip) for clip in other]


def test_each_value_is_about_as_frequent_in_a_split() -> None:
    clips = plan_clips(small_dataset(clips={"train": 600}))
    counts = [sum(clip.color == color for clip in clips) for color in COLORS]
    assert min(counts) > 75


# --- what is said about a clip ----------------------------------------------------------------


def test_there_are_at_least_twelve_templates() -> None:
    assert len(set(TEMPLATES)) >= 12


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_has_a_slot_for_each_factor(template: str) -> None:
    assert all(template.count(f"{{{factor}}}") == 1 for factor in FACTORS)


def test_templates_name_the_factors_in_many_orders() -> None:
    orders = {
        tuple(sorted(FACTORS, key=lambda factor: t.index(f"{{{factor}}}"))) for t in TEMPLATES
    }
    assert len(orders) >= 8


@pytest.mark.parametrize("factor", FACTORS)
def test_each_caption_names_each_factor(factor: str) -> None:
    clips = plan_clips(small_dataset(clips={"train": 50}))
    unnamed = [
        caption
        for clip in clips
        for caption in write_captions(clip, np.random.default_rng(clip.number))
        if not names_one(caption, FACTORS[factor][getattr(clip, factor)])
    ]
    assert unnamed == []


def test_a_word_stands_for_one_value() -> None:
    words = [word for values in FACTORS.values() for words in values.values() for word in words]
    assert len(words) == len(set(words))


@pytest.mark.parametrize("topic", TOPICS)
def test_a_subtitle_names_no_other_factor(topic: str) -> None:
    said = " ".join(write_subtitle(topic, np.random.default_rng(seed)) for seed in range(100))
    heard = set(said.lower().replace(".", " ").replace(",", " ").split())
    named = {
        word
        for values in (COLORS, PITCHES, PLACES)
        for words in values.values()
        for phrase in words
        for word in phrase.split()
    }
    assert heard & named <= {"in", "the", "of", "and", "at", "all", "every", "on"}


def test_topics_share_no_subtitle() -> None:
    said = {
        topic: {write_subtitle(topic, np.random.default_rng(seed)) for seed in range(100)}
        for topic in TOPICS
    }
    assert not any(said[one] & said[other] for one, other in itertools.combinations(TOPICS, 2))


# --- what is drawn and played -----------------------------------------------------------------


@pytest.mark.parametrize("color", COLORS)
def test_the_picture_shows_the_color(color: str) -> None:
    seen = [
        nearest_color(
            hue_of(
                draw_frames(color, np.random.default_rng(seed), num_frames=4, pixels=48, seconds=2)
            )
        )
        for seed in range(10)
    ]
    assert seen == [color] * 10


def test_nothing_but_the_hue_depends_on_the_color() -> None:
    red, blue = (
        draw_frames(color, np.random.default_rng(3), num_frames=4, pixels=48, seconds=2)
        for color in ("red", "blue")
    )
    assert np.array_equal(np.ptp(red, axis=-1) < 20, np.ptp(blue, axis=-1) < 20)


def test_things_move() -> None:
    frames = draw_frames("red", np.random.default_rng(0), num_frames=8, pixels=48, seconds=2)
    assert (np.ptp(frames, axis=0) > 50).any()


@pytest.mark.parametrize("pitch", PITCHES)
def test_the_sound_has_the_pitch(pitch: str) -> None:
    heard = [
        nearest_pitch(
            loudest_hz(play_sound(pitch, np.random.default_rng(seed), seconds=1.0), SAMPLE_RATE_HZ)
        )
        for seed in range(10)
    ]
    assert heard == [pitch] * 10


def mean_depth(place: str, seed: int) -> np.ndarray:
    return draw_depth(place, np.random.default_rng(seed), num_maps=8).mean(axis=0)


@pytest.mark.parametrize("place", PLACES)
def test_the_depth_maps_show_the_place(place: str) -> None:
    known = {
        other: np.mean([mean_depth(other, seed) for seed in range(100, 120)], axis=0)
        for other in PLACES
    }
    found = [
        max(
            PLACES,
            key=lambda other: np.corrcoef(known[other].ravel(), mean_depth(place, seed).ravel())[
                0, 1
            ],
        )
        for seed in range(10)
    ]
    assert found == [place] * 10


@pytest.mark.parametrize("place", PLACES)
def test_mirroring_keeps_the_place(place: str) -> None:
    maps = np.mean([mean_depth(place, seed) for seed in range(40)], axis=0)
    assert np.corrcoef(maps.ravel(), maps[:, ::-1].ravel())[0, 1] > 0.95


# --- the files --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, object]]]:
    folder = tmp_path_factory.mktemp("generated")
    return folder, written(small_dataset(), folder)


def test_records_have_the_published_keys(generated: tuple[Path, list[dict[str, object]]]) -> None:
    _, records = generated
    assert [set(record) for record in records] == [{"video_id", "desc", "subtitle", "split"}] * 3


def test_each_clip_has_three_captions(generated: tuple[Path, list[dict[str, object]]]) -> None:
    _, records = generated
    assert [len(set(record["desc"])) for record in records] == [3, 3, 3]


def test_each_clip_has_a_media_and_a_depth_file(
    generated: tuple[Path, list[dict[str, object]]],
) -> None:
    folder, _ = generated
    names = {
        f"{clip}{end}"
        for clip in ("test_0000", "train_0000", "train_0001")
        for end in (".mp4", ".depth.npy")
    }
    assert {path.name for path in (folder / "media").iterdir()} == names


def test_the_written_picture_has_the_color_size_and_number_of_frames(
    generated: tuple[Path, list[dict[str, object]]],
) -> None:
    folder, _ = generated
    with av.open(str(folder / "media" / "train_0000.mp4")) as file:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])
    clip = next(clip for clip in plan_clips(small_dataset()) if clip.clip_id == "train_0000")
    assert (frames.shape, nearest_color(hue_of(frames))) == ((8, 32, 32, 3), clip.color)


def test_the_written_sound_has_the_pitch(generated: tuple[Path, list[dict[str, object]]]) -> None:
    folder, _ = generated
    with av.open(str(folder / "media" / "train_0000.mp4")) as file:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    clip = next(clip for clip in plan_clips(small_dataset()) if clip.clip_id == "train_0000")
    assert nearest_pitch(loudest_hz(sound, SAMPLE_RATE_HZ)) == clip.pitch


def test_the_depth_file_holds_small_maps(generated: tuple[Path, list[dict[str, object]]]) -> None:
    folder, _ = generated
    maps = np.load(folder / "media" / "train_0000.depth.npy", allow_pickle=False)
    assert (maps.shape, maps.dtype) == ((8, 48, 48), np.uint8)


def test_the_same_settings_give_the_same_bytes(
    generated: tuple[Path, list[dict[str, object]]], tmp_path: Path
) -> None:
    folder, _ = generated
    written(small_dataset(), tmp_path)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert len(files) == 7
    assert [(tmp_path / name).read_bytes() for name in files] == [
        (folder / name).read_bytes() for name in files
    ]


def test_chunks_share_the_clips_among_them(tmp_path: Path) -> None:
    dataset = small_dataset(clips={"train": 6}, chunks=2, seconds=0.5)
    ids = [
        str(record["video_id"])
        for chunk in (0, 1)
        for record in written(dataset, tmp_path, chunk=chunk)
    ]
    assert sorted(ids) == [clip.clip_id for clip in plan_clips(dataset)]


def test_an_odd_size_is_rounded_up(tmp_path: Path) -> None:
    written(small_dataset(clips={"train": 1}, pixels=33, seconds=0.5), tmp_path)
    with av.open(str(tmp_path / "media" / "train_0000.mp4")) as file:
        assert (file.streams.video[0].width, file.streams.video[0].height) == (34, 34)


def test_a_clip_that_ffmpeg_cannot_write_is_named_and_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "ffmpeg"
    broken.write_text('#!/bin/sh\n[ "$2" = -encoders ] || { echo no space left >&2; exit 3; }\n')
    broken.chmod(0o755)
    monkeypatch.setattr("gram.data.generate.find_ffmpeg", lambda: broken)
    with pytest.raises(ValueError, match=r"train_0000\.mp4 \(exit status 3\): no space left"):
        written(small_dataset(clips={"train": 1}), tmp_path)
    assert list((tmp_path / "media").iterdir()) == []


def test_an_ffmpeg_that_stalls_is_killed_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalled = tmp_path / "ffmpeg"
    stalled.write_text('#!/bin/sh\n[ "$2" = -encoders ] || sleep 60\n')
    stalled.chmod(0o755)
    monkeypatch.setattr("gram.data.generate.find_ffmpeg", lambda: stalled)
    monkeypatch.setattr("gram.data.generate.FFMPEG_SECONDS", 0.5)
    with pytest.raises(ValueError, match=rf"killed after 0\.5 s.*that {stalled} runs"):
        written(small_dataset(clips={"train": 1}), tmp_path)
