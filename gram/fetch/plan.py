"""Which sources the settings ask for, and which annotation files those make. Opens no network.

Rules call this at every start of Snakemake.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import yaml
from pydantic import ValidationError

from gram.config import Config, describe_problems
from gram.config.data import FolderDataset
from gram.config.fetch import FetchConfig
from gram.config.sources import FileSource, SiteSource, Source, SourceTable
from gram.files import write_text

TABLE = Path("config/sources.yaml")

FOLDER = Path("data/sources")
"""Where fetched files are kept, in a folder for each source."""


class Plan(NamedTuple):
    """What is fetched.

    Attributes:
        sources: Every source that some data set asks for, by name.
        annotations: Annotation file that is made -> name of the source that gives it.
        folders: Archive of media files -> folder that it is unpacked into.
        archives: Data set -> archives of its media files.
        sites: Data set -> site that its clips are fetched from.
    """

    sources: Mapping[str, Source]
    annotations: Mapping[str, str]
    folders: Mapping[str, str]
    archives: Mapping[str, tuple[str, ...]]
    sites: Mapping[str, str]


def read_sources(path: Path = TABLE) -> dict[str, Source]:
    """Read the table of sources.

    Raises:
        ValueError: If it is not there or not of the form.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return SourceTable.model_validate(content).sources
    except FileNotFoundError:
        raise ValueError(f"the table of sources {path} is not there; take it from git") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    except ValidationError as error:
        raise ValueError(f"{path} cannot be used:\n{describe_problems(error)}") from None


def make_plan(config: Config, table: Path = TABLE) -> Plan:
    """Find out what the settings ask for; the table is read only if they ask for anything.

    Args:
        config: The settings.
        table: The table of sources.

    Raises:
        ValueError: If a data set names a source that is not there, is of another kind than is
            wanted, or gives the same file as another one.
    """
    wanted = {
        name: dataset
        for name, dataset in config.datasets.items()
        if isinstance(dataset, FolderDataset) and dataset.fetch is not None
    }
    plan = Plan({}, {}, {}, {}, {})
    if not wanted:
        return plan
    known = read_sources(table)
    for name, dataset in wanted.items():
        plan = _joined(plan, _plan_of(name, dataset, known, table))
    return plan


def _plan_of(name: str, dataset: FolderDataset, known: Mapping[str, Source], table: Path) -> Plan:
    """Find out what one data set asks for."""
    fetch = dataset.fetch or FetchConfig()
    files = {one: _file_source(known, one, name, table) for one in fetch.sources}
    archives = tuple(one for one, source in files.items() if source.is_media)
    sites = {}
    if fetch.clips is not None:
        sites = {fetch.clips: _site_source(known, fetch.clips, name, table)}
    return Plan(
        sources={**files, **sites},
        annotations=_annotations(name, dataset, files),
        folders=dict.fromkeys(archives, dataset.media),
        archives={name: archives},
        sites={name: fetch.clips} if fetch.clips is not None else {},
    )


def _joined(one: Plan, other: Plan) -> Plan:
    """Put two plans together.

    Raises:
        ValueError: If they unpack one archive into two folders.
    """
    for source, folder in other.folders.items():
        if one.folders.get(source, folder) != folder:
            raise ValueError(
                f"two data sets fetch {source} into {one.folders[source]} and {folder}; give both "
                "the same media folder"
            )
    return Plan(
        sources={**one.sources, **other.sources},
        annotations={**one.annotations, **other.annotations},
        folders={**one.folders, **other.folders},
        archives={**one.archives, **other.archives},
        sites={**one.sites, **other.sites},
    )


def record_of(annotation: Path) -> Path:
    """Give the file beside an annotation file that says that it was fetched, and from where."""
    return annotation.with_name(f".{annotation.name}.fetched.json")


def write_record(annotation: Path, *, source: str) -> None:
    """Write down that an annotation file was fetched, and how it can be told from another one."""
    state = annotation.stat()
    record = {"source": source, "bytes": state.st_size, "mtime_ns": state.st_mtime_ns}
    write_text(record_of(annotation), json.dumps(record) + "\n")


def is_own(annotation: Path) -> bool:
    """Tell whether somebody put an annotation file there, or changed the one that was fetched."""
    if not annotation.exists():
        return False
    try:
        record = json.loads(record_of(annotation).read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return True
    state = annotation.stat()
    return bool((record.get("bytes"), record.get("mtime_ns")) != (state.st_size, state.st_mtime_ns))


def retries_file(table: Path) -> Path:
    """Give the file beside a table of fetched clips that counts its retries."""
    return table.with_suffix(".retries")


def num_retries(table: Path) -> int:
    """Read how often it was asked for to fetch a table's transient clips again."""
    path = retries_file(table)
    return int(path.read_text(encoding="utf-8")) if path.exists() else 0


def _annotations(
    name: str, dataset: FolderDataset, files: Mapping[str, FileSource]
) -> dict[str, str]:
    """Tell which annotation files of a data set are fetched; those put there by hand are not."""
    givers: dict[str, str] = {}
    for source_name, source in files.items():
        for file in source.gives:
            if (other := givers.setdefault(file, source_name)) != source_name:
                raise ValueError(
                    f"datasets.{name}.fetch.sources: {other} and {source_name} both give {file}; "
                    "name one of them"
                )
    wanted = [annotation for files in dataset.annotations.values() for annotation in files]
    return {
        annotation: givers[Path(annotation).name]
        for annotation in wanted
        if Path(annotation).name in givers and not is_own(Path(annotation))
    }


def _file_source(known: Mapping[str, Source], name: str, dataset: str, table: Path) -> FileSource:
    source = _find(known, name, f"datasets.{dataset}.fetch.sources", table)
    if isinstance(source, SiteSource):
        raise ValueError(
            f"datasets.{dataset}.fetch.sources names {name}, which is a web site and no file; "
            f"set datasets.{dataset}.fetch.clips to it"
        )
    return source


def _site_source(known: Mapping[str, Source], name: str, dataset: str, table: Path) -> SiteSource:
    source = _find(known, name, f"datasets.{dataset}.fetch.clips", table)
    if not isinstance(source, SiteSource):
        raise ValueError(
            f"datasets.{dataset}.fetch.clips names {name}, which is a file and no web site; "
            f"put it into datasets.{dataset}.fetch.sources"
        )
    return source


def _find(known: Mapping[str, Source], name: str, setting: str, table: Path) -> Source:
    if name not in known:
        raise ValueError(
            f"{setting} names the source {name!r}, which is not in {table}; "
            f"found: {', '.join(sorted(known))}"
        )
    return known[name]
