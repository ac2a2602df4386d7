import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from gram.config import FetchConfig
from gram.data.status import Status
from gram.data.tables import Row, read_rows
from gram.fetch.clips import ask_again, fetch_chunk
from gram.fetch.ledger import Ledger, Outcome
from gram.fetch.plan import num_retries
from gram.fetch.site import Place
from tests.unit.fetch.served import Asked, Reply, Server, serve

VIDEO = b"\0\0\0\x18ftypmp42" + bytes(500)
SETTINGS = FetchConfig(tries=0, pause_seconds=0, pause_between_requests_seconds=0, at_once=2)
STATES = {"good": 200, "gone": 404, "closed": 401, "busy": 429, "broken": 503}


class Site:
    """A site whose pages answer with a code each, which a test may change."""

    def __init__(self, server: Server, codes: dict[str, int], folder: Path) -> None:
        """Take a running server, the codes of its pages, and a folder to work in."""
        self.server, self.codes, self.folder = server, codes, folder

    def place(self, name: str) -> Place:
        """Give where a clip is."""
        return Place(source_id=name, url=self.server.at(f"{name}.mp4"))

    def fetch(self, names: tuple[str, ...], settings: FetchConfig = SETTINGS) -> Mapping[str, Row]:
        """Fetch places as a job does; give the table's rows by id."""
        table = self.folder / "own/table.parquet"
        fetch_chunk(
            [self.place(name) for name in names],
            self.folder / "media",
            settings=settings,
            table=table,
            label="fetching",
        )
        return {row["source_id"]: row for row in read_rows(table)}

    def asked(self) -> set[str]:
        """Name what was asked for since the last call."""
        names = {one.path.strip("/").removesuffix(".mp4") for one in self.server.asked}
        self.server.asked.clear()
        return names


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    codes = dict(STATES)

    def answer(asked: Asked) -> Reply:
        code = codes.get(asked.path.strip("/").removesuffix(".mp4"), 200)
        media = {"Content-Type": "video/mp4"}
        if code == 0:
            return Reply(content=VIDEO, stall=0, stall_seconds=30.0, headers=media)
        return Reply(content=VIDEO, headers=media) if code == 200 else Reply(code=code)

    with serve(answer) as server:
        yield Site(server, codes, tmp_path)


def test_each_clip_has_a_row_and_only_transient_ones_are_asked_for_again(site: Site) -> None:
    rows = site.fetch(tuple(STATES))
    assert {name: row["status"] for name, row in rows.items()} == {
        "good": "ok",
        "gone": "dead",
        "closed": "private",
        "busy": "throttled",
        "broken": "network",
    }
    assert all((row["reason"] is None) == (row["status"] == "ok") for row in rows.values())
    assert rows["good"]["media"] == "good.mp4"
    assert rows["good"]["bytes"] == len(VIDEO)
    assert site.asked() == set(STATES)

    site.codes["busy"] = 200
    again = site.fetch(tuple(STATES))
    assert site.asked() == {"busy", "broken"}
    assert again["busy"]["status"] == "ok"
    assert {name: row["tries"] for name, row in again.items()} == {
        "good": 1,
        "gone": 1,
        "closed": 1,
        "busy": 2,
        "broken": 2,
    }
    assert again["gone"] == rows["gone"]


JOB = """
import sys
from pathlib import Path
from gram.config import FetchConfig
from gram.fetch.clips import fetch_chunk
from gram.fetch.site import Place
folder, url = Path(sys.argv[1]), sys.argv[2]
fetch_chunk(
    [Place(source_id=name, url=f"{url}/{name}.mp4") for name in sys.argv[3:]],
    folder / "media",
    settings=FetchConfig(
        at_once=2, tries=0, pause_seconds=0, pause_between_requests_seconds=0
    ),
    table=folder / "own/table.parquet",
    label="fetching",
)
"""


def test_a_killed_job_goes_on_where_it_was(site: Site) -> None:
    names = ("slow", "good", "gone")
    site.codes["slow"] = 0  # answers nothing for a while
    job = subprocess.Popen([sys.executable, "-c", JOB, site.folder, site.server.url, *names])
    ledger = Ledger(site.folder / "own/table.jsonl")
    until = time.monotonic() + 60
    while len(ledger.read()) < 2:
        assert time.monotonic() < until
        time.sleep(0.05)
    job.kill()
    job.wait()
    assert not (site.folder / "own/table.parquet").exists()
    site.asked()
    site.codes["slow"] = 200
    rows = site.fetch(names)
    assert site.asked() == {"slow"}
    assert [rows[name]["status"] for name in names] == ["ok", "ok", "dead"]


def test_a_file_that_is_gone_is_fetched_again(site: Site) -> None:
    site.fetch(("good",))
    (site.folder / "media/good.mp4").unlink()
    site.asked()
    assert site.fetch(("good",))["good"]["status"] == "ok"
    assert site.asked() == {"good"}


def test_a_file_that_was_there_before_is_not_asked_for(site: Site) -> None:
    (site.folder / "media").mkdir()
    (site.folder / "media/gone.mkv").write_bytes(b"mine")
    row = site.fetch(("gone",))["gone"]
    assert (row["status"], row["media"], row["tries"]) == ("ok", "gone.mkv", 0)
    assert site.asked() == set()


def test_a_clip_that_is_elsewhere_by_now_is_asked_for(site: Site) -> None:
    ledger = Ledger(site.folder / "own/table.jsonl")
    elsewhere = Place(source_id="good", url="https://example.org/old")
    ledger.add(Outcome(place=elsewhere, status=Status.DEAD, reason="gone", tries=4))
    row = site.fetch(("good",))["good"]
    assert (row["status"], row["tries"]) == ("ok", 1)


def test_after_some_refusals_nothing_more_is_asked_for(site: Site) -> None:
    names = tuple(f"busy{number}" for number in range(5))
    site.codes.update(dict.fromkeys(names, 429))
    rows = site.fetch(names, SETTINGS.model_copy(update={"refusals": 2, "at_once": 1}))
    assert Counter(row["status"] for row in rows.values()) == {"throttled": 5}
    assert site.asked() == {"busy0", "busy1"}
    assert "the site refused 2 clips before it" in rows["busy4"]["reason"]
    assert [row["tries"] for row in rows.values()] == [1, 1, 0, 0, 0]


def test_a_clip_without_a_place_keeps_its_row(site: Site) -> None:
    nowhere = Outcome(
        place=Place(source_id="x", url=""), status=Status.NOT_FOUND, reason="names no place"
    )
    table = site.folder / "own/table.parquet"
    fetch_chunk(
        [nowhere],
        site.folder / "media",
        settings=SETTINGS,
        table=table,
        label="fetching",
    )
    assert [(row["status"], row["reason"]) for row in read_rows(table)] == [
        ("not_found", "names no place")
    ]


def test_an_error_that_is_no_clip_s_ends_the_job_without_waiting(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAM_FFMPEG", "absent")
    slow = SETTINGS.model_copy(update={"at_once": 1, "pause_seconds": 600.0})
    with pytest.raises(ValueError, match="GRAM_FFMPEG is 'absent', which is not a file"):
        site.fetch(("good", "good2", "good3"), slow)
    assert site.asked() == set()


def test_absent_cookies_are_named(site: Site) -> None:
    with pytest.raises(ValueError, match=r"cookies none\.txt is not there; export it"):
        site.fetch(("good",), SETTINGS.model_copy(update={"cookies": "none.txt"}))


def test_only_tables_with_transient_states_are_asked_for_again(site: Site) -> None:
    site.fetch(("gone",))
    table = site.folder / "own/table.parquet"
    assert ask_again([table, site.folder / "absent.parquet"]) == Counter()
    assert num_retries(table) == 0
    site.fetch(("gone", "busy"))
    assert ask_again([table]) == {"throttled": 1}
    assert num_retries(table) == 1
    assert table.exists()


# --- the ledger ----------------------------------------------------------------------------------

PLACE = Place(source_id="\u00e4 b", url="https://example.org/a", start_seconds=1.0)


def test_a_ledger_gives_the_last_word_on_each_clip(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    last = Outcome(place=PLACE, status=Status.OK, media="a.mp4", bytes=3, tries=2)
    ledger.add(Outcome(place=PLACE, status=Status.NETWORK, reason="no", tries=1))
    ledger.add(last)
    assert ledger.read() == {PLACE.source_id: last}


@pytest.mark.parametrize("kept", range(0, 120, 7))
def test_a_line_that_a_kill_cut_off_costs_itself_alone(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path)
    first = Outcome(place=PLACE, status=Status.DEAD, reason="no", tries=1)
    ledger.add(first)
    whole = path.stat().st_size
    ledger.add(Outcome(place=Place(source_id="b", url="u"), status=Status.OK))
    path.write_bytes(path.read_bytes()[: whole + kept])
    third = Outcome(place=Place(source_id="c", url="u"), status=Status.OK)
    ledger.add(third)
    assert ledger.read() == {PLACE.source_id: first, "c": third}
