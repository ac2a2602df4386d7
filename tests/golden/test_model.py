"""Features, condition tokens and match scores that the published code gave for one batch."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gram.data.vocabulary import WordPieces, read_vocabulary
from gram.model import Encodings, GramModel
from gram.types import ITEM_MODALITIES, Tokens
from gram.weights import load_released, read_weights, write_released
from tests.golden.recording import Golden
from tests.golden.tiny_gram import LETTERS, make_batch, modalities_of

Read = Callable[[str], Golden]

TOLERANCE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def model(tiny_gram: Callable[..., GramModel], released_checkpoint: Path) -> GramModel:
    """Give our model with the recorded weights."""
    model = tiny_gram()
    load_released(model, released_checkpoint)
    return model


@pytest.fixture(scope="module")
def recorded(golden: Read) -> Golden:
    return golden("04_gram_io")


@pytest.fixture(scope="module")
def encodings(model: GramModel, recorded: Golden) -> Encodings:
    with torch.inference_mode():
        return model.encode(make_batch(recorded.tensors, ITEM_MODALITIES))


@pytest.mark.parametrize("letter", list(LETTERS))
def test_the_features_are_the_published_ones(
    letter: str, encodings: Encodings, recorded: Golden
) -> None:
    given = encodings.embeddings.vectors[LETTERS[letter]]
    torch.testing.assert_close(given, recorded.tensors[f"out.feat_{letter}"], **TOLERANCE)


@pytest.mark.parametrize("letter", [letter for letter in LETTERS if letter != "t"])
def test_the_condition_tokens_are_the_published_ones(
    letter: str, encodings: Encodings, recorded: Golden
) -> None:
    given = encodings.condition[LETTERS[letter]]
    torch.testing.assert_close(
        given, recorded.tensors[f"out.condition_feats_{letter}"], **TOLERANCE
    )


def match_logits(model: GramModel, encodings: Encodings, letters: str) -> Tensor:
    """Match every caption with every item: logits, shape (texts, items, 2)."""
    condition_bqd, mask_bq = encodings.condition_of(modalities_of(letters))
    size = len(condition_bqd)
    captions = encodings.captions
    rows = []
    with torch.inference_mode():
        for text in range(size):
            same = [text] * size
            texts = Tokens(ids_bl=captions.ids_bl[same], mask_bl=captions.mask_bl[same])
            rows.append(model.match(texts, condition_bqd, condition_mask_bq=mask_bq))
    return torch.stack(rows)


@pytest.mark.parametrize("letters", ["v", "va", "vas", "vasd"])
def test_the_match_scores_are_the_published_ones(
    letters: str, model: GramModel, encodings: Encodings, recorded: Golden
) -> None:
    scores = match_logits(model, encodings, letters).softmax(dim=-1)[..., 1]
    torch.testing.assert_close(scores, recorded.tensors[f"out.itm_scores.{letters}"], **TOLERANCE)


def test_the_match_logits_are_the_published_ones(
    model: GramModel, encodings: Encodings, recorded: Golden
) -> None:
    logits = match_logits(model, encodings, "va").diagonal().mT
    torch.testing.assert_close(logits, recorded.tensors["out.itm_logits_diag.va"], **TOLERANCE)


@pytest.mark.parametrize(("kind", "letter"), [("vision", "v"), ("audio", "a")])
def test_other_numbers_of_units_take_the_nearest_vector(
    kind: str, letter: str, model: GramModel, recorded: Golden
) -> None:
    with torch.inference_mode():
        given = model.condition[kind](recorded.tensors[f"interp.in.{kind}_output"])
    torch.testing.assert_close(
        given, recorded.tensors[f"interp.out.condition_{letter}"], **TOLERANCE
    )


@pytest.mark.parametrize(
    ("texts", "kind", "longest"),
    [
        ("raw_captions", "caption", "max_caption_len"),
        ("raw_subtitles", "subtitle", "max_subtitle_len"),
    ],
)
def test_word_pieces_are_the_published_ones(
    texts: str, kind: str, longest: str, golden: Read, golden_folder: Path, recorded: Golden
) -> None:
    pieces = WordPieces(read_vocabulary(golden_folder / "04_vocab.txt"))
    length = golden("04_gram_state").facts["model_cfg"][longest]
    tokens = pieces.encode(recorded.facts[texts], max_tokens=length)
    ids, mask = (
        recorded.tensors[f"in.{kind}_tokens.{one}"] for one in ("input_ids", "attention_mask")
    )
    used = int(mask.sum(dim=1).max())  # the published code pads to the longest that is allowed
    assert torch.equal(tokens.ids_bl[:, :used], ids[:, :used])
    assert torch.equal(tokens.mask_bl[:, :used], mask[:, :used].bool())


# --- checkpoints ------------------------------------------------------------------------------


@pytest.mark.parametrize("letters", ["tva", "tvas", "tvasd"])
def test_the_recorded_checkpoint_is_written_back_as_it_was(
    letters: str, tiny_gram: Callable[..., GramModel], released_checkpoint: Path, tmp_path: Path
) -> None:
    model = tiny_gram(modalities_of(letters))
    report = load_released(model, released_checkpoint)
    write_released(model, report, tmp_path / "back.pt")
    before, after = read_weights(released_checkpoint), read_weights(tmp_path / "back.pt")
    assert before.keys() == after.keys()
    assert [name for name in before if not torch.equal(before[name], after[name])] == []


def test_the_recorded_checkpoint_lacks_nothing(
    tiny_gram: Callable[..., GramModel], released_checkpoint: Path
) -> None:
    assert load_released(tiny_gram(), released_checkpoint).missing == ()
