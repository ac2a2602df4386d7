"""Checks of a run against what it starts from, what is kept of clips, and what ranks it."""

from gram.config.data import ExtractionConfig
from gram.config.run import RunConfig
from gram.config.scores import parse_score
from gram.config.training import TrainingConfig


def check_halves(where: str, run: RunConfig, *, name: str, benchmark: str) -> None:
    """Check that no score is both re-ranked and fitted on halves of what is ranked.

    Raises:
        ValueError: If one is.
    """
    for score in run.evaluation.scores:
        spec = parse_score(score)
        if spec.is_reranked and spec.is_fitted:
            raise ValueError(
                f"{where} names run {name!r}, whose score {score!r} re-ranks and has fitted "
                f"numbers, and benchmarks.{benchmark}.protocol has no fit_split; name one"
            )


def check_training(where: str, training: TrainingConfig, run: RunConfig, *, name: str) -> None:
    """Check that a run can be trained as these settings say.

    Raises:
        ValueError: If its loss needs modalities that are left out, or the score of the validation
            clips one that it does not have.
    """
    if run.loss.kind == "area" and training.modality_dropout > 0:
        raise ValueError(
            f"runs.{name}.loss.kind area needs all modalities of each clip, and "
            f"{where}.modality_dropout is {training.modality_dropout}; set it to 0, or change the "
            "kind"
        )
    if training.validation is not None:
        try:
            parse_score(training.validation.score).modalities_of(run.model.modalities)
        except ValueError as error:
            raise ValueError(f"{where}.validation.score, of runs.{name}: {error}") from None


def check_kept(name: str, run: RunConfig, extraction: ExtractionConfig) -> None:
    """Check that a run asks for no more of any clip than extraction keeps of each.

    A clip may have less than that, and then frames are repeated, or enlarged.

    Raises:
        ValueError: If it asks for more.
    """
    frames, pixels = extraction.frames_per_clip, extraction.short_side
    for key, wanted, kept_key, kept, outcome in (
        ("inputs.train_frames", run.inputs.train_frames, "frames_per_clip", frames, "repeated"),
        ("embedding.frames", run.embedding.frames, "frames_per_clip", frames, "repeated"),
        ("inputs.image_pixels", run.inputs.image_pixels, "short_side", pixels, "enlarged"),
    ):
        if wanted > kept:
            raise ValueError(
                f"runs.{name}.{key} is {wanted}, but extraction.{kept_key} keeps {kept}: "
                f"frames of every clip would be {outcome}; lower the one or raise the other"
            )


def check_start(name: str, run: RunConfig, start: RunConfig) -> None:
    """Check that a run's weights have the shapes of the run's that it starts from.

    Raises:
        ValueError: If they have not, or the run names word pieces of its own.
    """
    if run.inputs.vocabulary is not None:
        raise ValueError(
            f"runs.{name} starts from {run.start!r}, whose word pieces it takes, and names "
            f"inputs.vocabulary {run.inputs.vocabulary!r} too; set that to null, or drop the start"
        )
    sizes, start_sizes = (_shapes(config) for config in (run, start))
    for part, size in sizes.items():
        if size != start_sizes[part]:
            raise ValueError(
                f"runs.{name} starts from {run.start!r}, whose {part} is another one: "
                f"{start_sizes[part]} there, {size} here; make them equal, or drop the start"
            )


_SHAPELESS = {"dropout", "drop_path", "layer_drop", "gradient_decay"}
"""Settings of encoders that change no weight's shape."""


def _shapes(run: RunConfig) -> dict[str, object]:
    """Name the settings that decide the shapes of a run's weights."""
    model, inputs = run.model, run.inputs
    return {
        "model.embedding_width": model.embedding_width,
        "model.vision": model.vision.model_dump(exclude=_SHAPELESS),
        "model.audio": model.audio.model_dump(exclude=_SHAPELESS),
        "model.text": model.text.model_dump(exclude=_SHAPELESS),
        "inputs.image_pixels": inputs.image_pixels,
        "inputs.train_frames": inputs.train_frames,
        "inputs.audio_clips": inputs.audio_clips,
    }
