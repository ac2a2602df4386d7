"""Word pieces: a BERT vocabulary learned from training texts, and texts as numbers of pieces.

Shape letters of this file: B texts, L word pieces.
"""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from gram.config import VocabularyConfig
from gram.data.status import Status
from gram.files import write_text
from gram.types import Tokens

log = logging.getLogger(__name__)

PADDING, UNKNOWN, START, END, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""Pieces that every BERT vocabulary has."""

CONTINUED = "##"
"""What a piece begins with that goes on with a word."""

LONGEST_WORD = 100
"""Characters; BERT reads a longer word as unknown."""

REMEMBERED_TEXTS = 2**16
"""Encoded texts that are kept, some 50 MB at most: an epoch's texts are those of the one before."""

NORMALIZER = normalizers.BertNormalizer(lowercase=True)
WORD_SPLITTER = pre_tokenizers.BertPreTokenizer()


def learn_vocabulary(index: Path, *, split: str, settings: VocabularyConfig, output: Path) -> None:
    """Write the word pieces of the captions and subtitles of a split's usable clips.

    The pieces are the special ones, all characters (at the start of a word, and within one), then
    whole words, the most frequent first, in alphabetical order where they are equally frequent.
    Where even the characters are more than the size, the most frequent ones are kept.

    Args:
        index: Index of the data set's shards.
        split: Split that is trained on.
        settings: Number of pieces.
        output: Text file with one piece a line, of the form of BERT's ``vocab.txt``.

    Raises:
        ValueError: If the split has no usable clip, or those have no words.
    """
    words = count_words(_texts(index, split=split))
    if not words:
        raise ValueError(
            f"no usable clip with words of the split {split!r} in {index}; see manifest.json "
            "beside it for what became of the clips, or name another split"
        )
    pieces = choose_pieces(words, size=settings.size)
    write_text(output, "".join(f"{piece}\n" for piece in pieces))
    log.info("%d pieces, from %d words, %d different", len(pieces), words.total(), len(words))


def _texts(index: Path, *, split: str) -> Iterator[str]:
    """Give captions and subtitles of the usable clips of a split."""
    columns = ["split", "status", "captions", "subtitle"]
    usable = (pc.field("split") == split) & (pc.field("status") == Status.OK)
    with pq.ParquetFile(index) as file:
        for batch in file.iter_batches(columns=columns):
            for row in batch.filter(usable).to_pylist():
                yield from row["captions"]
                if row["subtitle"] is not None:
                    yield row["subtitle"]


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Count the words of texts; see ``split_words`` for what a word is.

    Example:
        >>> count_words(["a dog", "A dog, a cat"]).most_common(2)
        [('a', 3), ('dog', 2)]
    """
    parts: Counter[str] = Counter()
    for text in texts:
        parts.update(text.split(" "))
    words: Counter[str] = Counter()
    for part, count in parts.items():  # each is split once, however often it stands there
        for word in split_words(part):
            words[word] += count
    return words


def split_words(text: str) -> list[str]:
    """Split a text into words and punctuation marks, lower case, without accents, as BERT does.

    Example:
        >>> split_words("A café, at 5pm")
        ['a', 'cafe', ',', 'at', '5pm']
    """
    normal = NORMALIZER.normalize_str(text)
    return [word for word, _ in WORD_SPLITTER.pre_tokenize_str(normal)]


def choose_pieces(words: Counter[str], *, size: int) -> tuple[str, ...]:
    """Choose word pieces from words and their counts; see ``learn_vocabulary``."""
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    most = (size - len(SPECIAL)) // 2
    kept = sorted(sorted(characters, key=lambda one: (-characters[one], one))[:most])
    whole = [word for word in words if 1 < len(word) <= LONGEST_WORD]
    whole.sort(key=lambda word: (-words[word], word))
    pieces = [*SPECIAL, *kept, *(CONTINUED + character for character in kept), *whole]
    return tuple(dict.fromkeys(pieces))[:size]


def read_vocabulary(path: Path) -> tuple[str, ...]:
    """Read a ``vocab.txt``: one piece a line, whose number is its place.

    Raises:
        ValueError: If the file is absent, is not UTF-8 text, or is not such a list.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            f"no vocabulary at {path}; put a BERT vocab.txt there, or set inputs.vocabulary to "
            "null to learn one from the training texts"
        )
    try:
        pieces = tuple(path.read_text(encoding="utf-8").removesuffix("\n").split("\n"))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not text in UTF-8 ({error}); give the vocab.txt of a BERT tokenizer"
        ) from error
    if problem := _problem_of(pieces):
        raise ValueError(f"{path} {problem}; give the vocab.txt of a BERT tokenizer")
    return pieces


def _problem_of(pieces: Sequence[str]) -> str | None:
    """Say why these are no word pieces of BERT, if they are not."""
    if missing := [piece for piece in SPECIAL if piece not in pieces]:
        return f"lacks {', '.join(missing)} among its {len(pieces)} pieces"
    numbers: dict[str, int] = {}
    for number, piece in enumerate(pieces, start=1):
        if not piece:
            return f"has an empty piece in line {number}"
        if piece in numbers:
            return f"has the piece {piece!r} twice, in lines {numbers[piece]} and {number}"
        numbers[piece] = number
    return None


class WordPieces:
    """Turns texts into numbers of word pieces, lower case, as BERT's uncased tokenizer does.

    One thing is different: a special piece that stands in a text, say ``[SEP]``, is read as the
    characters it is made of. A caption cannot end itself early.
    """

    def __init__(self, pieces: Sequence[str]) -> None:
        """Build the tokenizer.

        Args:
            pieces: Word pieces; the place of each is its number.

        Raises:
            ValueError: If a special piece is missing, or a piece is empty or there twice.
        """
        if problem := _problem_of(pieces):
            raise ValueError(f"the vocabulary {problem}; give the pieces of a BERT tokenizer")
        numbers = {piece: number for number, piece in enumerate(pieces)}
        self._start, self._end = numbers[START], numbers[END]
        self._padding = numbers[PADDING]
        self._tokenizer = Tokenizer(
            models.WordPiece(
                numbers,
                unk_token=UNKNOWN,
                continuing_subword_prefix=CONTINUED,
                max_input_chars_per_word=LONGEST_WORD,
            )
        )
        self._tokenizer.normalizer = NORMALIZER
        self._tokenizer.pre_tokenizer = WORD_SPLITTER
        self._numbers_of = lru_cache(REMEMBERED_TEXTS)(self._encode_one)

    @property
    def padding(self) -> int:
        """Number of the piece that texts are padded with."""
        return self._padding

    def encode(self, texts: Sequence[str], *, max_tokens: int) -> Tokens:
        """Encode texts as ``[CLS] pieces [SEP]``, padded to the longest of them.

        Args:
            texts: B texts; an empty one becomes ``[CLS] [SEP]``.
            max_tokens: Longest encoded text, at least 2; of a longer one the last pieces are cut.
        """
        rows = [self._numbers_of(text)[: max_tokens - 2] for text in texts]
        length = max((len(row) for row in rows), default=-2) + 2
        ids_bl = np.full((len(rows), length), self._padding, dtype=np.int64)
        mask_bl = np.zeros((len(rows), length), dtype=bool)
        for number, row in enumerate(rows):
            ids_bl[number, 0] = self._start
            ids_bl[number, 1 : len(row) + 1] = row
            ids_bl[number, len(row) + 1] = self._end
            mask_bl[number, : len(row) + 2] = True
        return Tokens(ids_bl=torch.from_numpy(ids_bl), mask_bl=torch.from_numpy(mask_bl))

    def _encode_one(self, text: str) -> NDArray[np.int32]:
        return np.array(self._tokenizer.encode(text, add_special_tokens=False).ids, np.int32)
