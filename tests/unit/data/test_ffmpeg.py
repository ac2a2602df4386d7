import os
import sys
import time
from pathlib import Path
from typing import IO

import pytest

from gram.data.ffmpeg import ffmpeg_version, find_ffmpeg, run


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRAM_FFMPEG", raising=False)


def test_the_variable_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = script(tmp_path / "mine", "exit 0")
    monkeypatch.setenv("GRAM_FFMPEG", str(program))
    assert find_ffmpeg() == program


def test_then_the_system_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = script(tmp_path / "ffmpeg", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_ffmpeg() == program


def test_then_the_package_brings_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "imageio_ffmpeg" in str(find_ffmpeg())


def test_a_variable_that_names_nothing_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAM_FFMPEG", "/no/ffmpeg")
    with pytest.raises(
        ValueError, match="GRAM_FFMPEG is '/no/ffmpeg', which is not a file; set it"
    ):
        find_ffmpeg()


def test_a_variable_that_names_no_program_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").write_text("x")
    monkeypatch.setenv("GRAM_FFMPEG", str(tmp_path / "text"))
    with pytest.raises(ValueError, match="which cannot be executed; set it"):
        find_ffmpeg()


def test_a_machine_without_any_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", none)
    monkeypatch.setenv("PATH", "/nowhere")
    words = r"no ffmpeg: GRAM_FFMPEG is not set, PATH \(/nowhere\) has none, .* install ffmpeg"
    with pytest.raises(ValueError, match=words):
        find_ffmpeg()


def test_the_version_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = script(tmp_path / "mine", "echo 'ffmpeg version 5.1.9-0+deb12u1 Copyright (c)'")
    monkeypatch.setenv("GRAM_FFMPEG", str(program))
    assert ffmpeg_version() == "5.1.9-0+deb12u1"


def test_another_program_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAM_FFMPEG", str(script(tmp_path / "mine", "echo avconv 12")))
    with pytest.raises(ValueError, match=r"says 'avconv 12\\n', which is not ffmpeg's form"):
        ffmpeg_version()


def test_a_program_that_fails_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAM_FFMPEG", str(script(tmp_path / "mine", "exit 3")))
    with pytest.raises(ValueError, match=r"mine -version failed: .* install a working ffmpeg"):
        ffmpeg_version()


def test_output_is_read_while_the_program_runs(tmp_path: Path) -> None:
    parts: list[bytes] = []

    def read(stream: IO[bytes]) -> None:
        parts.extend(stream)

    program = script(tmp_path / "a", "echo one; echo two")
    finished = run([program], timeout_seconds=10, read_output=read)
    assert (parts, finished.returncode) == ([b"one\n", b"two\n"], 0)


def test_messages_lose_addresses_and_empty_phrases(tmp_path: Path) -> None:
    said = "echo '[h264 @ 0x55f] bad' >&2; echo >&2; echo 'Conversion failed!' >&2; exit 1"
    finished = run([script(tmp_path / "a", said)], timeout_seconds=10)
    assert (finished.returncode, finished.messages, finished.num_messages) == (
        1,
        ("[h264] bad",),
        1,
    )


def test_a_program_that_says_nothing_leaves_its_exit_status(tmp_path: Path) -> None:
    finished = run([script(tmp_path / "a", "exit 7")], timeout_seconds=10)
    assert finished.last_message == "ffmpeg ended with 7"


def test_a_flood_of_messages_is_counted_and_its_end_kept() -> None:
    code = "import sys; [print(n, file=sys.stderr) for n in range(10000)]"
    finished = run([sys.executable, "-c", code], timeout_seconds=60)
    assert (finished.num_messages, len(finished.messages)) == (10000, 200)
    assert finished.last_message == "9999"


def test_it_runs_in_the_folder_and_has_no_input(tmp_path: Path) -> None:
    run([script(tmp_path / "a", "cat > got; pwd >> got")], timeout_seconds=10, folder=tmp_path)
    assert (tmp_path / "got").read_text() == f"{tmp_path}\n"


def test_it_reads_what_it_is_given(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096  # more than a pipe holds
    run([script(tmp_path / "a", "cat > got")], timeout_seconds=10, folder=tmp_path, given=content)
    assert (tmp_path / "got").read_bytes() == content


def test_a_program_that_does_not_read_what_it_is_given_ends_as_it_would(tmp_path: Path) -> None:
    finished = run([script(tmp_path / "a", "exit 7")], timeout_seconds=10, given=bytes(2**20))
    assert (finished.returncode, finished.is_timed_out) == (7, False)


def test_the_limit_counts_while_the_input_is_written(tmp_path: Path) -> None:
    program = script(tmp_path / "a", "sleep 60")
    assert run([program], timeout_seconds=0.5, given=bytes(2**20)).is_timed_out


def is_alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_the_limit_kills_the_program_with_its_children(tmp_path: Path) -> None:
    program = script(tmp_path / "a", "sleep 60 & echo $! > child; wait")
    began = time.monotonic()
    finished = run([program], timeout_seconds=0.5, folder=tmp_path)
    assert finished.is_timed_out
    assert time.monotonic() - began < 10
    child = int((tmp_path / "child").read_text())
    while is_alive(child) and time.monotonic() - began < 10:
        time.sleep(0.01)  # a killed process is gone a moment after the signal
    assert not is_alive(child)


def test_an_error_of_the_reader_kills_the_program(tmp_path: Path) -> None:
    def fail(stream: IO[bytes]) -> None:
        stream.readline()
        raise KeyError("reader")

    program = script(tmp_path / "a", f"echo $$ > {tmp_path}/pid; echo x; sleep 60")
    with pytest.raises(KeyError, match="reader"):
        run([program], timeout_seconds=60, read_output=fail)
    assert not is_alive(int((tmp_path / "pid").read_text()))


def test_a_program_that_ends_in_time_is_not_timed_out(tmp_path: Path) -> None:
    assert not run([script(tmp_path / "a", "exit 1")], timeout_seconds=10).is_timed_out


def test_the_tests_run_beside_a_process_group_of_their_own(tmp_path: Path) -> None:
    run([script(tmp_path / "a", "ps -o pgid= -p $$ > got")], timeout_seconds=10, folder=tmp_path)
    assert int((tmp_path / "got").read_text()) != os.getpgrp()
