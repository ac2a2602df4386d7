"""Which split a file is of by its name, and whether that is the one that it is given for."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from gram.data.readers.forms import Format

Kind = Literal["training", "validation", "test"]

_WORDS: dict[Kind, set[str]] = {
    "training": {"train", "training", "trainval", "pretrain", "development"},
    "test": {"test", "testing", "evaluation"},
    "validation": {"val", "valid", "validate", "validation"},
}
"""Words in names that tell of a kind of split."""

_SPLITS: dict[Kind, str] = {"training": "train", "validation": "val", "test": "test"}
"""What a split of a kind is usually called."""


@dataclass(frozen=True, kw_only=True)
class Deciding:
    """A file that says which clips of a split count.

    Attributes:
        path: Where it is.
        form: What it was read as.
    """

    path: Path
    form: str

    @property
    def kind(self) -> Kind | None:
        """Of which kind of split it is by its name; None: the name tells nothing."""
        return kind_of(self.path.stem)


def kind_of(name: str) -> Kind | None:
    """Tell the kind of split by the words of a name; None if it tells none, or two at once.

    Validation may go with either of the others, and is told only where it stands alone.

    Example:
        >>> kind_of("descs_ret_trainval"), kind_of("val_1"), kind_of("videodatainfo_2017")
        ('training', 'validation', None)
    """
    words = set(re.split("[^a-z]+", name.lower()))
    kinds = [kind for kind, of_kind in _WORDS.items() if words & of_kind]
    return None if {"training", "test"} <= set(kinds) else next(iter(kinds), None)


def split_of(files: Sequence[Deciding], known: Format) -> str:
    """Name the split that files are of by their names; ``test`` where they tell none.

    Of training and test together it names the test: what is wrong then is for ``check_split``.
    """
    kinds = {file.kind for file in files}
    if "test" in kinds or (kinds == {"validation"} and known.tests_on_validation):
        return _SPLITS["test"]
    return next((_SPLITS[kind] for kind in _WORDS if kind in kinds), _SPLITS["test"])


def check_split(
    files: Sequence[Deciding], split: str, known: Format, *, is_upstreams: bool
) -> None:
    """Check that the files that decide which clips count are all of the split that is asked for.

    Args:
        files: The files that decide.
        split: The split that they are given for. A name that tells no kind of split takes any.
        known: Their data set.
        is_upstreams: Whether each of them is a whole split, as the published code's files are.

    Raises:
        ValueError: If they are of several splits, or of another one by their names.
    """
    named = " and ".join(f"{file.path} ({file.form})" for file in files)
    kinds = {file.kind for file in files}
    if {"training", "test"} <= kinds:
        raise ValueError(
            f"the split {split!r} is given files of training and of test, by their names: {named}; "
            "what was trained on would be tested; give each split its own files"
        )
    if len(files) > 1 and (is_upstreams or len({file.form for file in files}) > 1):
        raise ValueError(
            f"the split {split!r} is given {len(files)} files, each of which is a whole split: "
            f"{named}; give one of them"
        )
    asked = kind_of(split)
    told = _contradicting(kinds, asked, known)
    if told is not None:
        raise ValueError(
            f"the split {split!r} is given what is of {told} by its name: {named}; give the files "
            f"of {asked}, or these for a split that is called {_SPLITS[told]!r}; {known.advice}"
        )


def _contradicting(kinds: set[Kind | None], asked: Kind | None, known: Format) -> Kind | None:
    """Give the kind of split that files are of although another one is asked for; None: none.

    Validation may go with training or test, but is not taken for them where it stands alone.
    """
    if asked is None:
        return None
    for kind in ("training", "test"):
        if kind in kinds and kind != asked:
            return kind
    is_alone = kinds == {"validation"}
    is_the_test = asked == "test" and known.tests_on_validation
    return "validation" if is_alone and asked != "validation" and not is_the_test else None
