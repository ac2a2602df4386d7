"""Where each clip of a chunk is on the web: by its id, or by what its annotation says."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from gram.config.sources import SiteSource
from gram.data.readers.files import JsonFile, Record, read_file
from gram.data.readers.values import ID_KEYS
from gram.data.status import Status
from gram.data.tables import Row, read_rows
from gram.fetch.ledger import Outcome
from gram.fetch.site import Place


def find_places(
    site: SiteSource, clips: Path, *, annotations: Sequence[Path]
) -> list[Place | Outcome]:
    """Find where the media files of clips are; each file once, in order.

    Args:
        site: The site; where it has no pattern the annotations say it.
        clips: Table of the clips, the whole or a part of it.
        annotations: Annotation files, of which JSON lists of records say it; read only if the site
            has no pattern.

    Returns:
        A place for each media file, or an outcome that says why it has none.

    Raises:
        ValueError: If none of the annotation files that are to say it is JSON.
    """
    said = {} if site.pattern is not None else _places_said(annotations)
    by_id = {row["source_id"]: row for row in read_rows(clips)}
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
    """Read url and clip_span of each record that has them, by the name of its media file.

    A record with a ``source_id`` is a part of the file of that name, which is all of what is at
    the url; without one its file is the part already.
    """
    files = [read_file(path) for path in annotations]
    lists = [file.content for file in files if isinstance(file, JsonFile)]
    if not lists:
        raise ValueError(
            f"{', '.join(map(str, annotations)) or 'no annotation file'} is not JSON, so it does "
            "not say where its clips are; name a site with a pattern in fetch.clips"
        )
    found = {}
    for records in lists:
        for record in records if isinstance(records, list) else ():
            if isinstance(record, dict) and (place := _place_said(record)) is not None:
                found[place.source_id] = place
    return found


def _place_said(record: Record) -> Place | None:
    name = next((record[key] for key in ("source_id", *ID_KEYS) if key in record), None)
    url = record.get("url")
    if not isinstance(name, str) or not isinstance(url, str):
        return None
    is_whole = "source_id" in record
    start, end = (None, None) if is_whole else _span(record.get("clip_span"))
    return Place(source_id=name, url=url, start_seconds=start, end_seconds=end)


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
