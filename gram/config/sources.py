"""One line of config/sources.yaml: a file of others, where it is, and how to know it again.

The table is not part of the settings: it says what there is, and the settings of a data set
(`fetch`) say what of it is wanted.
"""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from gram.config.base import Name, Section

Role = Literal["annotations", "ids", "videos", "audio", "images", "clips", "weights"]
"""annotations: texts; ids: lists of clips; videos, audio, images: archives; clips: a web site."""

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
"""Endings of the archives that can be unpacked."""

FileName = Annotated[str, Field(pattern=r"^[^/\\\x00.][^/\\\x00]*$")]


class _Source(Section):
    """What every source says of itself."""

    dataset: Name = Field(description="Data set that it belongs to; weights: none.")
    role: Role = Field(description="What it is to the data set.")
    what: str = Field(description="What it is, in words.")
    license: str = Field(description="Its terms, as its owner states them.")


class _FileSource(_Source):
    """A source that is one file."""

    file: FileName = Field(description="Name of the file here.")
    bytes: int | None = Field(None, ge=1, description="Its size, in bytes; none: not known.")
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="Its SHA-256; none: not known."
    )
    members: tuple[FileName, ...] = Field(
        (),
        description=(
            "Of an archive: names of the files in it that are wanted, wherever they stand; of an "
            "archive of media none are named, and all media files are wanted."
        ),
    )

    @model_validator(mode="after")
    def _can_be_unpacked(self) -> "_FileSource":
        if (self.is_media or self.members) and not self.file.lower().endswith(ARCHIVES):
            raise ValueError(
                f"{self.file} is to be unpacked, and is no archive that can be: it needs one of "
                f"the endings {' '.join(ARCHIVES)}"
            )
        return self

    @property
    def is_media(self) -> bool:
        """Whether it is an archive of a data set's media files."""
        return self.role in {"videos", "audio", "images"}

    @property
    def gives(self) -> tuple[str, ...]:
        """Names of the annotation files that it gives."""
        if self.is_media:
            return ()
        return self.members or (self.file,)


class HttpSource(_FileSource):
    """A file at an address."""

    kind: Literal["http"]
    url: str = Field(pattern=r"^https?://", description="Its address.")


class DriveSource(_FileSource):
    """A file on Google Drive that everybody may read."""

    kind: Literal["drive"]
    id: str = Field(pattern=r"^[\w-]+$", description="Its id there.")


class HubSource(_FileSource):
    """A file of a repository on Hugging Face."""

    kind: Literal["hub"]
    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$", description="Owner and name.")
    repo_type: Literal["model", "dataset"] = Field("model", description="Kind of the repository.")
    revision: str = Field("main", description="Branch, tag or commit.")
    path: str | None = Field(None, description="Path in the repository; none: as `file`.")


class HandSource(_FileSource):
    """A file that its owner gives to those who ask, or that no program can fetch."""

    kind: Literal["hand"]
    url: str = Field(pattern=r"^https?://", description="Page where it is, or is asked for.")
    how: str = Field(description="What to do there.")


class SiteSource(_Source):
    """A web site that has the video of each clip."""

    kind: Literal["site"]
    url: str = Field(
        "",
        description=(
            "Address of a clip's video, with {id}; empty: the annotation records say it themselves "
            "(url and clip_span)."
        ),
    )
    pattern: str | None = Field(
        None,
        description=(
            "Regular expression of the source ids, with the group `id`, and `start` and `end` in "
            "seconds where the id says them."
        ),
    )
    seconds: float | None = Field(
        None, gt=0, description="Length of a clip whose id says its start alone, in seconds."
    )

    @field_validator("pattern")
    @classmethod
    def _has_an_id(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        if "id" not in groups or set(groups) - {"id", "start", "end"}:
            raise ValueError(
                f"{pattern!r} has the groups {', '.join(groups) or 'none'}; it needs (?P<id>...), "
                "and may have start and end"
            )
        return pattern

    @model_validator(mode="after")
    def _says_where(self) -> "SiteSource":
        if bool(self.url) != (self.pattern is not None):
            raise ValueError("url and pattern are given both, or neither; add the other")
        if self.url and "{id}" not in self.url:
            raise ValueError(f"the url {self.url!r} has no {{id}}; put it where the id belongs")
        return self


FileSource = HttpSource | DriveSource | HubSource | HandSource
Source = Annotated[
    HttpSource | DriveSource | HubSource | HandSource | SiteSource, Field(discriminator="kind")
]


class SourceTable(Section):
    """The whole of config/sources.yaml."""

    sources: dict[Name, Source] = Field(min_length=1, description="Every source, by name.")
