"""Shards copied to a disk of the node, for as long as a training reads them.

The disk is where temporary files go: TMPDIR, which Snakemake sets to the resource `tmpdir`. What a
killed training left there is removed by the next one that comes to the node.
"""

import logging
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from gram.files import atomic_path, full_disk_explained
from gram.progress import track

log = logging.getLogger(__name__)

SPARE_BYTES = 2**30
"""What stays free on the disk, for what else is written there."""

LOOK_SECONDS = 0.5
"""Seconds between two looks at whether the shards are there, of processes that copy none."""


@contextmanager
def staged(folder: Path, shards: Collection[str]) -> Iterator[Path]:
    """Copy shards to the node's disk, give the folder that they are in, and remove it at the end.

    Of several processes that one launcher started on a node, the first one copies, and the others
    wait for it.

    Args:
        folder: Folder of the shards.
        shards: Their file names.

    Raises:
        ValueError: If the disk has too little space for them.
        FileNotFoundError: If a shard is not there.
        DiskFullError: If the disk was filled by others meanwhile.
    """
    local_rank = os.environ.get("LOCAL_RANK")
    owner = os.getpid() if local_rank is None else os.getppid()
    root = Path(tempfile.gettempdir()) / f"gram-shards-{os.getuid()}"
    copy = root / f"{socket.gethostname()}-{owner}"
    ready = copy / "ready"
    if local_rank not in {None, "0"}:
        while not ready.exists():
            time.sleep(LOOK_SECONDS)
        yield copy
        return
    with _owned(root, copy):
        _copy_all(folder, sorted(shards), copy)
        ready.touch()
        yield copy


@contextmanager
def _owned(root: Path, copy: Path) -> Iterator[None]:
    """Hold a new folder, whose lock tells others that its owner lives; remove it at the end."""
    with full_disk_explained(root):
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = _lock_of(copy)
        with FileLock(root / "all.lock"):  # what one removes as left behind is not made by another
            _remove_what_dead_ones_left(root)
            own.acquire()
        copy.mkdir()
    try:
        yield
    finally:
        shutil.rmtree(copy, ignore_errors=True)
        own.release()


def _lock_of(copy: Path) -> FileLock:
    return FileLock(copy.with_name(f"{copy.name}.lock"))


def _remove_what_dead_ones_left(root: Path) -> None:
    """Remove folders of this node whose lock nobody holds: the kernel frees that of a dead one."""
    for file in root.glob(f"{socket.gethostname()}-*.lock"):
        copy = file.with_suffix("")
        try:
            with FileLock(file, timeout=0):
                if copy.is_dir():
                    log.info("removing shards that a killed training left in %s", copy)
                    shutil.rmtree(copy)
                file.unlink(missing_ok=True)
        except Timeout:
            continue


def _copy_all(folder: Path, shards: list[str], copy: Path) -> None:
    sizes = {shard: (folder / shard).stat().st_size for shard in shards}
    needed, free = sum(sizes.values()) + SPARE_BYTES, shutil.disk_usage(copy).free
    if needed > free:
        raise ValueError(
            f"the {len(shards)} shards of {folder} that are read need {needed / 2**30:.1f} GiB on "
            f"the disk of {copy.parent}, and {free / 2**30:.1f} GiB are free; set `tmpdir` of the "
            "rule in the profile's set-resources to a folder on a larger disk of the nodes, or "
            "stage_shards to 0, to read them where they are"
        )
    label = f"copying shards to {copy}"
    for shard in track(shards, total=len(shards), label=label, unit="shards"):
        with atomic_path(copy / shard) as part:
            shutil.copyfile(folder / shard, part)
