"""One process of a training of several: `torchrun -m gram.training.worker job.json`."""

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from gram.jobs import TrainSettings
from gram.tracking import tracker_of_run
from gram.training.loop import train
from gram.training.means import Means
from gram.training.preparation import TrainingFiles
from gram.training.stopping import StoppedTraining

LOOK_SECONDS = 1.0
"""Seconds between two looks at whether this process is to end."""


def main(path: Path) -> None:
    """Train as the file says, in the process group of the environment."""
    job = json.loads(path.read_text(encoding="utf-8"))
    rank = int(os.environ["RANK"])
    logging.basicConfig(
        level=logging.WARNING,
        stream=sys.stderr,
        format=f"%(asctime)s %(levelname)s %(name)s, process {rank}: %(message)s",
    )
    if rank == 0:
        logging.getLogger("gram").setLevel(logging.INFO)
    told = (Path(job["stop"]), job["launcher"])
    threading.Thread(target=_end_when_told, args=told, daemon=True).start()
    try:
        with process_group(has_gpu=job["has_gpus"]) as device:
            _train(job, device)
    except StoppedTraining as stop:
        _note(path, stop.message, is_stopped=True)
        raise
    except (ValueError, OSError) as error:
        _note(path, str(error), is_stopped=False)
        raise


@contextmanager
def process_group(*, has_gpu: bool) -> Iterator[torch.device]:
    """Join the group that the launcher describes; give this process's device."""
    device = torch.device("cpu")
    if has_gpu:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        if not torch.cuda.is_available() or device.index >= torch.cuda.device_count():
            raise ValueError(
                f"process {os.environ['LOCAL_RANK']} of this node needs a GPU of its own, and "
                f"torch sees {torch.cuda.device_count()}; look at the driver and at "
                "CUDA_VISIBLE_DEVICES, or set gpu of the rule to the number that there is"
            )
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if has_gpu else "gloo")
    try:
        yield device
    finally:
        distributed.destroy_process_group()


def _train(job: dict[str, Any], device: torch.device) -> None:
    means = Means.of_rule(job["resources"], device=device, threads=job["threads"])
    given = {name: Path(value) for name, value in job["files"].items() if value is not None}
    files = TrainingFiles(
        index=given["index"],
        vocabulary=given.get("vocabulary"),
        start=given.get("start"),
        checkpoint=given["checkpoint"],
    )
    with tracker_of_run(job["tracking"] if distributed.get_rank() == 0 else None) as tracker:
        train(TrainSettings.model_validate(job["settings"]), files, means, tracker=tracker)


def _note(job: Path, message: str, *, is_stopped: bool) -> None:
    """Tell the launching process why this one ends, unless another one has done so."""
    try:
        with job.with_name("ended.json").open("x", encoding="utf-8") as file:
            json.dump({"message": message, "is_stopped": is_stopped}, file)
    except (FileExistsError, FileNotFoundError):  # or nobody waits for it any more
        pass


def _end_when_told(stop: Path, launcher: int | None) -> None:
    """Ask this process to end after its step when a file is there, or who started all is gone."""
    while not stop.exists() and (launcher is None or _is_alive(launcher)):
        time.sleep(LOOK_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main(Path(sys.argv[1]))
