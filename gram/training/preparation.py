"""What a training is made of before its first step: files, model, clips, the state it starts in."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import torch
from torch.optim import Optimizer

from gram.collectives import num_ranks, own_rank
from gram.config import TrainingConfig, canonical_json
from gram.data.clip_dataset import ClipDataset
from gram.data.loader import batches
from gram.data.order import Share
from gram.data.transfer import on_device
from gram.data.vocabulary import WordPieces, read_vocabulary
from gram.files import sha256_of
from gram.jobs import TrainSettings
from gram.model import GramModel
from gram.stages import stage_version
from gram.training.checkpoint import PartialCheckpoints, TrainingState
from gram.training.choice import Choice, split_clips
from gram.training.means import Means
from gram.training.modality_dropout import drop_modalities
from gram.training.optimizer import build_optimizer, schedule_factor
from gram.training.precision import Precision
from gram.training.random_states import seed_rank
from gram.training.sharding import shard
from gram.training.stopping import DivergenceNote
from gram.types import Batch

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainingFiles:
    """What a training reads and writes.

    Attributes:
        index: Shard index of the data set.
        vocabulary: Word pieces of a model that starts at random; None: there is a start.
        start: Checkpoint to start from, with its word pieces; None: random weights.
        checkpoint: File that is written last; ``history.csv``, one row a step, and a readable
            description, the same name ending in ``.json``, stand beside it.
    """

    index: Path
    vocabulary: Path | None
    start: Path | None
    checkpoint: Path

    def __post_init__(self) -> None:
        """Check that word pieces come from one place."""
        if (self.vocabulary is None) == (self.start is None):
            raise ValueError(
                "a training needs a vocabulary or a checkpoint to start from, one of them; "
                f"found vocabulary {self.vocabulary}, start {self.start}"
            )

    @property
    def origin(self) -> Path:
        """What the model is made from: the checkpoint, or else the vocabulary."""
        origin = self.start or self.vocabulary
        assert origin is not None  # noqa: S101 - checked above
        return origin

    def digests(self) -> dict[str, str]:
        """Give the SHA-256 of the shard index, and of what the weights or pieces came from."""
        return {"index": sha256_of(self.index), "origin": sha256_of(self.origin)}


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training that is ready for its next step.

    Attributes:
        settings: All that decides the outcome.
        workers: Threads that read clips ahead.
        model: The weights, on their device.
        optimizer: Of these weights.
        precision: What the encoders compute in.
        dataset: The clips.
        num_steps: Number of steps of the whole training.
        state: What changes from step to step; its rows tell how many steps are done.
        partial: Where the state is kept.
        choice: Scores steps on clips that are not trained on; chooses the weights.
        facts: Digests of the inputs, and what became of the clips, for the tracker.
        note: Where it is noted that the numbers are not finite.
    """

    settings: TrainSettings
    workers: int
    model: GramModel
    optimizer: Optimizer
    precision: Precision
    dataset: ClipDataset
    num_steps: int
    state: TrainingState
    partial: PartialCheckpoints
    choice: Choice
    facts: Mapping[str, str]
    note: DivergenceNote

    def batches(self) -> Iterator[Batch]:
        """Give this rank's shares of the batches that are left, epoch after epoch, without end.

        They are on the device; on a GPU the next one is copied while this one is worked on.
        """
        start = len(self.state.rows)
        shares = endless_batches(self.dataset, self.settings, start=start, workers=self.workers)
        dropped = (
            drop_modalities(
                batch,
                self.settings.training.modality_dropout,
                seed=self.settings.seed,
                step=step,
                rank=own_rank(),
            )
            for step, batch in enumerate(shares, start=start + 1)
        )
        return on_device(dropped, self.state.device)

    def keep_state(self) -> None:
        """Have a partial checkpoint written; files that it makes needless go."""
        self.partial.save(self.state)
        self.choice.forget(self.state.rows)

    def rate_factor(self, step: int) -> float:
        """Give the share of the highest rates that a step has."""
        return schedule_factor(
            step,
            num_steps=self.num_steps,
            warmup=self.settings.optimizer.warmup,
            schedule=self.settings.optimizer.schedule,
        )


@contextmanager
def set_up(settings: TrainSettings, files: TrainingFiles, means: Means) -> Iterator[Training]:
    """Make all that a training needs, in the state of its newest partial checkpoint.

    Raises:
        DivergedError: If an earlier try with these settings came to numbers that are not finite.
        ValueError: If no clip can be used, or the model has nothing to share.
    """
    fingerprint = made_with(settings, files)
    note = DivergenceNote(files.checkpoint, made_with=fingerprint)
    note.refuse_another_try()
    torch.manual_seed(settings.seed)  # the same weights in all ranks
    model = _prepared(build_model(settings, files), settings.training, means)
    optimizer = build_optimizer(model, settings.optimizer, training=settings.training)
    precision = Precision(settings.training.precision, means.device)
    trained, validated = split_clips(settings, files.index)
    counts = ", ".join(f"{name} {count}" for name, count in trained.counts.items())
    log.info("clips: %s", counts)
    dataset = build_dataset(
        settings, trained.rows, folder=files.index.parent, pieces=model.pieces, means=means
    )
    if own_rank() > 0:  # each rank draws noise of its own
        seed_rank(settings.seed, rank=own_rank())
    state = TrainingState(
        model=model, optimizer=optimizer, scaler=precision.scaler, rows=[], seed=settings.seed
    )
    with PartialCheckpoints(files.checkpoint, made_with=fingerprint) as partial:
        partial.load(state)
        yield Training(
            settings=settings,
            workers=means.workers,
            model=model,
            optimizer=optimizer,
            precision=precision,
            dataset=dataset,
            num_steps=count_steps(settings.training, clips=len(dataset)),
            state=state,
            partial=partial,
            choice=Choice(settings, validated, index=files.index, partial=partial, rows=state.rows),
            facts={
                "gram.clips": counts,
                **{f"gram.sha256_of_{name}": one for name, one in files.digests().items()},
            },
            note=note,
        )


def made_with(settings: TrainSettings, files: TrainingFiles) -> str:
    """Name all that a partial checkpoint must have been made with to be gone on from, as JSON."""
    sections = {name: getattr(settings, name) for name in type(settings).model_fields}
    stages = ("pretrain_model", "finetune_model")  # one code, whichever of the two was raised
    version = [stage_version(name) for name in stages]
    return canonical_json({**sections, "stage_version": version, "sha256_of": files.digests()})


def build_model(settings: TrainSettings, files: TrainingFiles) -> GramModel:
    """Build the model with random weights, then take those of the start that it has too."""
    start = GramModel.load(files.start) if files.start is not None else None
    model = GramModel(
        settings.model,
        settings.inputs,
        pieces=start.pieces if start is not None else read_vocabulary(files.origin),
    )
    if start is not None:
        fresh = model.take_weights(start)
        log.info("weights of %s; random: %s", files.start, ", ".join(fresh) or "none")
    if settings.loss.temperature is not None:
        with torch.no_grad():
            model.temperature.fill_(settings.loss.temperature)
    return model


def _prepared(model: GramModel, training: TrainingConfig, means: Means) -> GramModel:
    """Bring a model to its device, in the form in which settings and means let it learn.

    Raises:
        ValueError: If weights in shares are asked for where they cannot be.
    """
    if means.shard_model and training.precision == "fp16":
        raise ValueError(
            "training.precision is fp16, and shard_model is 1; set the precision to bf16, or "
            "shard_model of the rule to 0 in the profile"
        )
    model = model.to(means.device).train()
    encoders = {"text": model.text, "vision": model.vision, "audio": model.audio}
    for name in training.frozen:
        if (encoder := encoders[name]) is not None:
            encoder.requires_grad_(requires_grad=False).eval()
    if means.checkpoint_activations:
        model.checkpoint_activations()
    if means.compile:
        model.compile_encoders()
    if means.shard_model:
        shard(model, means.device)
    return model


def build_dataset(
    settings: TrainSettings,
    rows: pa.Table,
    *,
    folder: Path,
    pieces: tuple[str, ...],
    means: Means,
) -> ClipDataset:
    """Read the clips of some rows of an index for training; ``folder`` holds the shards."""
    return ClipDataset(
        rows,
        folder=folder,
        inputs=settings.inputs,
        num_frames=settings.inputs.train_frames,
        modalities=settings.model.modalities,
        pieces=WordPieces(pieces),
        is_training=True,
        seed=settings.seed,
        cache_mib=means.cache_mib,
    )


def count_steps(training: TrainingConfig, *, clips: int) -> int:
    """Give the number of steps of a training on so many clips."""
    if training.steps is not None:
        return training.steps
    assert training.epochs is not None  # noqa: S101 - the settings give one of them
    return max(1, int(_batches_an_epoch(training, clips=clips) * training.epochs))


def endless_batches(
    dataset: ClipDataset, settings: TrainSettings, *, start: int, workers: int
) -> Iterator[Batch]:
    """Give this rank's shares of the batches from the ``start``-th on, epoch after epoch.

    Raises:
        ValueError: If a batch cannot be shared evenly.
    """
    size = settings.training.batch_size
    _check_even(min(size, len(dataset)), ranks=num_ranks())
    epoch, skip = divmod(start, _batches_an_epoch(settings.training, clips=len(dataset)))
    while True:
        yield from batches(
            dataset,
            batch_size=size,
            seed=settings.seed,
            epoch=epoch,
            start=skip,
            share=Share(own_rank(), num_ranks()),
            workers=workers,
        )
        epoch, skip = epoch + 1, 0


def _check_even(clips: int, *, ranks: int) -> None:
    if clips % ranks:
        raise ValueError(
            f"a batch of {clips} clips cannot be shared evenly by {ranks} processes; change "
            "training.batch_size, or the number of processes of the rule in the profile (where "
            "the split has fewer clips than a batch, all of them are the batch)"
        )


def _batches_an_epoch(training: TrainingConfig, *, clips: int) -> int:
    return max(1, clips // training.batch_size)
