"""Files of figures, by the figure that they are forms of, with what is said of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gram.figures.style import Words, read_words

SHOWN = (".svg", ".png", ".jpg")
"""Forms that a browser shows, the best first."""


@dataclass(frozen=True, kw_only=True)
class ShownFiles:
    """One figure: its name, title and caption, the file that is shown, and all of its files."""

    name: str
    title: str
    caption: str
    shown: str | None
    names: tuple[str, ...]


def group_files(files: Iterable[Path]) -> list[ShownFiles]:
    """Put the forms of one figure together, figures in the order of their first file.

    Raises:
        ValueError: If two files have one name, since they are copied into one folder.
    """
    forms: dict[str, list[Path]] = {}
    for path in files:
        forms.setdefault(path.stem, []).append(path)
    grouped = []
    for name, paths in forms.items():
        names = sorted(path.name for path in paths)
        if len(set(names)) < len(names):
            raise ValueError(
                f"two files of figures are named {name}: {', '.join(map(str, paths))}; "
                "rename one of them"
            )
        by_form = {path.suffix: path.name for path in paths}
        shown = next((by_form[form] for form in SHOWN if form in by_form), None)
        words = _words(name, paths)
        grouped.append(
            ShownFiles(
                name=name,
                title=words.title,
                caption=words.caption,
                shown=shown,
                names=tuple(names),
            )
        )
    return grouped


def _words(name: str, paths: Iterable[Path]) -> Words:
    """Give what the SVG of a figure says of it, or else its name as words."""
    svg = next((path for path in paths if path.suffix == ".svg"), None)
    if svg is None:
        return Words(name.replace("_", " ").replace("-", ", ").capitalize(), "")
    return read_words(svg)
