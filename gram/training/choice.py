"""Which step's weights are kept: the last one's, or the best by clips that are not trained on."""

import hashlib
import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from gram.collectives import of_first_rank, own_rank
from gram.config import ValidationConfig
from gram.data.clip_dataset import ClipDataset
from gram.data.clip_index import Selection, read_index, select_clips
from gram.data.loader import evaluation_batches
from gram.data.vocabulary import WordPieces
from gram.evaluation.fitted import plain_score
from gram.evaluation.ranked import RankedSet
from gram.evaluation.retrieval import rank_retrieval, summarize_places
from gram.jobs import TrainSettings
from gram.losses import stack_items
from gram.model import GramModel
from gram.training.checkpoint import (
    DIGEST_LETTERS,
    KEPT,
    HistoryRow,
    PartialCheckpoints,
    is_whole,
    name_by_content,
)
from gram.training.precision import Precision
from gram.training.sharding import whole_weights
from gram.types import Modality

log = logging.getLogger(__name__)

RECALL = "validation"
"""Column of the history with the recall in percent; empty in steps that have none."""

FEWEST_TRAINED = 2
"""Clips that a training needs at least: the loss of one alone is 0."""


def split_clips(settings: TrainSettings, index: Path) -> tuple[Selection, pa.Table | None]:
    """Choose the clips that are trained on, and those that score the training, if it is scored.

    Raises:
        ValueError: If a split has no clip that can be used, or too many are to be held out.
    """
    training, rows = settings.training, read_index(index)

    def selected(split: str) -> Selection:
        return select_clips(
            rows,
            split=split,
            modalities=settings.model.modalities,
            missing=settings.inputs.missing,
        )

    trained, validation = selected(training.split), training.validation
    if len(trained.rows) < FEWEST_TRAINED:
        raise ValueError(
            f"the split {training.split!r} has {len(trained.rows)} clip that can be used, and a "
            f"training needs {FEWEST_TRAINED} at least, since each is told apart from the others; "
            "look at the loss account of its data set, or name another split"
        )
    if validation is None:
        return trained, None
    if validation.split is not None:
        return trained, selected(validation.split).rows
    return _held_out(trained, validation, split=training.split)


def _held_out(
    trained: Selection, validation: ValidationConfig, *, split: str
) -> tuple[Selection, pa.Table]:
    """Take clips out of those that are trained on, the same ones for the same clips and seed."""
    count, number = len(trained.rows), validation.held_out
    assert number is not None  # noqa: S101 - the settings give this or a split
    if count - number < FEWEST_TRAINED:
        raise ValueError(
            f"validation.held_out is {number}, and the split {split!r} has {count} clips that can "
            f"be used, so that fewer than {FEWEST_TRAINED} would be left to train on; lower it"
        )
    is_out_n = np.zeros(count, dtype=bool)
    is_out_n[np.random.default_rng(validation.seed).permutation(count)[:number]] = True
    left = trained.rows.filter(pa.array(~is_out_n))
    counts = {**trained.counts, "held out": number, "used": len(left)}
    return Selection(rows=left, counts=counts), trained.rows.filter(pa.array(is_out_n))


class Choice:
    """Scores a training on its validation clips, and keeps the weights of the best step so far.

    The recalls stand in the history, which partial checkpoints hold, so that a training that goes
    on knows its best step. The weights stand beside the partial checkpoints; their names hold the
    step, and a digest of what the training is made with.
    """

    def __init__(
        self,
        settings: TrainSettings,
        clips: pa.Table | None,
        *,
        index: Path,
        partial: PartialCheckpoints,
        rows: list[HistoryRow],
    ) -> None:
        """Begin where a training stands.

        Args:
            settings: Of the training.
            clips: Rows of the index that score it; None: the last weights are kept.
            index: Shard index of the clips.
            partial: Names the folder, and what the training is made with.
            rows: History so far.
        """
        self._settings, self._validation = settings.training, settings.training.validation
        made_with = hashlib.sha256(partial.made_with.encode()).hexdigest()[:DIGEST_LETTERS]
        self._folder, self._stem = partial.folder, f"{made_with}.best"
        self._clips = None if clips is None else _Clips(settings, clips, folder=index.parent)
        self._saved_best = [self.best_step(rows)] * KEPT

    def consider(
        self, model: GramModel, rows: list[HistoryRow], *, is_last: bool, precision: Precision
    ) -> None:
        """Score the newest step, if its turn has come; keep its weights, if it is the best."""
        validation, step = self._validation, len(rows)
        if validation is None or self._clips is None or (step % validation.every and not is_last):
            return
        recall = self._clips.recall(model, validation, precision=precision)
        rows[-1][RECALL] = of_first_rank(recall)  # GPUs may differ in the last digits
        log.info("step %d: validation %.2f %%", step, rows[-1][RECALL])
        if self._settings.keep == "best" and self.best_step(rows) == step and not is_last:
            weights = whole_weights(model)
            if own_rank() == 0:
                for path in self._files_of(step):  # of a try that was killed after it
                    path.unlink()
                unnamed = self._folder / f"{self._stem}.safetensors"
                model.save(unnamed, weights=weights)
                name_by_content(unnamed, f"{self._stem}{step:09d}")
                self._keep_only({step, *self._saved_best})

    def best_step(self, rows: list[HistoryRow]) -> int:
        """Give the step whose weights are kept: that of the highest recall, or the last one."""
        scored = [row for row in rows if RECALL in row]
        if self._settings.keep == "last" or not scored:
            return len(rows)
        return int(max(scored, key=lambda row: row[RECALL])["step"])

    def weights_of(self, step: int) -> Path:
        """Give the file that holds a step's weights while the training goes on.

        Raises:
            ValueError: If it is not there, or damaged.
        """
        path = next(iter(self._files_of(step)), None)
        if path is None or not is_whole(path):
            raise ValueError(
                f"the weights of step {step}, the best by validation, are "
                f"{f'damaged ({path})' if path else f'not in {self._folder}'}; remove "
                f"{self._folder} and run again: the training begins anew"
            )
        return path

    def _files_of(self, step: int) -> list[Path]:
        return list(self._folder.glob(f"{self._stem}{step:09d}.*.safetensors"))

    def forget(self, rows: list[HistoryRow]) -> None:
        """Remove the weights that none of the last two partial checkpoints calls the best.

        Called when one has been made.
        """
        self._saved_best = [*self._saved_best[1:], self.best_step(rows)]
        if own_rank() == 0:
            self._keep_only(set(self._saved_best))

    def _keep_only(self, steps: set[int]) -> None:
        """Remove the weights of other steps, and of trainings that were made with others."""
        kept = {path for step in steps for path in self._files_of(step)}
        for path in self._folder.glob("*.best*.safetensors"):
            if path not in kept:
                path.unlink()


class _Clips:
    """The clips that score a training, with their first captions."""

    def __init__(self, settings: TrainSettings, rows: pa.Table, *, folder: Path) -> None:
        self._settings, self._rows, self._folder = settings, rows, folder

    @torch.no_grad()
    def recall(
        self, model: GramModel, validation: ValidationConfig, *, precision: Precision
    ) -> float:
        """Give the recall of the model, in percent; nothing is drawn at random."""
        training_parts = [part for part in model.modules() if part.training]
        model.eval()
        dataset = ClipDataset(
            self._rows,
            folder=self._folder,
            inputs=self._settings.inputs,
            num_frames=self._settings.inputs.train_frames,
            modalities=model.modalities,
            pieces=WordPieces(model.pieces),
            is_training=False,
            seed=0,
        )
        texts, vectors, present = [], [], []
        for batch in evaluation_batches(dataset, batch_size=validation.batch_size):
            with precision.autocast():
                embeddings = model.encode(batch).embeddings
            vectors_bkd, present_bk = stack_items(embeddings, model.modalities)
            texts.append(embeddings.vectors[Modality.TEXT].cpu())
            vectors.append(vectors_bkd.cpu())
            present.append(present_bk.cpu())
        for part in training_parts:
            part.training = True
        clips_n = torch.arange(len(self._rows))
        ranked = RankedSet(
            text_qd=torch.cat(texts),
            text_group_q=clips_n,
            vectors_nkd=torch.cat(vectors),
            present_nk=torch.cat(present),
            clip_group_n=clips_n,
            modalities=model.modalities,
        )
        found = rank_retrieval(plain_score(validation.score), ranked)
        asked = getattr(found, validation.direction)
        k = validation.recall_at
        return summarize_places(asked.places, recall_at=(k,))[f"R@{k}"]
