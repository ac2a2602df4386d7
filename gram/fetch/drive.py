"""A file on Google Drive, by gdown, which knows the page that asks whether one is sure."""

import logging
from pathlib import Path

import gdown
import requests

from gram.data.status import Status
from gram.fetch.download import Expected, Fetched, accept, check_present, only_one
from gram.fetch.errors import FetchError
from gram.files import full_disk_explained

log = logging.getLogger(__name__)

ADDRESS = "https://drive.google.com/uc?id={id}"


def fetch_from_drive(
    file_id: str, target: Path, *, expected: Expected, address: str = ADDRESS
) -> Fetched:
    """Bring a file here that everybody may read; what came of it before is gone on with.

    Args:
        file_id: Its id.
        target: Where it shall be. Nothing has this name before it is whole and checked.
        expected: What is known of it.
        address: Where files are, with ``{id}``.

    Raises:
        FetchError: If it cannot be had, or is not what was expected.
        DiskFullError: If the disk is full.
    """
    url = address.replace("{id}", file_id)
    with full_disk_explained(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        with only_one(target):
            if target.exists():
                return check_present(target, expected)
            came = _download(url, target.with_name(f".{target.name}.drive"))
            return accept(came, target, expected=expected, origin=url)


def _download(url: str, to: Path) -> Path:
    log.info("fetching %s by gdown", url)
    try:
        gdown.download(
            url, str(to), quiet=True, resume=True, use_cookies=False, timeout=60.0, retries=5
        )
    except gdown.exceptions.DownloadError as error:
        said = " ".join(str(error).split())
        raise FetchError(
            f"{url} cannot be fetched: {said}. Drive refuses files that many people asked for "
            "today: try again tomorrow, or fetch it in a browser and put it in place by hand",
            status=Status.THROTTLED,
        ) from error
    except requests.RequestException as error:
        raise FetchError(
            f"{url} breaks the connection ({type(error).__name__}: {error}); start again",
            status=Status.NETWORK,
        ) from error
    return to
