"""The training loop, whole: next batch, forward, loss, backward, clip, step, log, save."""

import math
from typing import NoReturn

from gram.collectives import any_rank, of_all_ranks, own_rank
from gram.jobs import TrainSettings
from gram.progress import track
from gram.tracking import Tracker
from gram.training.gradients import add_gradients
from gram.training.means import Means
from gram.training.optimizer import set_rate
from gram.training.outputs import (
    Stopwatch,
    losses_of_batch,
    step_numbers,
    tell_of_outputs,
    write_outputs,
)
from gram.training.precision import Precision
from gram.training.preparation import Training, TrainingFiles, set_up
from gram.training.stopping import DivergedError, Ear, StoppedTraining, alone, listening
from gram.training.update import average_and_clip, take_step
from gram.types import Batch

TRACKED_STEPS = 10
"""Steps between two that are sent to the tracker; the history file has all."""

MOST_NAMED = 8
"""Clips of a batch that are named where its numbers are not finite."""


def train(settings: TrainSettings, files: TrainingFiles, means: Means, *, tracker: Tracker) -> None:
    """Train a model from scratch or from a checkpoint; write its last state and its history.

    A job that was killed goes on from the newest partial checkpoint beside its output, if that
    was made with the same settings and inputs, and ends with the same weights on the same device
    with the same number of processes. In a process group each rank calls this, with its device.

    Args:
        settings: All that decides the outcome, with the seed.
        files: What is read and written.
        means: What the training may use.
        tracker: Takes losses, rates and throughput.

    Raises:
        ValueError: If no clip can be used, or another process trains beside this one.
        DivergedError: If loss or gradient is not finite, or was so in an earlier try.
        StoppedTraining: If a signal ended it; it can go on.
    """
    with alone(files.checkpoint), listening() as ear, set_up(settings, files, means) as training:
        tracker.tags(training.facts)
        take_steps(training, means, ear=ear, tracker=tracker)
        write_outputs(training, files)
        tell_of_outputs(files, means, tracker)  # killed meanwhile, a job goes on from its partial
        training.partial.remove()


def take_steps(training: Training, means: Means, *, ear: Ear, tracker: Tracker) -> None:
    """Take the steps that are left, and add a row of the history for each.

    Raises:
        DivergedError: If loss or gradient is not finite.
        StoppedTraining: If the ear has heard a signal.
    """
    settings, model, optimizer = training.settings, training.model, training.optimizer
    precision, rows, num_steps = training.precision, training.state.rows, training.num_steps
    stream, watch = training.batches(), Stopwatch()
    todo = range(len(rows) + 1, num_steps + 1)
    label = f"training {training.partial.folder.parent}"
    for step in track(todo, total=num_steps, label=label, unit="steps", start=len(rows)):
        batch = watch.next_batch(stream)
        rate = set_rate(optimizer, training.rate_factor(step))
        optimizer.zero_grad(set_to_none=True)
        loss = add_gradients(
            model, batch, settings.loss, precision=precision, micro_batch=means.micro_batch
        )
        norm = average_and_clip(model, optimizer, precision, clip_norm=settings.optimizer.clip_norm)
        losses = losses_of_batch(loss)
        if problem := _not_finite(losses["loss"], norm, precision=precision):
            _give_up(training, problem, step=step, batch=batch)
        take_step(model, optimizer, precision)
        temperature = float(model.temperature.detach())
        rows.append({"step": step, **losses, "temperature": temperature, "learning_rate": rate})
        training.choice.consider(model, rows, is_last=step == num_steps, precision=precision)
        if step % TRACKED_STEPS == 0 or step == num_steps:
            numbers = step_numbers(loss, training, norm=norm)
            tracker.metrics({**rows[-1], **numbers, **watch.look()}, step=step)
        is_stopped = any_rank(bool(ear.heard), device=means.device)
        if step < num_steps and (is_stopped or step % means.checkpoint_steps == 0):
            training.keep_state()
            tracker.flush()  # a job that goes on from here does not send these numbers again
            if is_stopped:
                heard = next(filter(None, of_all_ranks(ear.heard)))
                raise StoppedTraining(heard, step=step, saved=training.partial.wait())


def _not_finite(loss: float, norm: float, *, precision: Precision) -> str:
    """Say what is not finite; nothing if all is, or if a smaller scale of float16 may mend it."""
    if not math.isfinite(loss):
        return f"the loss is {loss}"
    if not math.isfinite(norm) and (precision.has_given_up or not precision.scaler.is_enabled()):
        return f"the loss is {loss:.4g}, the norm of its gradient {norm}"
    return ""


def _give_up(training: Training, problem: str, *, step: int, batch: Batch) -> NoReturn:
    """End a training whose numbers are not finite, and keep later tries from doing the same."""
    saved = training.partial.wait()
    clip_ids = [clip_id for share in of_all_ranks(batch.clip_ids) for clip_id in share]
    named = [*clip_ids[:MOST_NAMED], *(["others"] if len(clip_ids) > MOST_NAMED else [])]
    message = (
        f"{problem} at step {step}, on the clips {', '.join(named)}"
        "; lower the learning rate, or look at these clips. "
        f"The last good state: {saved or 'that of the start'}"
    )
    if own_rank() == 0:
        training.note.write(message)
    raise DivergedError(message)
