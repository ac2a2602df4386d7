"""Pages of the report: their templates, and what they allow a browser to do."""

import base64
import hashlib
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Environment:
    """Give the environment of the templates: all text is escaped, an unknown name is an error."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def asset(name: str) -> str:
    """Read a style sheet or a script that stands inside pages."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def inline(content: str) -> Markup:
    """Let our own style sheet or script stand in a page as it is; it must close no element.

    Raises:
        ValueError: If it would end the element that it stands in.
    """
    if "</" in content:
        raise ValueError("a style sheet or script of ours holds '</', which would end it too soon")
    return Markup(content)  # noqa: S704 - ours, and base64 of pictures


def policy(*, style: str, script: str | None = None) -> str:
    """Give the policy of a page: what it runs and shows, by digest, and nothing from elsewhere.

    Args:
        style: Its style sheet.
        script: Its script. Without one, figures may stand in it, whose parts have styles of their
            own, and files of the folder that it lies in.
    """
    rules = ["default-src 'none'", "base-uri 'none'", "form-action 'none'"]
    if script is None:
        rules += ["img-src 'self'", f"style-src-elem '{_digest(style)}'"]
        rules.append("style-src-attr 'unsafe-inline'")
    else:
        rules += ["img-src data:", f"style-src '{_digest(style)}'"]
        rules.append(f"script-src '{_digest(script)}'")
    return "; ".join(rules)


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
