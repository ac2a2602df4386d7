"""Where each clip of a chunk is on the web: by its id, or by what its annotation says."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gram.config.sources import SiteSource
from gram.data.media_files import chunk_of
from gram.data.status import Status
from gram.data.tables import Row, read_rows
from gram.fetch.ledger import Outcome
from gram.fetch.site import Place


def find_places(
    site: SiteSource, clips: Path, *, chunk: int, chunks: int, annotations: Sequence[Path]
) -> list[Place | Outcome]:
    """Find where the media files of a chunk's clips are; each file once, in order.

    Args:
        site: The site; where it has no pattern the annotations say it.
        clips: The clips table.
        chunk: Which chunk, from 0 to ``chunks - 1``.
        chunks: Number of chunks.
        annotations: Annotation files, JSON lists of records.

    Returns:
        A place for each media file, or an outcome that says why it has none.
    """
    rows = [row for row in read_rows(clips) if chunk_of(row["source_id"], chunks) == chunk]
    said = {} if site.pattern is not None else _places_said(annotations)
    by_id = {row["source_id"]: row for row in rows}
    return [_place(site, row, said) for row in by_id.values()]


def _place(site: SiteSource, row: Row, said: Mapping[str, Place]) -> Place | Outcome:
    source_id: str = row["source_id"]
    if site.pattern is None:
        if (place := said.get(source_id)) is not None:
            return place
        return _nowhere(source_id, "its annotation has no url (fetch.clips)")
    found = re.fullmatch(site.pattern, source_id)
    if found is None:
        return _nowhere(source_id, f"the id is not of the form {site.pattern} (fetch.clips)")
    groups = found.groupdict()
    start = _number(groups.get("start"))
    end = _number(groups.get("end"))
    if start is not None and end is None and site.seconds is not None:
        end = start + site.seconds
    url = site.url.replace("{id}", quote(groups["id"], safe=""))
    return Place(source_id=source_id, url=url, start_seconds=start, end_seconds=end)


def _nowhere(source_id: str, reason: str) -> Outcome:
    place = Place(source_id=source_id, url="")
    return Outcome(place=place, status=Status.NOT_FOUND, reason=f"not fetched: {reason}")


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _places_said(annotations: Sequence[Path]) -> dict[str, Place]:
    """Read url and clip_span of each record that has them, by clip id."""
    places = {}
    for path in annotations:
        for record in _records(path):
            clip_id, url = record.get("clip_id", record.get("video_id")), record.get("url")
            if not isinstance(clip_id, str) or not isinstance(url, str):
                continue
            start, end = _span(record.get("clip_span"))
            places[clip_id] = Place(
                source_id=clip_id, url=url, start_seconds=start, end_seconds=end
            )
    return places


def _records(path: Path) -> list[dict[str, Any]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is not JSON ({error}), so it does not say where its clips are; name a site "
            "with a pattern in fetch.clips"
        ) from error
    return [record for record in content if isinstance(record, dict)]


def _span(span: object) -> tuple[float | None, float | None]:
    """Read [start, end], each HH:MM:SS.mmm or seconds; nothing if it is of another form."""
    match span:
        case [start, end]:
            return _seconds(start), _seconds(end)
    return None, None


def _seconds(value: object) -> float | None:
    try:
        seconds = 0.0
        for part in str(value).split(":"):
            seconds = 60 * seconds + float(part)
    except ValueError:
        return None
    return seconds if math.isfinite(seconds) else None
