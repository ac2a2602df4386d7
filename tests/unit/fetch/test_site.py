import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import av
import pytest

from gram.config import FetchConfig
from gram.data.ffmpeg import find_ffmpeg
from gram.data.status import Status
from gram.fetch.errors import FetchError
from gram.fetch.site import Place, fetch_clip
from tests.unit.fetch.served import Asked, Reply, Server, serve

SETTINGS = FetchConfig(tries=0, pause_seconds=0, pause_between_requests_seconds=0)
MEDIA = {"Content-Type": "video/mp4"}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Give an MP4 of three seconds with picture and sound."""
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    command = [find_ffmpeg(), "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=96x64:r=10:d=3"]
    command += ["-f", "lavfi", "-i", "sine=440:r=16000:d=3", "-pix_fmt", "yuv420p", path]
    subprocess.run(command, check=True)
    return path.read_bytes()


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Give an MP4 of eight seconds and many bytes, its index in front."""
    path = tmp_path_factory.mktemp("video") / "a.mp4"
    command = [find_ffmpeg(), "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=8"]
    command += ["-preset", "ultrafast", "-b:v", "2M", "-pix_fmt", "yuv420p"]
    subprocess.run([*command, "-movflags", "+faststart", path], check=True)
    return path.read_bytes()


@pytest.fixture(scope="module")
def half_film(long_video: bytes, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Give a Matroska film that ends, without an error, before the length that it says."""
    folder = tmp_path_factory.mktemp("half")
    (folder / "a.mp4").write_bytes(long_video)
    command = [find_ffmpeg(), "-v", "error", "-i", folder / "a.mp4", "-c", "copy"]
    subprocess.run([*command, folder / "a.mkv"], check=True)
    film = (folder / "a.mkv").read_bytes()
    return film[: len(film) // 2]


@pytest.fixture
def long_server(long_video: bytes, half_film: bytes) -> Iterator[Server]:
    half = len(long_video) // 2

    def answer(asked: Asked) -> Reply:
        match asked.path.rpartition("/")[2]:
            case "refused.mp4" if asked.offset > half:
                return Reply(code=503)
            case "broken.mp4" | "refused.mp4":
                return Reply(content=long_video, cut=max(0, half - asked.offset), headers=MEDIA)
            case "half.mkv":
                return Reply(content=half_film, headers={"Content-Type": "video/x-matroska"})
        return Reply(content=long_video, headers=MEDIA)

    with serve(answer) as running:
        yield running


@pytest.fixture
def server(video: bytes) -> Iterator[Server]:
    def answer(asked: Asked) -> Reply:
        match asked.path.rpartition("/")[2]:
            case "gone.mp4":
                return Reply(code=404)
            case "sound.mp3":
                return Reply(
                    content=b"ID3\x04\0\0" + bytes(500), headers={"Content-Type": "audio/mpeg"}
                )
            case "page.mp4":
                return Reply(content=b"<!DOCTYPE html><title>Log in</title>")
            case "stalls.mp4":
                return Reply(content=video, stall=5000, stall_seconds=20, headers=MEDIA)
        return Reply(content=video, headers=MEDIA)

    with serve(answer) as running:
        yield running


def seconds_of(path: Path) -> float:
    with av.open(path) as file:
        assert file.duration is not None
        return file.duration / av.time_base


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_video_comes_as_it_is(server: Server, video: bytes, tmp_path: Path) -> None:
    path = fetch_clip(Place(source_id="it's 100%", url=server.at("a.mp4")), tmp_path, SETTINGS)
    assert path.name == "it's 100%.mp4"
    assert path.read_bytes() == video
    assert left(tmp_path) == [path.name]


def test_a_clip_is_cut_to_its_length(server: Server, tmp_path: Path) -> None:
    place = Place(source_id="cut", url=server.at("a.mp4"), start_seconds=0.7, end_seconds=2.2)
    path = fetch_clip(place, tmp_path, SETTINGS)
    assert seconds_of(path) == pytest.approx(1.5, abs=0.11)
    assert left(tmp_path) == ["cut.mp4"]


@pytest.mark.parametrize(
    ("start", "end", "seconds"),
    [(2.0, None, 1.0), (None, 1.2, 1.2), (1.0, 9.0, 2.0)],
    ids=["to the end", "from the start", "beyond the end"],
)
def test_a_clip_ends_with_its_video(
    start: float | None,
    end: float | None,
    seconds: float,
    server: Server,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    place = Place(source_id="a", url=server.at("a.mp4"), start_seconds=start, end_seconds=end)
    path = fetch_clip(place, tmp_path, SETTINGS)
    assert seconds_of(path) == pytest.approx(seconds, abs=0.11)
    is_told = "ends at 3.00 s, before the clip's end at 9.00 s" in caplog.text
    assert is_told is (end == 9.0)


@pytest.mark.parametrize(
    ("name", "span", "status", "words"),
    [
        ("broken.mp4", (2.0, 6.0), Status.NETWORK, "Stream ends prematurely"),
        ("refused.mp4", (6.0, 7.0), Status.NETWORK, "refused.mp4: ffmpeg exited"),
        ("half.mkv", (2.0, 7.0), Status.NETWORK, "where 5.00 s were asked for"),
        ("long.mp4", (20.0, 25.0), Status.TOO_SHORT, "ends at 8.00 s, the clip starts at 20.00 s"),
        ("long.mp4", (3.0, 3.0), Status.TOO_SHORT, "starts at 3 s and ends at 3 s"),
        ("long.mp4", (3.0, 2.0), Status.TOO_SHORT, "starts at 3 s and ends at 2 s"),
        ("long.mp4", (None, 0.0), Status.TOO_SHORT, "starts at 0 s and ends at 0 s"),
    ],
    ids=["cut", "refused", "short of what it says", "beyond", "empty", "backwards", "to zero"],
)
def test_a_clip_that_is_not_whole_is_not_taken(
    name: str,
    span: tuple[float | None, float],
    status: Status,
    words: str,
    long_server: Server,
    tmp_path: Path,
) -> None:
    start, end = span
    place = Place(source_id="a", url=long_server.at(name), start_seconds=start, end_seconds=end)
    with pytest.raises(FetchError) as error:
        fetch_clip(place, tmp_path, SETTINGS)
    assert error.value.status is status
    assert words in str(error.value)
    assert [one for one in left(tmp_path) if not one.startswith(".")] == []


@pytest.mark.parametrize(
    ("name", "settings", "status", "words"),
    [
        ("gone.mp4", SETTINGS, Status.DEAD, "HTTP Error 404: Not Found"),
        ("page.mp4", SETTINGS, Status.UNSUPPORTED, "Unsupported URL"),
        ("film.rm", SETTINGS, Status.FAILED, "its kind, .rm, is none that is read"),
        (
            "stalls.mp4",
            SETTINGS.model_copy(update={"timeout_seconds": 3.0}),
            Status.TIMEOUT,
            "took longer than 3 s (fetch.timeout_seconds)",
        ),
    ],
    ids=["gone", "a page", "another kind", "stalls"],
)
def test_what_cannot_be_had_leaves_no_file(
    name: str,
    settings: FetchConfig,
    status: Status,
    words: str,
    server: Server,
    tmp_path: Path,
) -> None:
    with pytest.raises(FetchError) as error:
        fetch_clip(Place(source_id="a", url=server.at(name)), tmp_path, settings)
    assert error.value.status is status
    assert words in str(error.value)
    assert [one for one in left(tmp_path) if not one.startswith(".")] == []


def test_what_an_earlier_start_left_does_no_harm(server: Server, tmp_path: Path) -> None:
    place = Place(source_id="cut", url=server.at("a.mp4"), start_seconds=0.5, end_seconds=1.5)
    folder = tmp_path / f".fetch-{sha256(b'cut').hexdigest()[:16]}"
    folder.mkdir()
    for name in ("clip.mp4.part", "clip.temp.mp4", "clip.mp4"):
        (folder / name).write_bytes(b"half")
    assert seconds_of(fetch_clip(place, tmp_path, SETTINGS)) == pytest.approx(1.0, abs=0.11)
    assert left(tmp_path) == ["cut.mp4"]


@pytest.mark.parametrize("source_id", ["a/b", "../a", ".a", "a\0b", "x" * 300])
def test_an_id_that_is_no_file_name_is_not_asked_for(source_id: str, tmp_path: Path) -> None:
    place = Place(source_id=source_id, url="http://127.0.0.1:9/a.mp4")
    with pytest.raises(FetchError, match="cannot be the name of a file") as error:
        fetch_clip(place, tmp_path, SETTINGS)
    assert error.value.status is Status.NOT_FOUND
    assert left(tmp_path) == []


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ytsearch:cats", "a.mp4"])
def test_only_the_web_is_asked(url: str, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="no address of http or https"):
        fetch_clip(Place(source_id="a", url=url), tmp_path, SETTINGS)


PARENT = """
import sys
from pathlib import Path
from gram.config import FetchConfig
from gram.fetch.site import Place, fetch_clip
fetch_clip(Place(source_id="a", url=sys.argv[1]), Path(sys.argv[2]), FetchConfig(tries=0))
"""


def test_a_killed_job_leaves_no_process_and_no_file(server: Server, tmp_path: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT, server.at("stalls.mp4"), tmp_path])
    until(lambda: len(server.asked) > 1)
    (child,) = children_of(parent.pid)
    parent.kill()
    parent.wait()
    until(lambda: not is_alive(child))
    assert [name for name in left(tmp_path) if not name.startswith(".")] == []


def until(is_so: Callable[[], bool]) -> None:
    limit = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < limit
        time.sleep(0.05)


def children_of(process: int) -> list[int]:
    listed = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="utf-8")
    return [int(number) for number in listed.split()]


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2]
    except FileNotFoundError:
        return False
    return state.split()[0] != "Z"
