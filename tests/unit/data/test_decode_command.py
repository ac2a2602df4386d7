from pathlib import Path

import pytest

from gram.config import ExtractionConfig
from gram.data.decode_command import ClipSource, bin_of, decode_command, reachable_bins


def source_of(**changes: object) -> ClipSource:
    facts = {
        "media": Path("a.mp4"),
        "video_stream": 0,
        "audio_stream": 1,
        "start_seconds": None,
        "end_seconds": None,
        "duration_seconds": 4.0,
    }
    return ClipSource(**{**facts, **changes})  # type: ignore[arg-type]


def arguments_of(**changes: object) -> list[str]:
    command = decode_command(source_of(**changes), ExtractionConfig(), program=Path("ffmpeg"))
    return [str(argument) for argument in command]


def after(arguments: list[str], option: str) -> str:
    return arguments[arguments.index(option) + 1]


def test_the_input_is_a_file_by_its_whole_path() -> None:
    assert after(arguments_of(), "-i") == f"file:{Path.cwd()}/a.mp4"


def test_damage_ends_the_program() -> None:
    assert "-xerror" in arguments_of()


def test_only_known_containers_in_files_are_opened() -> None:
    arguments = arguments_of()
    assert after(arguments, "-protocol_whitelist") == "file"
    assert not {"hls", "concat", "image2"} & {*after(arguments, "-format_whitelist").split(",")}


def test_whitelists_stand_before_the_input() -> None:
    arguments = arguments_of()
    assert arguments.index("-format_whitelist") < arguments.index("-i")


def test_no_argument_but_the_input_holds_a_part_of_the_name() -> None:
    arguments = arguments_of(media=Path("/media/%03d strange.mp4"))
    assert [a for a in arguments if "strange" in a] == ["file:/media/%03d strange.mp4"]


def test_a_clip_without_sound_has_one_output() -> None:
    assert "sound.s16" not in arguments_of(audio_stream=None)


def test_a_whole_file_is_not_searched() -> None:
    assert "-ss" not in arguments_of()


def test_a_part_is_searched_before_the_input_is_opened() -> None:
    arguments = arguments_of(start_seconds=1.5, end_seconds=5.5)
    assert (after(arguments, "-ss"), after(arguments, "-t")) == ("1.5", "4.0")
    assert arguments.index("-ss") < arguments.index("-i")


@pytest.mark.parametrize(
    ("seconds", "number"),
    [(0, -1), (0.249, -1), (0.25, 0), (0.74, 0), (0.75, 1), (3.75, 7), (9, 7)],
)
def test_a_bin_begins_at_its_center(seconds: float, number: int) -> None:
    assert bin_of(seconds, bins=8, duration_seconds=4.0) == number


@pytest.mark.parametrize("bins", [1, 2, 7, 8, 32])
@pytest.mark.parametrize("num_frames", [1, 2, 3, 8, 15, 16, 33, 300])
def test_reachable_bins_are_those_that_even_frames_hit(num_frames: int, bins: int) -> None:
    hit = set()
    for frame in range(num_frames):
        # Whole numbers: frame / num_frames >= (n + 1/2) / bins.
        centers = [n for n in range(bins) if 2 * frame * bins >= (2 * n + 1) * num_frames]
        hit |= {max(centers)} if centers else set()
    assert reachable_bins(num_frames, bins) == max(1, len(hit))
