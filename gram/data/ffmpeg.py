"""The ffmpeg program: where it is, and how it is run so that no file can stall or mislead a job."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

import imageio_ffmpeg

VARIABLE = "GRAM_FFMPEG"
"""Environment variable that names the program, before any other is looked for."""

FORMAT_WHITELIST = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpeg,mpegts,asf,ogg,gif,mp3,aac,flac,wav,aiff,"
    "bmp_pipe,jpeg_pipe,png_pipe,tiff_pipe,webp_pipe"
)
"""Containers that are read. A playlist or script by the name of a clip would open other files."""

PROTOCOL_WHITELIST = "file"
"""Where a container may read from: no network, no pipe."""

MAX_PIXELS = 2**26
"""Pixels of the largest picture that is decoded, 8192 x 8192: a decoder holds up to 17 of them."""

MAX_LINES = 200
"""Lines of the program's messages that are kept; the newest ones."""

_ADDRESS = re.compile(r" @ 0x[0-9a-f]+")
_USELESS = re.compile(
    r"^(Conversion failed!|Error opening (input|output) files?\b.*|Nothing was written into .*"
    r"|.*\bError (submitting a? ?packet to|processing packet in) decoder\b.*"
    r"|.*\b(Task finished with error code|Terminating thread with return code)\b.*)$"
)


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What a run of ffmpeg left behind.

    Attributes:
        returncode: Exit status; negative: the signal that ended it.
        messages: Last lines of standard error that say something, without memory addresses.
        num_messages: Number of all such lines.
        is_timed_out: Whether it was killed at the limit.
    """

    returncode: int
    messages: tuple[str, ...]
    num_messages: int
    is_timed_out: bool

    @property
    def last_message(self) -> str:
        """The last line that says something, or the exit status where there is none."""
        return self.messages[-1] if self.messages else f"ffmpeg ended with {self.returncode}"


def find_ffmpeg() -> Path:
    """Find the program: the one that ``GRAM_FFMPEG`` names, else the system's, else the package's.

    Raises:
        ValueError: If ``GRAM_FFMPEG`` names no program, or there is none at all.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if not (Path(named).is_file() and os.access(named, os.X_OK)):
            what = "cannot be executed" if Path(named).is_file() else "is not a file"
            raise ValueError(
                f"{VARIABLE} is {named!r}, which {what}; set it to the path of the ffmpeg program, "
                "or unset it to use the one that is installed"
            )
        return Path(named).absolute()
    if on_path := shutil.which("ffmpeg"):
        return Path(on_path).absolute()
    try:
        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError as error:
        raise ValueError(
            f"no ffmpeg: {VARIABLE} is not set, PATH ({os.environ.get('PATH', '')}) has none, and "
            "the package imageio-ffmpeg brings none for this machine; install ffmpeg, or set "
            f"{VARIABLE} to its path"
        ) from error


def ffmpeg_version() -> str:
    """Give the version of the program that ``find_ffmpeg`` finds: ``"5.1.9-0+deb12u1"``.

    Raises:
        ValueError: If there is no program, or it does not say a version.
    """
    return _version_of(find_ffmpeg())


@cache
def _version_of(program: Path) -> str:
    try:
        said = subprocess.run(
            [program, "-version"], capture_output=True, timeout=60, check=True
        ).stdout.decode(errors="replace")
    except (OSError, subprocess.SubprocessError) as error:
        raise ValueError(f"{program} -version failed: {error}; install a working ffmpeg") from error
    match = re.match(r"ffmpeg version (\S+)", said)
    if match is None:
        raise ValueError(
            f"{program} -version says {said[:80]!r}, which is not ffmpeg's form; set {VARIABLE} to "
            "the path of the ffmpeg program"
        )
    return match[1]


def run(
    arguments: Sequence[str | Path],
    *,
    timeout_seconds: float,
    folder: Path | None = None,
    given: bytes | None = None,
    read_output: Callable[[IO[bytes]], None] | None = None,
) -> Finished:
    """Run a program, and kill it and its children at the time limit.

    Args:
        arguments: The program and its arguments, never a shell line.
        timeout_seconds: Wall-clock limit.
        folder: Where it runs, and where relative names of outputs lead.
        given: Standard input; None: it has none. It is written whole before any output is read,
            so a program that writes to standard output meanwhile would wait for ever.
        read_output: Is given standard output while the program runs; it should read to the end.

    Returns:
        How it ended. A failure is not raised: the caller knows what it means.

    Raises:
        OSError: If the program cannot be started.
        Exception: Whatever ``read_output`` raises; the program is killed then.
    """
    process = subprocess.Popen(
        [os.fspath(argument) for argument in arguments],
        stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
        stdout=subprocess.DEVNULL if read_output is None else subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=folder,
        process_group=0,
    )
    messages = _Messages(process)
    with _killed_in_the_end(process, timeout_seconds) as is_timed_out:
        if given is not None and process.stdin is not None:
            with contextlib.suppress(BrokenPipeError), process.stdin:  # it ended; its status says
                process.stdin.write(given)
        if read_output is not None and process.stdout is not None:
            read_output(process.stdout)
            process.stdout.close()
        returncode = process.wait()
        messages.thread.join(timeout=10)  # only a child that left the group could hold it open
    return Finished(
        returncode=returncode,
        messages=tuple(messages.lines),
        num_messages=messages.count,
        is_timed_out=is_timed_out.is_set() and returncode != 0,
    )


class _Messages:
    """Reads a program's standard error in a thread, so that the program never waits for it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.lines: deque[str] = deque(maxlen=MAX_LINES)
        self.count = 0
        self.thread = threading.Thread(target=self._read, args=(process.stderr,), daemon=True)
        self.thread.start()

    def _read(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                text = _ADDRESS.sub("", line.decode(errors="replace")).strip()
                if text and not _USELESS.match(text):
                    self.lines.append(text)
                    self.count += 1


@contextlib.contextmanager
def _killed_in_the_end(
    process: subprocess.Popen[bytes], timeout_seconds: float
) -> Iterator[threading.Event]:
    """Kill the process group after the limit, or when the block is left and it still runs."""
    is_timed_out = threading.Event()

    def stop() -> None:
        is_timed_out.set()
        _kill_group(process)

    timer = threading.Timer(timeout_seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield is_timed_out
    finally:
        timer.cancel()
        if process.poll() is None:
            _kill_group(process)
            process.wait()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
