from collections import Counter
from pathlib import Path

import pytest
from tokenizers import BertWordPieceTokenizer

from gram.config import VocabularyConfig
from gram.data.status import Status
from gram.data.vocabulary import (
    SPECIAL,
    WordPieces,
    choose_pieces,
    count_words,
    learn_vocabulary,
    read_vocabulary,
    split_words,
)
from tests.unit.data.made_shards import MadeClip, make_index

CLIPS = (
    MadeClip(clip_id="a", captions=("A dog runs.", "the dog"), subtitle="Café music"),
    MadeClip(clip_id="b", captions=("the zebra",), split="test"),
    MadeClip(clip_id="c", captions=("the yak",), status=Status.NOT_FOUND),
)

PIECES = (*SPECIAL, *"adgortu", *(f"##{one}" for one in "adgortu"), "dog", "road", ",")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_index(tmp_path_factory.mktemp("vocabulary"), CLIPS)


def learned(index: Path, output: Path, *, split: str = "train", size: int = 30522) -> list[str]:
    learn_vocabulary(index, split=split, settings=VocabularyConfig(size=size), output=output)
    return output.read_text().splitlines()


# --- learning --------------------------------------------------------------------------------


def test_the_vocabulary_begins_with_the_special_pieces(index: Path, tmp_path: Path) -> None:
    assert learned(index, tmp_path / "v.txt")[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def test_characters_follow_plain_and_continued(index: Path, tmp_path: Path) -> None:
    characters = sorted(set("adogruns.thecfmi"))
    assert learned(index, tmp_path / "v.txt")[5 : 5 + 2 * len(characters)] == [
        *characters,
        *(f"##{character}" for character in characters),
    ]


def test_words_follow_by_count_then_alphabet(index: Path, tmp_path: Path) -> None:
    words = learned(index, tmp_path / "v.txt")[5 + 2 * len(set("adogruns.thecfmi")) :]
    assert words == ["dog", "cafe", "music", "runs", "the"]


def test_words_of_another_split_are_not_learned(index: Path, tmp_path: Path) -> None:
    assert "zebra" not in learned(index, tmp_path / "v.txt")


def test_words_of_unusable_clips_are_not_learned(index: Path, tmp_path: Path) -> None:
    assert "yak" not in learned(index, tmp_path / "v.txt")


def test_the_same_index_gives_the_same_bytes(index: Path, tmp_path: Path) -> None:
    assert learned(index, tmp_path / "a.txt") == learned(index, tmp_path / "b.txt")


def test_a_split_without_clips_is_named(index: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no usable clip with words of the split 'val'"):
        learned(index, tmp_path / "v.txt", split="val")


def test_words_are_cut_at_the_size() -> None:
    words = Counter({"aa": 3, "ab": 2, "ba": 1})
    assert choose_pieces(words, size=11) == (*SPECIAL, "a", "b", "##a", "##b", "aa", "ab")


def test_the_most_frequent_characters_are_kept_where_all_are_too_many() -> None:
    words = Counter({"z": 9, "y": 5, "a": 1})
    assert choose_pieces(words, size=9) == (*SPECIAL, "y", "z", "##y", "##z")


def test_a_word_that_bert_cannot_read_is_not_learned() -> None:
    assert choose_pieces(Counter({"a" * 101: 5}), size=100) == (*SPECIAL, "a", "##a")


def test_every_learned_text_is_read_without_unknown_pieces(index: Path, tmp_path: Path) -> None:
    learned(index, tmp_path / "v.txt", size=100)
    pieces = read_vocabulary(tmp_path / "v.txt")
    texts = [text for clip in CLIPS[:1] for text in (*clip.captions, clip.subtitle or "")]
    ids = WordPieces(pieces).encode(texts, max_tokens=99).ids_bl
    assert pieces.index("[UNK]") not in ids.flatten().tolist()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's 5 o'clock", ["it", "'", "s", "5", "o", "'", "clock"]),
        ("naïve", ["naive"]),
        ("狗跑", ["狗", "跑"]),
        ("a\u2028b\x00c\td", ["a", "bc", "d"]),
        ("", []),
    ],
    ids=["marks", "accents", "Chinese", "control characters", "nothing"],
)
def test_words_are_those_of_bert(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def test_words_are_counted_as_if_each_text_was_split_alone() -> None:
    texts = ["A dog,  a\tdog", "cafe\u0301 dog.", "it's\nA dog", " ", "x\x1fy \u3000z"]
    alone = Counter(word for text in texts for word in split_words(text))
    assert count_words(texts) == alone


# --- reading ---------------------------------------------------------------------------------


def test_a_vocabulary_is_read_as_it_was_written(index: Path, tmp_path: Path) -> None:
    lines = learned(index, tmp_path / "v.txt")
    assert read_vocabulary(tmp_path / "v.txt") == tuple(lines)


def test_windows_line_ends_are_read(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_bytes("\r\n".join([*PIECES, ""]).encode())
    assert read_vocabulary(tmp_path / "v.txt") == PIECES


def test_an_absent_vocabulary_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"no vocabulary at .*v\.txt; .*inputs\.vocabulary to null"
    ):
        read_vocabulary(tmp_path / "v.txt")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", r"lacks \[PAD\], \[UNK\], \[CLS\], \[SEP\], \[MASK\] among its 1 pieces"),
        (b"[PAD]\n[UNK]\n[CLS]\n[SEP]\na\n", r"lacks \[MASK\] among its 5 pieces"),
        ("\n".join([*PIECES, "dog"]).encode(), r"has the piece 'dog' twice, in lines 20 and 23"),
        ("\n".join([*PIECES, "", "cat"]).encode(), r"has an empty piece in line 23"),
        (b"\xff\xfe[PAD]", r"is not text in UTF-8"),
    ],
    ids=["empty", "no mask", "twice", "blank line", "bytes"],
)
def test_a_file_that_is_no_vocabulary_says_why(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "v.txt").write_bytes(content)
    with pytest.raises(ValueError, match=said + r".*give the vocab\.txt of a BERT tokenizer"):
        read_vocabulary(tmp_path / "v.txt")


# --- encoding --------------------------------------------------------------------------------


def encoded(text: str, *, max_tokens: int = 40) -> list[str]:
    ids = WordPieces(PIECES).encode([text], max_tokens=max_tokens).ids_bl
    return [PIECES[number] for number in ids[0].tolist()]


def test_a_text_is_set_between_start_and_end() -> None:
    assert encoded("Dog, road") == ["[CLS]", "dog", ",", "road", "[SEP]"]


def test_a_word_without_a_piece_is_put_together() -> None:
    assert encoded("dogroad") == ["[CLS]", "dog", *(f"##{one}" for one in "road"), "[SEP]"]


def test_a_word_with_a_strange_character_is_unknown() -> None:
    assert encoded("dog dox") == ["[CLS]", "dog", "[UNK]", "[SEP]"]


def test_a_long_text_is_cut_and_still_ends() -> None:
    assert encoded("dog road dog road", max_tokens=4) == ["[CLS]", "dog", "road", "[SEP]"]


def test_an_empty_text_is_start_and_end() -> None:
    assert encoded("") == ["[CLS]", "[SEP]"]


def test_a_special_piece_in_a_text_is_only_characters() -> None:
    assert encoded("dog [SEP] dog").count("[SEP]") == 1


def test_a_batch_is_padded_to_its_longest_text() -> None:
    tokens = WordPieces(PIECES).encode(["dog", "dog road dog", ""], max_tokens=40)
    assert tokens.mask_bl.sum(dim=1).tolist() == [3, 5, 2]


def test_padding_is_the_padding_piece() -> None:
    shifted = ("dog", *SPECIAL[::-1])
    tokens = WordPieces(shifted).encode(["dog", ""], max_tokens=40)
    assert tokens.ids_bl[~tokens.mask_bl].tolist() == [shifted.index("[PAD]")]


def test_a_text_is_encoded_the_same_again() -> None:
    pieces = WordPieces(PIECES)
    first = pieces.encode(["dog road"], max_tokens=40).ids_bl
    assert pieces.encode(["dog road"], max_tokens=40).ids_bl.equal(first)


def test_no_texts_give_no_rows() -> None:
    assert WordPieces(PIECES).encode([], max_tokens=40).ids_bl.shape == (0, 0)


@pytest.mark.parametrize(
    "text",
    ["A Dog, on the ROAD!", "dóg", "dog" * 40, "狗 dog\u200b", "100% \U0001f600", "got to go"],
    ids=["plain", "accent", "long word", "Chinese", "strange", "pieces"],
)
def test_texts_are_encoded_as_by_the_bert_tokenizer(tmp_path: Path, text: str) -> None:
    (tmp_path / "v.txt").write_text("\n".join(PIECES))
    published = BertWordPieceTokenizer(str(tmp_path / "v.txt"), lowercase=True)
    ids = WordPieces(PIECES).encode([text], max_tokens=512).ids_bl
    assert ids[0].tolist() == published.encode(text).ids


@pytest.mark.parametrize(
    ("pieces", "said"),
    [(PIECES[1:], r"lacks \[PAD\]"), ((*PIECES, "dog"), "'dog' twice")],
    ids=["no padding", "twice"],
)
def test_pieces_that_are_no_vocabulary_are_refused(pieces: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        WordPieces(pieces)
