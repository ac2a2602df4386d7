"""Pretrained models as transformers saves them: found, read without running code, named."""

from collections.abc import Callable, Collection
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from gram.files import sha256_of

_DIGITS = 16
"""Of a digest that names a model: enough to tell any two apart."""


class Source(NamedTuple):
    """Where a model comes from.

    Attributes:
        model: A folder, or a name on the hub.
        revision: Branch or commit on the hub.
        setting: The setting that names the model, for messages.
    """

    model: str
    revision: str
    setting: str


def load(source: Source, *builders: Callable[..., Any], dtype: torch.dtype) -> list[Any]:
    """Read the parts of a model; weights from safetensors only, and no code that comes with it.

    Args:
        source: Where it comes from.
        builders: ``from_pretrained`` of each part: model, processor. The first is the model.
        dtype: What the weights are computed in.

    Returns:
        What each builder gave, the model ready to evaluate.

    Raises:
        ValueError: If there is no such model, a part of it is missing or damaged, or its weights
            are not safetensors.
    """
    _log_as_the_rest()
    place = Path(source.model).expanduser()
    name = str(place) if place.is_dir() else source.model
    known = {"revision": source.revision, "trust_remote_code": False}
    try:
        model, found = builders[0](
            name, use_safetensors=True, dtype=dtype, output_loading_info=True, **known
        )
        _check_whole(found["missing_keys"])
        parts = [model.eval(), *(build(name, **known) for build in builders[1:])]
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise ValueError(_missing(source, place, error)) from error
    return parts


def _check_whole(missing: Collection[str]) -> None:
    """Refuse a model of which weights are missing: transformers would draw them."""
    if missing:
        raise ValueError(
            f"{len(missing)} weights are not there, {min(missing)} among them: it is another kind "
            "of model, or cut"
        )


def _log_as_the_rest() -> None:
    """Let messages of transformers go where all others go, and draw no bars."""
    transformers_logging.disable_default_handler()
    transformers_logging.enable_propagation()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call] # theirs


def _missing(source: Source, place: Path, error: Exception) -> str:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    if place.is_dir():
        held = ", ".join(sorted(path.name for path in place.iterdir())) or "nothing"
        return (
            f"{source.setting}: the folder {source.model} holds no model that can be read "
            f"({first}); it holds {held}. Needed are config.json, preprocessor_config.json, for "
            "speech the tokenizer too, and weights as .safetensors: fetch it again by "
            f"`hf download OWNER/NAME --local-dir {source.model}`, or name another"
        )
    folder = f"models/{source.model.rpartition('/')[2]}"
    return (
        f"{source.setting} is {source.model!r}: no such folder is here, and the hub gave no such "
        f"model ({first}). On a machine with network run `hf download {source.model} --revision "
        f"{source.revision} --local-dir {folder}`, copy that folder here and set "
        f"{source.setting} to {folder}"
    )


def identity(source: Source, model: Any) -> str:  # noqa: ANN401 - transformers is untyped
    """Name a model so that another one, or another version of it, has another name.

    Returns:
        Its name on the hub with the commit, or its folder's name with a digest of its weights.
    """
    place = Path(source.model).expanduser()
    if not place.is_dir():
        return f"{source.model}@{model.config._commit_hash or source.revision}"
    whole = sha256()
    for path in sorted(place.glob("*.safetensors")):
        whole.update(f"{path.name} {sha256_of(path)}\n".encode())
    return f"{place.resolve().name}@sha256:{whole.hexdigest()[:_DIGITS]}"
