"""The files of one split of a published data set -> its clips, and an account of the others."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gram.data.readers import FORMATS
from gram.data.readers.clip import Clip, Rows
from gram.data.readers.files import AnnotationFile, TableFile, read_file, without_repeats
from gram.data.readers.forms import ClipsForm, Format, ListForm, first_record
from gram.data.readers.joining import REPEATED, join_rows
from gram.data.readers.splits import Deciding, check_split, split_of
from gram.data.readers.values import json_type, keys_of


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What was read of one split.

    Attributes:
        clips: Its clips, in the order of the files, each with the file that names it.
        forms: What each file was read as: "a.csv: the official captions".
        left_out: Number of records, clips, captions or ids that do not count, by the cause.
        noted: Number of those that count, but should be known of, by what they are.
    """

    clips: tuple[tuple[Clip, Path], ...]
    forms: tuple[str, ...]
    left_out: Mapping[str, int]
    noted: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _Recognized:
    """A file with its form; a list that holds captions, too, has both."""

    file: AnnotationFile
    clips: ClipsForm | None
    ids: ListForm | None

    @property
    def name(self) -> str:
        form = self.clips or self.ids
        return f"{self.file.path.name}: {form.name if form else 'nothing'}"


def read_published(name: str, files: Sequence[Path], split: str | None) -> Reading:
    """Read the clips of one split of a published data set.

    Args:
        name: Which one: a key of ``gram.data.readers.FORMATS``.
        files: Its files for this split: such with captions, of one form, and lists that say which
            clips count. What each of them is, is told from its content.
        split: Name of the split; None: the one that the names of the files tell, or ``test``. Of a
            file that names splits itself, and without a list of ids, only those clips count whose
            split it is.

    Raises:
        ValueError: If a file is not of a form of this data set, is damaged, or is given twice; if
            files of different forms or of different splits are given, or of another split than
            asked for; if a clip has another content in another file; if no clip is left.
    """
    known = FORMATS[name]
    _check_once(files)
    found = [_recognize(read_file(path), known) for path in files]
    sources, lists = _roles(found, known)
    left_out: Counter[str] = Counter()
    noted: Counter[str] = Counter()
    rows = [(clip, file.path) for form, file in sources for clip in form.read(file)]
    deciding = _deciding(sources, lists, rows=rows)
    if split is None:
        split = split_of(deciding, known)
    check_split(deciding, split, known, is_upstreams=_is_upstreams(sources, lists))
    left_out[REPEATED] += sum(file.repeated for _, file in sources)
    is_official = sources[0][0].is_official
    rows = join_rows(rows, known, is_official=is_official, left_out=left_out, noted=noted)
    if any(form.keeps for form, _ in lists):
        rows = _listed(rows, lists, left_out)
    else:
        rows = _of_split(rows, known.splits.get(split, (split,)), left_out)
    rows = _without_named(rows, lists, left_out)
    rows = _with_captions(rows, left_out)
    left_out, noted = +left_out, +noted  # without causes that took nothing
    if not rows:
        told = "; ".join(f"{count} {cause}" for cause, count in left_out.items()) or "nothing"
        raise ValueError(
            f"{', '.join(str(path) for path in files)}: no clip of {known.title}'s split {split!r} "
            f"is left (left out: {told}); {known.advice}"
        )
    clips = tuple((replace(clip, split=split), path) for clip, path in rows)
    kinds = {one.path: f", of {one.kind} by its name" for one in deciding if one.kind is not None}
    return Reading(
        clips=clips,
        forms=tuple(f"{one.name}{kinds.get(one.file.path, '')}" for one in found),
        left_out=dict(left_out),
        noted=dict(noted),
    )


def _check_once(files: Sequence[Path]) -> None:
    twice = [str(path) for path, count in Counter(files).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]} is given twice for one split; name it once")


# --- what the files are ----------------------------------------------------------------------


def _recognize(file: AnnotationFile, known: Format) -> _Recognized:
    clips = next((form for form in known.clips if form.fits(file)), None)
    ids = next((form for form in known.lists if form.fits(file)), None)
    if clips is None and ids is None:
        others = [FORMATS[name].title for name in formats_of(file)]
        alike = f", which looks like {' or '.join(others)}" if others else _misfit(file, known)
        raise ValueError(
            f"{file.path} is no annotation file of {known.title} that is known: found "
            f"{describe(file)}{alike}; {known.advice}"
        )
    if clips is not None and clips.is_official:
        file = without_repeats(file)
    return _Recognized(file=file, clips=clips, ids=ids)


def _misfit(file: AnnotationFile, known: Format) -> str:
    """Say which id keeps a file from having a form of a data set; nothing if it is no id."""
    return next((f", {said}" for form in known.clips if (said := form.misfit(file))), "")


def formats_of(file: AnnotationFile) -> list[str]:
    """Name the published data sets that a file may be of."""
    return [name for name, one in FORMATS.items() if _fits(file, one)]


def _fits(file: AnnotationFile, known: Format) -> bool:
    is_source = any(form.fits(file) for form in known.clips)
    return is_source or any(form.fits(file) for form in known.lists)


def describe(file: AnnotationFile) -> str:
    """Say what a file holds, for a message."""
    if isinstance(file, TableFile):
        cells = ", ".join(repr(cell[:40]) for cell in file.header[:6])
        return f"{len(file.rows)} lines of text, the first with {len(file.header)} cells ({cells})"
    content = file.content
    if isinstance(content, dict):
        is_for_scorer = isinstance(content.get("annotations"), list)
        use = ", as scorers of captions read them" if is_for_scorer else ""
        names = ", ".join(repr(str(key)[:40]) for key in list(content)[:6])
        return f"one JSON object with the keys {names or 'none'}{use}"
    if isinstance(content, list):
        record = first_record(file)
        first = f"an object with the keys {keys_of(record)}" if record else repr(content[:1])[:80]
        return f"a list of {len(content)}, the first {first}" if content else "an empty list"
    return f"one JSON {json_type(content)}"


def _roles(
    found: Sequence[_Recognized], known: Format
) -> tuple[list[tuple[ClipsForm, AnnotationFile]], list[tuple[ListForm, AnnotationFile]]]:
    """Tell files whose clips are read from those that only say which of them count.

    A list that holds captions is read by itself where no other file has any.
    """
    named = "; ".join(one.name for one in found) or "no file"
    sources = [(one.clips, one.file) for one in found if one.clips and not one.ids]
    lists = [(one.ids, one.file) for one in found if one.ids and (sources or not one.clips)]
    sources = sources or [(one.clips, one.file) for one in found if one.clips]
    if not sources:
        raise ValueError(
            f"none of the files has captions of {known.title} ({named}); {known.advice}"
        )
    if len({form.is_official for form, _ in sources}) > 1:
        raise ValueError(
            f"the files of one split are of different forms ({named}), which name the same clips; "
            f"give files of one form: {known.advice}"
        )
    return sources, lists


# --- which split they are of -----------------------------------------------------------------


def _deciding(
    sources: Sequence[tuple[ClipsForm, AnnotationFile]],
    lists: Iterable[tuple[ListForm, AnnotationFile]],
    *,
    rows: Rows,
) -> list[Deciding]:
    """Give the files that say which clips count: lists, else files of clips.

    A file that names the splits of its clips itself may hold any, and decides nothing.
    """
    unnamed = {path for clip, path in rows if clip.split is None}
    keeping = [Deciding(path=file.path, form=form.name) for form, file in lists if form.keeps]
    return keeping or [
        Deciding(path=file.path, form=form.name) for form, file in sources if file.path in unnamed
    ]


def _is_upstreams(
    sources: Sequence[tuple[ClipsForm, AnnotationFile]],
    lists: Iterable[tuple[ListForm, AnnotationFile]],
) -> bool:
    """Tell whether the published code's files alone decide; each of them is a whole split."""
    return not sources[0][0].is_official and not any(form.keeps for form, _ in lists)


# --- which clips count -----------------------------------------------------------------------


def _listed(
    rows: Rows, lists: Iterable[tuple[ListForm, AnnotationFile]], left_out: Counter[str]
) -> Rows:
    """Keep the clips that lists name, with the captions that they choose."""
    keeping = [(form, file) for form, file in lists if form.keeps]
    wanted = {name: captions for form, file in keeping for name, captions in form.read(file)}
    kept = [(clip, path) for clip, path in rows if clip.clip_id in wanted]
    left_out["clips that no list names"] += len(rows) - len(kept)
    absent = wanted.keys() - {clip.clip_id for clip, _ in kept}
    left_out["listed ids that no file with captions has"] += len(absent)
    return [
        (replace(clip, captions=captions) if (captions := wanted[clip.clip_id]) else clip, path)
        for clip, path in kept
    ]


def _of_split(rows: Rows, names: Sequence[str], left_out: Counter[str]) -> Rows:
    """Keep the clips of a split of the files; where a file names none, all of its clips."""
    kept = [(clip, path) for clip, path in rows if clip.split is None or clip.split in names]
    for clip, _ in rows:
        if clip.split is not None and clip.split not in names:
            left_out[f"clips of the official split {clip.split!r}"] += 1
    return kept


def _without_named(
    rows: Rows, lists: Iterable[tuple[ListForm, AnnotationFile]], left_out: Counter[str]
) -> Rows:
    """Leave out the clips that a list says not to count."""
    for form, file in lists:
        if not form.keeps:
            named = {name for name, _ in form.read(file)}
            kept = [(clip, path) for clip, path in rows if form.key(clip) not in named]
            left_out[f"clips in {form.name}"] += len(rows) - len(kept)
            rows = kept
    return rows


def _with_captions(rows: Rows, left_out: Counter[str]) -> Rows:
    """Leave out blank captions, and clips that have no other."""
    kept: Rows = []
    for clip, path in rows:
        captions = tuple(text for text in clip.captions if text.strip())
        left_out["blank captions"] += len(clip.captions) - len(captions)
        if captions:
            kept.append((replace(clip, captions=captions), path))
        else:
            left_out["clips without a caption"] += 1
    return kept
