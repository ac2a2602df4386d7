"""Tiny models of speech and of depth, in the files that the real ones have.

The recogniser learns here, in seconds, to write "low" for a low tone and "high" for a high one, in
English; "high" for noise, in German; and that a tone in between is no speech.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTImageProcessor,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)
from transformers.convert_slow_tokenizer import bytes_to_unicode

RATE_HZ = 16_000
WORDS = ("low", "high")
TONES_HZ = {"low": 300.0, "high": 3000.0, "between": 1000.0}
LANGUAGES = ("en", "de")
MEL_BINS = 16
WINDOW_SECONDS = 2
"""What the recogniser hears at once; the real one hears 30 s."""

Samples = NDArray[np.float32]


def noise(seconds: float, *, seed: int = 0) -> Samples:
    """Give noise."""
    samples_n = np.random.default_rng(seed).normal(scale=0.2, size=round(seconds * RATE_HZ))
    return samples_n.clip(-1, 1).astype(np.float32)


def tone(word: str, seconds: float, *, level: float = 0.5) -> Samples:
    """Give the tone for a word, or the one in between."""
    time_n = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (level * np.sin(2 * np.pi * TONES_HZ[word] * time_n)).astype(np.float32)


def save_tiny_depth(folder: Path, *, kind: str = "relative", seed: int = 0) -> Path:
    """Save a Depth Anything of random weights, as transformers does, and give its folder."""
    torch.manual_seed(seed)
    backbone = Dinov2Config(
        image_size=28,
        patch_size=14,
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=1,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=14,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[4, 4, 8, 8],
        fusion_hidden_size=8,
        head_hidden_size=4,
        depth_estimation_type=kind,
        max_depth=20 if kind == "metric" else 1,
    )
    model = DepthAnythingForDepthEstimation(config)
    for name, weight in model.named_parameters():
        if "head" in name and name.endswith("bias"):
            torch.nn.init.constant_(weight, 0.5)  # else its last ReLU may leave nothing
    model.save_pretrained(folder)
    size = {"height": 28, "width": 28}
    processor = DPTImageProcessor(
        size=size, keep_aspect_ratio=True, ensure_multiple_of=14, resample=3
    )
    processor.save_pretrained(folder)
    return folder


def _tokenizer() -> WhisperTokenizer:
    """Make a tokenizer of single bytes and whole words, with Whisper's special tokens."""
    pieces = list(bytes_to_unicode().values())
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        whole = "Ġ"
        for letter in word:
            if whole + letter not in pieces:
                merges.append((whole, letter))
                pieces.append(whole + letter)
            whole += letter
    special = [
        "<|endoftext|>",
        "<|startoftranscript|>",
        *(f"<|{language}|>" for language in LANGUAGES),
        "<|translate|>",
        "<|transcribe|>",
        "<|startoflm|>",
        "<|startofprev|>",
        "<|nospeech|>",
        "<|notimestamps|>",
    ]
    vocabulary = {piece: number for number, piece in enumerate([*pieces, special[0]])}
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=merges)
    tokenizer.add_tokens(special[1:], special_tokens=True)
    tokenizer.add_tokens([f"<|{0.02 * step:.2f}|>" for step in range(50 * WINDOW_SECONDS + 1)])
    return tokenizer


def _train(
    model: WhisperForConditionalGeneration,
    extractor: WhisperFeatureExtractor,
    number: dict[str, int],
    *,
    steps: int,
) -> None:
    """Teach the model some sounds, with what it says of each, alone and in a longer sound."""
    lengths = (0.5, 1.0, WINDOW_SECONDS)
    lessons = [
        *((tone(word, seconds), "en", word) for word in WORDS for seconds in lengths),
        *((noise(seconds), "de", "high") for seconds in lengths),
        *((tone("between", seconds), None, "low") for seconds in lengths),
    ]
    sounds = [one for one, _, _ in lessons]
    alone_cmt = extractor(sounds, sampling_rate=RATE_HZ, return_tensors="pt")["input_features"]
    whole = lessons[2::3]
    long_mt = extractor(
        np.concatenate([one for one, _, _ in whole * 2]),
        sampling_rate=RATE_HZ,
        truncation=False,
        return_tensors="pt",
    )["input_features"][0]
    features_cmt = torch.cat([alone_cmt, torch.stack(long_mt.chunk(2 * len(whole), dim=1))])
    lessons += whole * 2
    start, end = number["<|startoftranscript|>"], number["<|endoftext|>"]
    inputs, labels = [], []
    for _, language, word in lessons:
        said = [number["<|0.00|>"], number[f"Ġ{word}"], number[f"<|{WINDOW_SECONDS:.2f}|>"], end]
        head = [number[f"<|{language or 'en'}|>"], number["<|transcribe|>"]]
        first = head[0] if language else number["<|nospeech|>"]
        inputs.append([start, *head, *said[:-1]])
        labels.append([first, head[1], *said])
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(steps):
        loss = model(
            input_features=features_cmt,
            decoder_input_ids=torch.tensor(inputs),
            labels=torch.tensor(labels),
        ).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if loss > 0.5:
        raise RuntimeError(f"the tiny recogniser has not learned its words: loss {loss:.2f}")


def save_tiny_whisper(folder: Path, *, seed: int = 0, steps: int = 150) -> Path:
    """Train a Whisper on tones, save it as transformers does, and give its folder."""
    torch.manual_seed(seed)
    tokenizer = _tokenizer()
    number = tokenizer.get_vocab()
    extractor = WhisperFeatureExtractor(feature_size=MEL_BINS, chunk_length=WINDOW_SECONDS)
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        num_mel_bins=MEL_BINS,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_source_positions=50 * WINDOW_SECONDS,
        max_target_positions=32,
        decoder_start_token_id=number["<|startoftranscript|>"],
        eos_token_id=number["<|endoftext|>"],
        bos_token_id=number["<|endoftext|>"],
        pad_token_id=number["<|endoftext|>"],
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config)
    _train(model, extractor, number, steps=steps)
    generation = model.generation_config
    generation.no_timestamps_token_id = number["<|notimestamps|>"]
    generation.is_multilingual = True
    generation.lang_to_id = {f"<|{name}|>": number[f"<|{name}|>"] for name in LANGUAGES}
    generation.task_to_id = {name: number[f"<|{name}|>"] for name in ("translate", "transcribe")}
    generation.return_timestamps = False
    generation.max_initial_timestamp_index = 50
    generation.max_length = 32
    generation._from_model_config = False  # else it is made anew when the model is loaded
    generation.prev_sot_token_id = number["<|startofprev|>"]
    model.save_pretrained(folder)
    WhisperProcessor(extractor, tokenizer).save_pretrained(folder)
    return folder
