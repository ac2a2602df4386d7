"""Why a training ends before its last step: a signal, numbers that are not finite, another one.

A signal ends it after the step at hand, with a state to go on from, and another try makes sense. A
loss that is not finite comes again with every try, so it is noted beside the output: the next try
with the same settings ends at once, with the same message.
"""

import json
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from filelock import FileLock, Timeout

from gram.collectives import own_rank
from gram.files import write_text

log = logging.getLogger(__name__)

STOPPED_EXIT_CODE = 75
"""Exit code of a training that a signal ended, and that can go on ("temporary failure")."""

PATIENCE_SECONDS = 30.0
"""How long a job waits for another one to leave its folder, as one does that was told to end."""

HEARD = (signal.SIGTERM, signal.SIGUSR1)
"""Signals that end a training after its step: sent by people, schedulers, time limits."""


class StoppedTraining(SystemExit):
    """A signal ended the training; the next try goes on from where it stood."""

    def __init__(self, name: str, *, step: int, saved: Path | None) -> None:
        """Say which signal it was, after which step, and where the state is kept."""
        super().__init__(STOPPED_EXIT_CODE)
        state = f"goes on from {saved}" if saved else "begins anew, since nothing was saved"
        self.message = f"ended by {name} after step {step}; the next try {state}"
        log.warning("%s", self.message)


class Ear:
    """Hears signals and tells of them when asked."""

    def __init__(self) -> None:
        """Hear nothing yet."""
        self.heard = ""

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Note the signal's name; the step at hand goes on."""
        self.heard = signal.Signals(number).name


@contextmanager
def listening() -> Iterator[Ear]:
    """Hear the signals that end a training, inside the block; outside they act as before.

    Python hears signals in its main thread only; a training in another one is not ended by them.
    """
    ear = Ear()
    if threading.current_thread() is not threading.main_thread():
        yield ear
        return
    before = {number: signal.signal(number, ear) for number in HEARD}
    try:
        yield ear
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class DivergedError(ValueError):
    """Loss or gradient is not finite; another try would end the same way."""


class DivergenceNote:
    """The note that a training with these settings comes to numbers that are not finite."""

    def __init__(self, output: Path, *, made_with: str) -> None:
        """Name the note beside ``output``; one made with other settings or inputs is void."""
        self.path, self._made_with = output.parent / "partial" / "diverged.json", made_with

    def refuse_another_try(self) -> None:
        """End at once what has failed before.

        Raises:
            DivergedError: If there is a note of the same settings and inputs.
        """
        if not self.path.is_file():
            return
        note = self._read()
        if note.get("made_with") == self._made_with:
            raise DivergedError(
                f"{note['message']}\nThis is of an earlier try with the same settings, and another "
                f"one would end the same way; to try nevertheless, remove {self.path}"
            )
        self.path.unlink()

    def _read(self) -> dict[str, str]:
        try:
            note = json.loads(self.path.read_text(encoding="utf-8"))
        except ValueError:
            log.warning("%s is damaged and is removed; the training goes on", self.path)
            return {}
        return note if isinstance(note, dict) else {}

    def write(self, message: str) -> None:
        """Keep the message for the next try."""
        note = {"made_with": self._made_with, "message": message}
        write_text(self.path, json.dumps(note, indent=2))


@contextmanager
def alone(checkpoint: Path) -> Iterator[None]:
    """Keep a second job from training into the same folder, as long as the block runs.

    A job may outlive the workflow that started it, and the workflow may be started again.

    Raises:
        ValueError: If another process trains into this folder.
    """
    if own_rank() > 0:
        yield
        return
    path = checkpoint.parent / "partial" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=PATIENCE_SECONDS):
            yield
    except Timeout:
        raise ValueError(
            f"another process is training into {checkpoint.parent}, perhaps of a workflow that was "
            f"killed; wait for it or end it (`fuser {path}` names it), then run again"
        ) from None
