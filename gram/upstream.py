"""Weights under the names of the released code: brought to our names, and back.

Released GRAM and VAST checkpoints are flat dictionaries. Each of our weights has one name there;
what has no place in our model (the CLIP text tower, the head of EVA, the language-model head, the
legacy fusion heads, position numbers) is kept apart, so that a checkpoint can be written back
whole. Nothing here knows a model: dictionaries in, dictionaries out.
"""

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

Weights = dict[str, Tensor]
Resize = Literal["bilinear", "bicubic"]

_NAMES: tuple[tuple[str, str], ...] = (
    ("temperature", "contra_temp"),
    ("vision.tower.", "vision_encoder.visual."),
    ("audio.beats.", "audio_encoder."),
    ("text.bert.", "multimodal_encoder.bert."),
    ("projections.text.", "contra_head_t.linear."),
    ("projections.video.", "contra_head_v.linear."),
    ("projections.audio.", "contra_head_a.linear."),
    ("projections.subtitle.", "contra_head_s.linear."),
    ("projections.depth.", "contra_head_d.linear."),
    ("condition.vision.unit", "vision_frame_embedding"),
    ("condition.audio.unit", "audio_frame_embedding"),
    ("condition.vision.kind", "vision_type_embeddings"),
    ("condition.audio.kind", "audio_type_embeddings"),
    ("condition.subtitle.kind", "subtitle_type_embeddings"),
    ("condition.vision.project.", "hidden_trans_vision_multimodal."),
    ("condition.audio.project.", "hidden_trans_audio_multimodal."),
    ("condition.subtitle.project.", "hidden_trans_subtitle_multimodal."),
    ("match_head.", "itm_head."),
)
"""Start of our names, and what stands in its place in a released checkpoint. A start that does not
end in a dot is a whole name."""

_LEGACY: tuple[tuple[str, str], ...] = (
    ("video", "vision"),
    ("evaclip_model", "vision_encoder"),
    ("clip_model", "vision_encoder"),
)
"""Words of VAST's names and what GRAM calls them; the first one found is replaced."""

ENCODERS: dict[str, tuple[str, str]] = {
    "eva": ("vision_encoder.", "vision.tower."),
    "beats": ("audio_encoder.", "audio.beats."),
    "bert": ("multimodal_encoder.", "text.bert."),
}
"""What the names of an encoder's own file start with inside a whole checkpoint, and with us."""

POSITIONS = "vision.tower.pos_embed"
UNITS = ("condition.vision.unit", "condition.audio.unit")
"""Our names of the tables whose length follows the settings."""


class Translated(NamedTuple):
    """Weights of a released checkpoint.

    Attributes:
        ours: What has a place in our model, under our names.
        rest: All else, under the released code's names.
    """

    ours: Weights
    rest: Weights


def released_name(name: str) -> str:
    """Give the released code's name of one of our weights.

    Raises:
        KeyError: If it has none.

    Example:
        >>> released_name("match_head.linear1.bias")
        'itm_head.linear1.bias'
    """
    return _renamed(name, _NAMES)


def our_name(name: str) -> str | None:
    """Give our name of a weight of the released code; None if it has no place in our model.

    Example:
        >>> our_name("contra_head_d.linear.weight"), our_name("contra_head_va.bias")
        ('projections.depth.weight', None)
    """
    try:
        return _renamed(name, tuple((theirs, ours) for ours, theirs in _NAMES))
    except KeyError:
        return None


def _renamed(name: str, table: tuple[tuple[str, str], ...]) -> str:
    for before, after in table:
        if name == before or (before.endswith(".") and name.startswith(before)):
            return after + name.removeprefix(before)
    raise KeyError(f"the released code has no weight for {name!r}")


def canonical_names(weights: Mapping[str, Tensor]) -> Weights:
    """Bring names to those of a GRAM checkpoint, and floating-point values to float32.

    ``module.``, which data-parallel training leaves behind, is taken out wherever it stands, and
    VAST's words are replaced (released code).

    Raises:
        ValueError: If two weights would get one name.
    """
    renamed: Weights = {}
    for name, weight in weights.items():
        new = name.replace("module.", "")
        for old_word, word in _LEGACY:
            if old_word in new:
                new = new.replace(old_word, word)
                break
        if new in renamed:
            raise ValueError(
                f"two weights of the checkpoint become {new!r}, {name!r} is one of them; "
                "give a checkpoint of one model"
            )
        renamed[new] = weight.float() if weight.is_floating_point() else weight
    return renamed


def from_released(weights: Mapping[str, Tensor]) -> Translated:
    """Translate a released checkpoint, whose names are canonical, into our names."""
    ours: Weights = {}
    rest: Weights = {}
    for name, weight in weights.items():
        new = our_name(name)
        if new is None or new.endswith("embeddings.position_ids"):
            rest[name] = weight
        else:
            ours[new] = weight
    return Translated(ours, rest)


def to_released(ours: Mapping[str, Tensor], rest: Mapping[str, Tensor]) -> Weights:
    """Write our weights under the released code's names, and what it has besides as it is.

    Raises:
        ValueError: If a weight stands in both.
    """
    written = {released_name(name): weight for name, weight in ours.items()}
    if twice := sorted(written.keys() & rest.keys()):
        raise ValueError(f"{twice[0]!r} is a weight of the model and of the rest too; give it once")
    return {**written, **rest}


def fit_tables(ours: Weights, wanted: Mapping[str, Tensor], *, positions: Resize) -> Weights:
    """Bring tables to the lengths that a model wants.

    Args:
        ours: Weights under our names.
        wanted: The model's own weights; only shapes are read.
        positions: How the vision tower's table of positions is resized: bilinear from a GRAM or
            VAST checkpoint, bicubic from EVA's own file (released code).

    Returns:
        The same weights; tables of other lengths are resized. All else is left as it is.
    """
    fitted = dict(ours)
    if POSITIONS in ours and POSITIONS in wanted:
        tokens = wanted[POSITIONS].shape[1]
        fitted[POSITIONS] = resize_positions(ours[POSITIONS], tokens, mode=positions)
    for name in UNITS:
        if name in ours and name in wanted and ours[name].shape != wanted[name].shape:
            units = wanted[name].shape[1]
            fitted[name] = functional.interpolate(ours[name].mT, size=units, mode="nearest").mT
    return fitted


def resize_positions(table: Tensor, tokens: int, *, mode: Resize) -> Tensor:
    """Resize a table of positions: the class token stays, the square grid is interpolated.

    Args:
        table: Float, shape (1, 1 + g * g, W).
        tokens: Number of tokens that are wanted, 1 + G * G.
        mode: How the grid is interpolated, corners not aligned.

    Returns:
        Shape (1, tokens, W).

    Raises:
        ValueError: If either number of tokens is not one more than a square.
    """
    old, new = (_grid_side(count) for count in (table.shape[1], tokens))
    if old == new:
        return table
    grid = table[:, 1:].mT.reshape(table.shape[0], -1, old, old)
    grid = functional.interpolate(grid, size=(new, new), mode=mode, align_corners=False)
    return torch.cat([table[:, :1], grid.flatten(2).mT], dim=1)


def _grid_side(tokens: int) -> int:
    side = math.isqrt(max(0, tokens - 1))
    if side * side != tokens - 1 or side == 0:
        raise ValueError(
            f"a table of {tokens} positions is no class token and a square grid; "
            "it is of another kind of network"
        )
    return side
