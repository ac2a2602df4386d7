import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gram.config import Config, FolderDataset, merged
from gram.config.sources import SiteSource
from gram.fetch.plan import Plan, make_plan, read_sources, record_of, write_record
from gram.files import sha256_of
from tests.unit.config.small import SMALL

ROOT = Path(__file__).parents[3]
UPSTREAM = ROOT.parent / "shared/annotations/upstream"

STATED = {"dataset": "own", "what": "something", "license": "none"}
SOURCES = {
    "texts": {
        **STATED,
        "kind": "http",
        "role": "annotations",
        "url": "https://example.org/a.zip",
        "file": "a.zip",
        "members": ["train.json", "test.json"],
    },
    "other_texts": {
        **STATED,
        "kind": "http",
        "role": "annotations",
        "url": "https://example.org/test.json",
        "file": "test.json",
    },
    "films": {
        **STATED,
        "kind": "hand",
        "role": "videos",
        "url": "https://example.org",
        "how": "ask",
        "file": "films.zip",
    },
    "site": {
        **STATED,
        "kind": "site",
        "role": "clips",
        "url": "https://example.org/{id}",
        "pattern": "(?P<id>.+)",
    },
}


def plan_of(folder: Path, *datasets: dict[str, Any]) -> Plan:
    """Plan for data sets named a, b, ... that differ from an empty one as is said."""
    table = folder / "sources.yaml"
    table.write_text(yaml.safe_dump({"sources": SOURCES}), encoding="utf-8")
    annotations = {"train": str(folder / "train.json"), "test": str(folder / "test.json")}
    common = {"kind": "folder", "media": "media", "annotations": annotations}
    named = {name: {**common, **one} for name, one in zip("ab", datasets, strict=False)}
    return make_plan(Config.model_validate(merged(SMALL, {"datasets": named})), table)


def fetching(*sources: str, clips: str | None = None, **others: object) -> dict[str, Any]:
    return {"fetch": {"sources": list(sources), "clips": clips}, **others}


def test_nothing_is_planned_where_nothing_is_named(tmp_path: Path) -> None:
    assert plan_of(tmp_path, {}) == Plan({}, {}, {}, {}, {})


def test_annotations_archives_and_sites_are_planned(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, fetching("texts", "films", clips="site"))
    assert sorted(plan.sources) == ["films", "site", "texts"]
    assert plan.annotations == {
        str(tmp_path / "train.json"): "texts",
        str(tmp_path / "test.json"): "texts",
    }
    assert plan.folders == {"films": "media"}
    assert plan.archives == {"a": ("films",)}
    assert plan.sites == {"a": "site"}


def test_a_file_that_was_put_there_by_hand_is_not_planned(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_text("[]")
    (tmp_path / "test.json").write_text("[]")
    write_record(tmp_path / "test.json", source="texts")
    plan = plan_of(tmp_path, fetching("texts"))
    assert plan.annotations == {str(tmp_path / "test.json"): "texts"}


def test_a_fetched_file_that_somebody_changed_is_not_planned(tmp_path: Path) -> None:
    path = tmp_path / "test.json"
    path.write_text("[]")
    write_record(path, source="texts")
    path.write_text("[1]")
    assert str(path) not in plan_of(tmp_path, fetching("texts")).annotations


def test_each_file_of_a_split_has_its_own_source(tmp_path: Path) -> None:
    (tmp_path / "ids.txt").write_text("a\n")
    files = [str(tmp_path / name) for name in ("train.json", "test.json", "ids.txt")]
    plan = plan_of(tmp_path, fetching("texts", annotations={"train": files}))
    assert plan.annotations == dict.fromkeys(files[:2], "texts")


@pytest.mark.parametrize(
    ("fetch", "words"),
    [
        (fetching("text"), "names the source 'text', which is not in"),
        (
            fetching("site"),
            "names site, which is a web site and no file; set datasets.a",
        ),
        (fetching(clips="films"), "names films, which is a file and no web site; put it into"),
        (fetching("texts", "other_texts"), "texts and other_texts both give test.json"),
    ],
)
def test_what_does_not_fit_is_named(fetch: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        plan_of(tmp_path, fetch)


def test_two_folders_for_one_archive_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fetch films into media and elsewhere"):
        plan_of(tmp_path, fetching("films"), fetching("films", media="elsewhere"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "is not there; take it from git"),
        ("sources: [", "is not YAML"),
        ("sources: {}", "cannot be used"),
        ("sources: {a: {kind: ftp}}", "cannot be used:\nsources.a"),
    ],
)
def test_a_table_that_cannot_be_used_is_named(text: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(words)):
        read_sources(path)


# --- config/sources.yaml -------------------------------------------------------------------------


def settings_of(*names: str) -> Config:
    """Read settings of the folder config, each an overlay on those before it."""
    settings: dict[str, Any] = {}
    for name in names:
        content = yaml.safe_load((ROOT / "config" / name).read_text(encoding="utf-8"))
        settings = merged(settings, content)
    return Config.model_validate(settings)


TABLE = read_sources(ROOT / "config/sources.yaml")


def test_every_data_set_of_the_paper_has_sources() -> None:
    assert {source.dataset for source in TABLE.values()} >= {
        *("weights", "vast_150k", "msrvtt", "didemo", "activitynet", "vatex", "audiocaps"),
        *("vggsound", "youcook2", "lsmdc", "valor32k", "clotho", "flickr30k", "mscoco"),
    }


@pytest.mark.parametrize(
    ("site", "source_id", "expected"),
    [
        ("vatex_clips", "G9zN5TTuGO4_000179_000189", ("G9zN5TTuGO4", "000179", "000189")),
        ("audiocaps_clips", "VjSEIRnLAh8_30.000_40.000", ("VjSEIRnLAh8", "30.000", "40.000")),
        ("audiocaps_clips", "GOD8Bt5LfDE_100", ("GOD8Bt5LfDE", "100", None)),
        ("vggsound_clips", "-0_9abcABC1_000012", ("-0_9abcABC1", "000012", None)),
        ("youcook2_clips", "xHr8X2Wpmno_47_60", ("xHr8X2Wpmno", "47", "60")),
        ("activitynet_clips", "v_uqiMw7tQ1Cc", ("uqiMw7tQ1Cc", None, None)),
        ("valor32k_clips", "CEfOX4fYlsY_20.000_30.000", ("CEfOX4fYlsY", "20.000", "30.000")),
    ],
)
def test_ids_of_real_clips_say_where_they_are(
    site: str, source_id: str, expected: tuple[str | None, ...]
) -> None:
    source = TABLE[site]
    assert isinstance(source, SiteSource)
    found = re.fullmatch(source.pattern or "", source_id)
    assert found is not None
    assert tuple(found.groupdict().get(name) for name in ("id", "start", "end")) == expected


def test_the_example_fits_the_settings_and_the_table() -> None:
    settings = settings_of("config.yaml", "examples/fetched_msrvtt.yaml")
    plan = make_plan(settings, ROOT / "config/sources.yaml")
    assert plan.archives == {"msrvtt": ("msrvtt_videos",)}
    assert plan.annotations == {
        "data/msrvtt/descs_ret_train.json": "msrvtt_train",
        "data/msrvtt/descs_ret_test.json": "msrvtt_test",
    }


BY_HAND = {"valor32k"}
"""Data sets whose owners' files have names that we do not know."""


@pytest.mark.parametrize("name", sorted(set(settings_of("config.yaml").datasets) - BY_HAND))
def test_annotation_files_of_the_settings_are_those_that_sources_give(name: str) -> None:
    dataset = settings_of("config.yaml").datasets[name]
    assert isinstance(dataset, FolderDataset)
    given = {
        file
        for source in TABLE.values()
        if not isinstance(source, SiteSource) and source.dataset == name
        for file in source.gives
    }
    wanted = {Path(file).name for files in dataset.annotations.values() for file in files}
    assert wanted <= given


def published() -> list[tuple[str, Path]]:
    """Pair sources with copies of their files that lie beside this project."""
    paths = {
        name: UPSTREAM.joinpath(*source.url.split("/")[-2:])
        for name, source in TABLE.items()
        if not isinstance(source, SiteSource) and "ispamm/GRAM" in getattr(source, "url", "")
    }
    return [(name, path) for name, path in paths.items() if path.is_file()]


def test_sizes_and_checksums_are_those_of_the_published_files() -> None:
    if not UPSTREAM.is_dir():
        pytest.skip("the published annotation files are not beside this project")
    assert len(published()) >= 8
    for name, path in published():
        source = TABLE[name]
        assert not isinstance(source, SiteSource)
        assert (source.bytes, source.sha256) == (path.stat().st_size, sha256_of(path)), name


@pytest.mark.parametrize(
    ("name", "file"), [("films", "films.7z"), ("texts", "texts.json")], ids=["media", "members"]
)
def test_what_cannot_be_unpacked_is_named(name: str, file: str, tmp_path: Path) -> None:
    table = tmp_path / "sources.yaml"
    table.write_text(yaml.safe_dump({"sources": {name: {**SOURCES[name], "file": file}}}))
    with pytest.raises(ValueError, match=f"{file} is to be unpacked, and is no archive that can"):
        read_sources(table)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pattern": "("}, "is no regular expression"),
        ({"pattern": "(?P<name>.+)"}, "has the groups name; it needs (?P<id>...)"),
        ({"url": "https://example.org"}, "has no {id}"),
        ({"url": ""}, "url and pattern are given both, or neither"),
    ],
)
def test_a_site_that_does_not_say_where_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        SiteSource.model_validate({**SOURCES["site"], **change})


def test_a_record_stands_hidden_beside_its_file() -> None:
    assert record_of(Path("data/a.json")) == Path("data/.a.json.fetched.json")
