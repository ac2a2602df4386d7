"""What all sections of the settings share, and how they become text for a job."""

import json
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]
"""A wildcard value: lower case letters, digits and underscores."""

Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Base of all sections: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def canonical_json(sections: Mapping[str, object]) -> str:
    """Give sections as one canonical JSON string, for `params`.

    One string, keys sorted: Snakemake compares params as a set of their reprs, so the order of
    a dictionary would re-run a job, and swapped values of two params would go unseen. Defaults
    are written out, so that writing one into the config changes nothing.

    Args:
        sections: Sections, plain values, or mappings of them, by name.

    Raises:
        TypeError: If a value is neither.
    """

    def plain(value: object) -> object:
        if isinstance(value, BaseModel):
            return value.model_dump(mode="json")
        raise TypeError(f"settings hold sections and plain values, got {type(value).__name__}")

    return json.dumps(sections, sort_keys=True, default=plain)
