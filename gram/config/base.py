"""What all sections of the settings share, and how they become text for a job."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]
"""A wildcard value: lower case letters, digits and underscores."""

Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Base of all sections: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Merge two nested mappings; where both hold a value, the second one's counts."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        if isinstance(below, Mapping) and isinstance(value, Mapping):
            result[key] = merged(below, value)
        else:
            result[key] = value
    return result


def describe_problems(error: ValidationError) -> str:
    """Say what is wrong with settings: one line a problem, its place and its message.

    The words of pydantic's own text that help no user are left out: the dump of what was given,
    and the address of a page about it. A problem of the whole has no place.
    """
    return "\n".join(
        ": ".join(filter(None, (".".join(map(str, one["loc"])), _message(one["type"], one["msg"]))))
        for one in error.errors(include_url=False, include_input=False, include_context=False)
    )


def _message(kind: str, text: str) -> str:
    if kind == "extra_forbidden":
        return (
            "there is no such setting; correct the name or take it out (all that there are: "
            "config/config.schema.json)"
        )
    return text.removeprefix("Value error, ")
