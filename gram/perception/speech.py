"""Extracted sound of a chunk -> subtitles, by a Whisper model.

Shape letters: C clips heard together, M mel bins, T spectrogram frames (100 a second), V tokens of
the vocabulary, L tokens of a window.
"""

import io
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoProcessor, WhisperForConditionalGeneration

from gram.config import SpeechConfig
from gram.data.status import Status
from gram.data.subtitles import SUBTITLES, annotated, log_subtitles
from gram.data.tables import Row, read_rows, write_rows
from gram.data.tars import Archive
from gram.perception.models import Source, identity, load
from gram.progress import track

log = logging.getLogger(__name__)

LEVEL_SECONDS = 0.1
"""Length of the pieces of a sound whose loudest says how loud it is."""

Sound = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What was heard in a clip.

    Attributes:
        text: The words, without blanks at the ends; empty where there are none.
        language: Code of the language, as ``en``.
        mean_log_probability: Natural, over all tokens; None where there are none.
        no_speech_probability: Mean over the clip's windows.
    """

    text: str
    language: str
    mean_log_probability: float | None
    no_speech_probability: float


def recognize_speech(
    settings: SpeechConfig, *, archive: Path, table: Path, output: Path, device: torch.device
) -> None:
    """Write the subtitle of each clip of a chunk: annotated, or heard in its extracted sound.

    On a CPU the same input gives the same bytes.

    Args:
        settings: The recogniser, and what is heard.
        archive: Tar of ``extract_chunk``.
        table: Its table.
        output: Parquet file with the columns of ``SUBTITLES``: one row a row of ``table``.
        device: Where to compute; half precision on a GPU.

    Raises:
        ValueError: If the model cannot be read or used, or the archive is damaged.
    """
    rows = read_rows(table)
    results = {row["clip_id"]: _unheard(row, settings) for row in rows}
    to_hear = [row for row in rows if results[row["clip_id"]] is None]
    recognizer = Recognizer(settings, device)
    label = f"hearing {output.parent.name} {output.stem}"
    with Archive(archive) as clips:
        batches = list(_batches(to_hear, settings.windows, seconds=recognizer.window_seconds))
        for batch in track(batches, total=len(batches), label=label, unit="batches"):
            sounds = {
                row["clip_id"]: _read_sound(clips, row, rate_hz=recognizer.rate_hz) for row in batch
            }
            for clip_id, samples_n in sounds.items():
                level = level_dbfs(samples_n, sample_rate_hz=recognizer.rate_hz)
                if level < settings.min_level_dbfs:
                    results[clip_id] = _none(clip_id, "silent")
            audible = {name: one for name, one in sounds.items() if results[name] is None}
            for clip_id, heard in zip(
                audible, recognizer.hear(list(audible.values())), strict=True
            ):
                results[clip_id] = _row(clip_id, heard) | {"model": recognizer.name}
    written = [result for result in results.values() if result is not None]
    write_rows(output, written, schema=SUBTITLES)
    log_subtitles(written)


# --- which clips, in which order --------------------------------------------------------------


def _unheard(row: Row, settings: SpeechConfig) -> Row | None:
    """Give the row of a clip that needs no hearing, or None."""
    known = annotated(row)
    if settings.keep_annotated and "subtitle" in known:
        return known
    if row["status"] != Status.OK:
        return _none(row["clip_id"], "clip not usable")
    if not row["has_audio"]:
        return _none(row["clip_id"], "no sound")
    return None


def _none(clip_id: str, reason: str) -> Row:
    return {"clip_id": clip_id, "reason": reason}


def _row(clip_id: str, heard: Heard) -> Row:
    row: Row = {
        "clip_id": clip_id,
        "language": heard.language,
        "mean_log_probability": heard.mean_log_probability,
        "no_speech_probability": heard.no_speech_probability,
    }
    if heard.text:
        return row | {"subtitle": heard.text, "source": "speech"}
    return row | {"reason": "no speech heard"}


def _batches(rows: Sequence[Row], windows: int, *, seconds: float) -> Iterator[list[Row]]:
    """Put clips of one number of windows together, ``windows`` in all; a longer one is alone."""

    def number(row: Row) -> int:
        return max(1, int(np.ceil(row["audio_seconds"] / seconds)))

    for of_each, same in groupby(sorted(rows, key=number), key=number):
        waiting = list(same)
        size = max(1, windows // of_each)
        for start in range(0, len(waiting), size):
            yield waiting[start : start + size]


def _read_sound(clips: Archive, row: Row, *, rate_hz: int) -> Sound:
    content = clips.need(f"{row['key']}.flac")
    samples_n: Sound
    samples_n, kept_hz = soundfile.read(io.BytesIO(content), dtype="float32")
    if kept_hz != rate_hz:
        raise ValueError(
            f"subtitles.speech.model hears sound of {rate_hz} Hz, and the clips' is kept at "
            f"{kept_hz} Hz; name a model that hears that"
        )
    return samples_n


def level_dbfs(samples_n: Sound, *, sample_rate_hz: int) -> float:
    """Give the level of the loudest tenth of a second, in dB of a full square wave.

    Example:
        >>> level_dbfs(np.full(16_000, 0.1, np.float32), sample_rate_hz=16_000)
        -20.0
    """
    length = round(LEVEL_SECONDS * sample_rate_hz)
    pieces = [samples_n[start : start + length] for start in range(0, len(samples_n), length)]
    powers = [float(np.mean(np.square(piece, dtype=np.float64))) for piece in pieces]
    return round(10 * float(np.log10(max([*powers, 1e-12]))), 3)


# --- the model --------------------------------------------------------------------------------


class Recognizer:
    """A Whisper model with its processor.

    Attributes:
        name: Name and version of the model.
        window_seconds: Length of the windows that it hears.
        rate_hz: Sample rate of the sound that it hears.
    """

    def __init__(self, settings: SpeechConfig, device: torch.device) -> None:
        """Read the model.

        Raises:
            ValueError: If it is not there, is no Whisper model, or does not know the language.
        """
        source = Source(settings.model, settings.revision, "subtitles.speech.model")
        dtype = torch.float16 if device.type == "cuda" else torch.float32
        builders = (WhisperForConditionalGeneration.from_pretrained, AutoProcessor.from_pretrained)
        model, self._processor = load(source, *builders, dtype=dtype)
        self._model, self._settings, self._dtype = model.to(device), settings, dtype
        self._device = device
        self.name = identity(source, model)
        self._tokens = _special_tokens(model.generation_config, settings)
        extractor = self._processor.feature_extractor
        self.window_seconds: float = extractor.chunk_length
        self.rate_hz: int = extractor.sampling_rate
        self._window_frames: int = extractor.nb_max_frames

    @torch.inference_mode()
    def hear(self, sounds: Sequence[Sound]) -> list[Heard]:
        """Hear some sounds, each of one channel at ``rate_hz``, float32, -1..1.

        Sounds longer than a window are heard window by window, each from where the last words of
        the one before ended, by transformers' long-form generation; always the likeliest token,
        never a drawn one.
        """
        if not sounds:
            return []
        features_cmt, mask_ct = self._features(sounds)
        languages, no_speech = self._listen(features_cmt, mask_ct)
        asked = {"language": languages, "task": "transcribe"} if self._tokens.languages else {}
        given = self._model.generate(
            features_cmt,
            attention_mask=mask_ct,
            return_timestamps=True,
            return_dict_in_generate=True,
            output_scores=True,
            temperature=0.0,
            condition_on_prev_tokens=False,
            no_speech_threshold=self._settings.no_speech_probability,
            logprob_threshold=self._settings.min_log_probability,
            **asked,
        )
        return [
            Heard(
                text=self._text(segments),
                language=language.strip("<|>"),
                mean_log_probability=self._confidence(segments),
                no_speech_probability=probability,
            )
            for segments, language, probability in zip(
                given["segments"], languages, no_speech, strict=True
            )
        ]

    def _features(self, sounds: Sequence[Sound]) -> tuple[Tensor, Tensor]:
        """Give spectrograms, shape (C, M, T), and which frames are of the sound, shape (C, T)."""
        is_long = max(map(len, sounds)) > self.window_seconds * self.rate_hz
        features = self._processor.feature_extractor(
            list(sounds),
            sampling_rate=self.rate_hz,
            padding="longest" if is_long else "max_length",
            truncation=False,
            return_attention_mask=True,
            return_tensors="pt",
        )
        return (
            features["input_features"].to(self._device, self._dtype),
            features["attention_mask"].to(self._device),
        )

    def _listen(self, features_cmt: Tensor, mask_ct: Tensor) -> tuple[list[str], list[float]]:
        """Give each clip's language, by the window that is surest of speech, and no-speech.

        A multilingual model names languages as tokens, such as ``<|de|>``; others hear English.
        """
        clips, width = len(features_cmt), self._window_frames
        languages, surest = ["<|en|>"] * clips, [2.0] * clips
        heard: list[list[float]] = [[] for _ in range(clips)]
        names, ids = list(self._tokens.languages), list(self._tokens.languages.values())
        for start in range(0, features_cmt.shape[-1], width):
            inside = [c for c in range(clips) if start == 0 or mask_ct[c, start:].any()]
            window_cmt = features_cmt[inside, :, start : start + width]
            missing = width - window_cmt.shape[-1]
            probabilities_cv = self._first_probabilities(
                torch.nn.functional.pad(window_cmt, (0, missing))
            )
            for clip, probability_v in zip(inside, probabilities_cv, strict=True):
                no_speech = float(probability_v[self._tokens.no_speech])
                heard[clip].append(no_speech)
                if ids and no_speech < surest[clip]:
                    surest[clip] = no_speech
                    languages[clip] = names[int(probability_v[ids].argmax())]
        if self._settings.language is not None:
            languages = [f"<|{self._settings.language}|>"] * clips
        return languages, [float(np.mean(of_clip)) for of_clip in heard]

    def _first_probabilities(self, window_cmt: Tensor) -> Tensor:
        """Give the probabilities of the token that follows the start, float32, shape (C, V)."""
        start = torch.full((len(window_cmt), 1), self._tokens.start, device=self._device)
        logits_cv = self._model(input_features=window_cmt, decoder_input_ids=start).logits[:, -1]
        probabilities_cv: Tensor = logits_cv.float().softmax(dim=-1).cpu()
        return probabilities_cv

    def _text(self, segments: Sequence[dict[str, Any]]) -> str:
        """Join the words of all segments."""
        tokens = [token for segment in segments for token in segment["tokens"].tolist()]
        text: str = self._processor.tokenizer.decode(tokens, skip_special_tokens=True)
        return " ".join(text.split())

    def _confidence(self, segments: Sequence[dict[str, Any]]) -> float | None:
        """Give the mean log probability of all tokens of the windows that segments are from."""
        windows = {id(segment["result"]): segment["result"] for segment in segments}
        parts = [token_log_probabilities(one, end=self._tokens.end) for one in windows.values()]
        return float(torch.cat(parts).mean()) if parts else None


def token_log_probabilities(window: dict[str, Any], *, end: int) -> Tensor:
    """Give the log probabilities of the tokens of a window, up to the end token, shape (L,)."""
    scores_lv = torch.stack(list(window["scores"])).float()
    tokens_l = window["sequences"][-len(scores_lv) :].to(scores_lv.device)
    ends = (tokens_l == end).nonzero().flatten()
    length = int(ends[0]) + 1 if len(ends) else len(tokens_l)
    chosen_l1 = scores_lv.log_softmax(dim=-1).gather(-1, tokens_l[:, None])
    return chosen_l1[:length, 0]


@dataclass(frozen=True, kw_only=True)
class _Tokens:
    """Numbers of the tokens that are no text; ``languages`` is empty for English-only models."""

    start: int
    end: int
    no_speech: int
    languages: dict[str, int]


def _special_tokens(config: Any, settings: SpeechConfig) -> _Tokens:  # noqa: ANN401 - untyped
    """Read which tokens are which, and check that the language is one of the model's."""
    if getattr(config, "no_timestamps_token_id", None) is None:
        raise ValueError(
            f"subtitles.speech.model {settings.model} does not say which tokens are times (its "
            "generation_config.json has no no_timestamps_token_id); fetch the whole model"
        )
    languages: dict[str, int] = {}
    if getattr(config, "is_multilingual", False):
        languages = dict(sorted(config.lang_to_id.items()))
    known = [name.strip("<|>") for name in languages] or ["en"]
    if settings.language not in {None, *known}:
        raise ValueError(
            f"subtitles.speech.language is {settings.language!r}, which {settings.model} does not "
            f"know; it knows {', '.join(known)}"
        )
    return _Tokens(
        start=config.decoder_start_token_id,
        end=config.eos_token_id,
        no_speech=config.no_timestamps_token_id - 1,
        languages=languages,
    )
