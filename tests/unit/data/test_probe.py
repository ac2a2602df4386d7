import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from gram.data.annotations import make_clips
from gram.data.media_files import chunk_of
from gram.data.probe import Known, Readers, probe_chunk
from gram.data.status import Status
from gram.data.tables import FETCH, PROBE, Row, read_rows, write_rows


@pytest.fixture
def probe(tmp_path: Path) -> Callable[..., list[Row]]:
    """Probe the clips of a CSV text."""

    def run(
        text: str, media: Path, *, chunk: int = 0, chunks: int = 1, memory: Path | None = None
    ) -> list[Row]:
        (tmp_path / "a.csv").write_text(text)
        make_clips([("test", tmp_path / "a.csv")], tmp_path / "clips.parquet")
        output = tmp_path / "probe.parquet"
        probe_chunk(
            tmp_path / "clips.parquet",
            media=media,
            chunk=chunk,
            chunks=chunks,
            output=output,
            workers=2,
            known=Known(memory=memory),
        )
        return read_rows(output)

    return run


def test_a_file_is_described(
    tmp_path: Path, make_media: Callable[..., Path], probe: Callable[..., list[Row]]
) -> None:
    path = make_media(tmp_path / "media" / "a.mp4")
    row = probe("video_id,caption\na,x\n", tmp_path / "media")[0]
    assert list(row) == PROBE.names
    assert {name: row[name] for name in PROBE.names[9:]} == {
        "media": str(path),
        "medium": "film",
        "status": "ok",
        "stage": None,
        "reason": None,
        "duration_seconds": 2.0,
        "container": "mov,mp4,m4a,3gp,3g2,mj2",
        "video_codec": "h264",
        "width": 96,
        "height": 64,
        "frame_rate": 10.0,
        "picture_start_seconds": 0.0,
        "has_video": True,
        "has_audio": True,
        "audio_codec": "aac",
        "sample_rate_hz": 44100,
        "channels": 1,
        "video_stream": 0,
        "audio_stream": 1,
    }


def test_the_better_of_two_pictures_is_chosen_with_its_sound(
    tmp_path: Path, run_ffmpeg: Callable[..., bytes], probe: Callable[..., list[Row]]
) -> None:
    (tmp_path / "media").mkdir()
    inputs = [
        argument
        for source in ("testsrc2=s=32x32:d=1", "sine=d=1", "testsrc2=s=96x64:d=1", "sine=d=1")
        for argument in ("-f", "lavfi", "-i", source)
    ]
    maps = [argument for number in range(4) for argument in ("-map", str(number))]
    codecs = ("-c:v", "mpeg4", "-disposition:v", "0", "-disposition:v:1", "default")
    run_ffmpeg(*inputs, *maps, *codecs, tmp_path / "media" / "a.mp4")
    row = probe("video_id,caption\na,x\n", tmp_path / "media")[0]
    assert (row["video_stream"], row["width"], row["has_audio"]) == (2, 96, True)


def test_a_chunk_has_its_own_clips_in_order(
    tmp_path: Path, probe: Callable[..., list[Row]]
) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "other.mp4").write_bytes(b"")
    names = [f"v{number}" for number in range(12)]
    text = "video_id,caption\n" + "".join(f"{name},x\n" for name in names)
    found = [
        [row["clip_id"] for row in probe(text, tmp_path / "media", chunk=chunk, chunks=3)]
        for chunk in range(3)
    ]
    assert found == [[n for n in names if chunk_of(n, 3) == chunk] for chunk in range(3)]


def test_parts_of_one_file_are_in_one_chunk(
    tmp_path: Path, probe: Callable[..., list[Row]]
) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "film.mp4").write_bytes(b"")
    text = "video_id,caption,source_id\n" + "".join(f"v{n},x,film\n" for n in range(6))
    chunk = chunk_of("film", 3)
    assert len(probe(text, tmp_path / "media", chunk=chunk, chunks=3)) == 6


def test_an_absent_media_folder_stops_the_job(
    tmp_path: Path, probe: Callable[..., list[Row]]
) -> None:
    with pytest.raises(ValueError, match=r"the media folder .*media is not there"):
        probe("video_id,caption\na,x\n", tmp_path / "media")


# --- clips that could not be fetched -----------------------------------------------------------

DEAD = {"source_id": "a", "status": Status.DEAD, "reason": "https://example.org/a: removed"}


def probe_fetched(folder: Path, *outcomes: Row) -> list[Row]:
    """Probe the clip a, of whose fetching a table tells."""
    (folder / "a.csv").write_text("video_id,caption\na,x\n")
    make_clips([("test", folder / "a.csv")], folder / "clips.parquet")
    write_rows(folder / "fetched.parquet", outcomes, schema=FETCH)
    probe_chunk(
        folder / "clips.parquet",
        media=folder / "media",
        chunk=0,
        chunks=1,
        output=folder / "probe.parquet",
        workers=1,
        known=Known(fetched=folder / "fetched.parquet"),
    )
    return read_rows(folder / "probe.parquet")


def test_a_clip_that_could_not_be_fetched_keeps_what_the_site_said(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (row,) = probe_fetched(tmp_path, DEAD)
    assert (row["status"], row["stage"]) == ("dead", "fetch")
    assert row["reason"] == DEAD["reason"]


def test_a_file_that_is_there_counts_whatever_was_said_of_it(
    tmp_path: Path, make_media: Callable[..., Path]
) -> None:
    make_media(tmp_path / "media" / "a.mp4")
    (row,) = probe_fetched(tmp_path, DEAD)
    assert (row["status"], row["reason"]) == ("ok", None)


def test_a_file_that_was_fetched_and_is_gone_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (row,) = probe_fetched(tmp_path, {"source_id": "a", "status": Status.OK})
    assert (row["status"], row["stage"]) == ("not_found", "probe")


# --- clips without a file of their own ---------------------------------------------------------


def reasons_by_clip(rows: list[Row]) -> dict[str, tuple[str, str]]:
    return {row["clip_id"]: (row["status"], row["reason"]) for row in rows}


@pytest.fixture
def repeated(tmp_path: Path, make_media: Callable[..., Path]) -> Path:
    """Give a folder with two files named v, two named README, and one named a."""
    folder = make_media(tmp_path / "media" / "a.mp4").parent
    for name in ("one/v.mp4", "two/v.mkv", "one/README", "two/README"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_a_clip_that_several_files_are_named_for_is_set_aside(
    repeated: Path, probe: Callable[..., list[Row]]
) -> None:
    found = reasons_by_clip(probe("video_id,caption\na,x\nv,x\n", repeated))
    assert found["v"] == (
        "duplicate",
        "2 media files are named 'v': one/v.mp4 and two/v.mkv; rename or remove all but one",
    )


def test_names_that_occur_twice_cost_no_other_clip(
    repeated: Path, probe: Callable[..., list[Row]]
) -> None:
    found = reasons_by_clip(probe("video_id,caption\na,x\nv,x\n", repeated))
    assert found["a"] == ("ok", None)


def test_a_repeated_name_is_decided_by_probing(
    repeated: Path, probe: Callable[..., list[Row]]
) -> None:
    assert probe("video_id,caption\nv,x\n", repeated)[0]["stage"] == "probe"


def test_a_clip_without_a_file_is_set_aside(
    repeated: Path, probe: Callable[..., list[Row]]
) -> None:
    found = reasons_by_clip(probe("video_id,caption\nb,x\n", repeated))
    assert found["b"] == ("not_found", f"no media file named 'b' in {repeated}")


def test_an_id_that_ends_in_a_suffix_is_told_to_leave_it_out(
    repeated: Path, probe: Callable[..., list[Row]]
) -> None:
    found = reasons_by_clip(probe("video_id,caption\na.mp4,x\n", repeated))
    assert found["a.mp4"] == (
        "not_found",
        f"no media file named 'a.mp4' in {repeated}, but a.mp4 is there; leave out the suffix "
        "in the annotation",
    )


@pytest.mark.parametrize(
    ("source_id", "reason"),
    [
        ("A", "no media file named 'A' in {}, but a.mp4 is there; spell the id as the file is"),
        ("f", "f.mp4 is a folder, not a media file"),
        ("pipe", "pipe.mp4 is not a regular file"),
        ("loop", "loop.mp4 cannot be opened: Too many levels of symbolic links"),
    ],
)
def test_what_stands_in_the_place_of_a_file_is_told(
    repeated: Path, probe: Callable[..., list[Row]], source_id: str, reason: str
) -> None:
    (repeated / "f.mp4").mkdir()
    os.mkfifo(repeated / "pipe.mp4")
    (repeated / "loop.mp4").symlink_to("loop.mp4")
    found = reasons_by_clip(probe(f"video_id,caption\n{source_id},x\n", repeated))
    assert found[source_id][1].startswith(reason.format(repeated))


def test_of_files_of_one_name_the_only_one_that_can_be_used_is_taken(
    tmp_path: Path, make_media: Callable[..., Path], probe: Callable[..., list[Row]]
) -> None:
    right = make_media(tmp_path / "media" / "b" / "v.mkv", sound=None)
    (tmp_path / "media" / "v.mp4").write_text("<html>not found</html>")
    (tmp_path / "media" / "v").write_text("notes")
    (row,) = probe("video_id,caption\nv,x\n", tmp_path / "media")
    assert (row["status"], row["media"]) == ("ok", str(right))


def test_files_of_one_name_that_can_all_be_used_are_not_chosen_from(
    tmp_path: Path, make_media: Callable[..., Path], probe: Callable[..., list[Row]]
) -> None:
    for name in ("v.mkv", "v.mp4"):
        make_media(tmp_path / "media" / name, sound=None)
    (row,) = probe("video_id,caption\nv,x\n", tmp_path / "media")
    assert (row["status"], row["media"]) == ("duplicate", None)


def test_a_folder_whose_name_is_not_utf8_costs_its_clips_only(
    tmp_path: Path, make_media: Callable[..., Path], probe: Callable[..., list[Row]]
) -> None:
    film = make_media(tmp_path / "media" / "a.mp4", sound=None)
    odd = tmp_path / "media" / os.fsdecode(b"\xe9t\xe9")
    odd.mkdir()
    (odd / "b.mp4").write_bytes(film.read_bytes())
    found = reasons_by_clip(probe("video_id,caption\na,x\nb,x\n", tmp_path / "media"))
    assert found["a"] == ("ok", None)
    assert found["b"] == (
        "unreadable",
        "b.mp4 has a path that is not UTF-8, which no table can hold; rename it",
    )


def test_a_line_break_in_a_name_breaks_no_reason(
    tmp_path: Path, probe: Callable[..., list[Row]]
) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a\nb.mp4").write_bytes(b"")
    (row,) = probe('video_id,caption\n"a\nb",x\n', tmp_path / "media")
    assert row["reason"] == "a\\nb.mp4 is empty (0 bytes)"


# --- files that stall or kill their reader -------------------------------------------------------


def reading_processes() -> list[int]:
    """Find the running reading processes that this process started."""
    found = []
    for state in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(state.read_text().rsplit(")", 1)[1].split()[1])
            command = (state.parent / "cmdline").read_bytes()
        except FileNotFoundError:
            continue  # it ended meanwhile
        if parent == os.getpid() and b"gram.data.media_facts" in command:
            found.append(int(state.parent.name))
    return found


@pytest.fixture
def film(tmp_path: Path, make_media: Callable[..., Path]) -> Path:
    return make_media(tmp_path / "a.mp4", picture="testsrc2=s=32x32:d=0.2", sound=None)


def test_a_file_on_which_the_reader_stalls_is_given_up_at_the_limit(film: Path) -> None:
    with Readers(1, timeout_seconds=1) as readers:
        next(readers.read_all([film]))
        os.kill(reading_processes()[0], signal.SIGSTOP)
        facts = next(readers.read_all([film]))
    assert (facts.status, facts.reason) == (Status.TIMEOUT, "took longer than 1 s to probe")


DEADLY = """
import os, pathlib, signal
stat = pathlib.Path.stat
def stat_or_die(path, **options):
    if path.name == "deadly.mp4":
        os.kill(os.getpid(), signal.SIGSEGV)
    return stat(path, **options)
pathlib.Path.stat = stat_or_die
"""


@pytest.fixture
def deadly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a file on which every reading process dies."""
    (tmp_path / "python").mkdir()
    (tmp_path / "python" / "sitecustomize.py").write_text(DEADLY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "python"))
    return tmp_path / "deadly.mp4"


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "second"])
def test_a_file_on_which_the_reader_dies_is_set_aside(
    film: Path, deadly: Path, is_first: bool
) -> None:
    with Readers(1) as readers:
        *_, facts = readers.read_all([deadly] if is_first else [film, deadly])
    assert facts.status is Status.UNREADABLE
    assert facts.reason == "crashed the reading process (exit status -11)"


def test_the_file_after_a_deadly_one_gets_a_new_reader(film: Path, deadly: Path) -> None:
    with Readers(1) as readers:
        statuses = [facts.status for facts in readers.read_all([deadly, film])]
    assert statuses == [Status.UNREADABLE, Status.OK]


def test_a_file_is_not_blamed_for_a_reader_that_died_before_it(film: Path) -> None:
    with Readers(1) as readers:
        next(readers.read_all([film]))
        os.kill(reading_processes()[0], signal.SIGSEGV)
        facts = next(readers.read_all([film]))
    assert facts.status is Status.OK


def test_the_file_after_a_stalled_one_gets_a_new_reader(film: Path) -> None:
    with Readers(1, timeout_seconds=1) as readers:
        next(readers.read_all([film]))
        os.kill(reading_processes()[0], signal.SIGSTOP)
        statuses = [facts.status for facts in readers.read_all([film, film])]
    assert statuses[1] is Status.OK


def test_no_reader_outlives_its_pool(film: Path) -> None:
    with Readers(2) as readers:
        assert len(list(readers.read_all([film] * 4))) == 4
    assert reading_processes() == []


def test_facts_come_in_the_order_of_the_files(tmp_path: Path, film: Path) -> None:
    empty = tmp_path / "b.mp4"
    empty.write_bytes(b"")
    with Readers(3) as readers:
        reasons = [facts.reason for facts in readers.read_all([film, empty, film, empty])]
    assert reasons == [None, "is empty (0 bytes)", None, "is empty (0 bytes)"]


def test_a_reader_that_cannot_start_says_why(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "av.py").write_text("raise ImportError('libavcodec is missing')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    words = r"does not start \(ImportError: libavcodec is missing\); .* reinstall the package av"
    with Readers(1) as readers, pytest.raises(ValueError, match=words):
        next(readers.read_all([film]))
