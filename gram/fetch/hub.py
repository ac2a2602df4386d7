"""A file of a repository on Hugging Face, by its own client, which resumes and knows tokens."""

import logging
import shutil
from pathlib import Path

from huggingface_hub import errors, hf_hub_download

from gram.config.sources import HubSource
from gram.data.status import Status
from gram.fetch.download import Expected, Fetched, accept, check_present, only_one
from gram.fetch.errors import FetchError
from gram.files import full_disk_explained

log = logging.getLogger(__name__)


def fetch_from_hub(
    source: HubSource, target: Path, *, expected: Expected, endpoint: str | None = None
) -> Fetched:
    """Bring a file here; what came of it before is gone on with.

    Args:
        source: Repository, revision and path.
        target: Where it shall be. Nothing has this name before it is whole and checked.
        expected: What is known of it.
        endpoint: Address of the hub; None: the one that the environment names, or the public one.

    Raises:
        FetchError: If it cannot be had, or is not what was expected.
        DiskFullError: If the disk is full.
    """
    with full_disk_explained(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        with only_one(target):
            if target.exists():
                return check_present(target, expected)
            folder = target.with_name(f".{target.name}.hub")
            came = _download(source, folder, endpoint=endpoint)
            fetched = accept(came, target, expected=expected, origin=_page(source))
            shutil.rmtree(folder)
            return fetched


def _download(source: HubSource, folder: Path, *, endpoint: str | None) -> Path:
    path, page = source.path or source.file, _page(source)
    log.info("fetching %s of %s by huggingface_hub", path, page)
    try:
        return Path(
            hf_hub_download(
                source.repo,
                path,
                repo_type=source.repo_type,
                revision=source.revision,
                local_dir=folder,
                endpoint=endpoint,
            )
        )
    except errors.GatedRepoError as error:
        raise FetchError(
            f"{page} is for those who agreed to its terms: do so there, and set HF_TOKEN to a "
            "token of your account",
            status=Status.PRIVATE,
        ) from error
    except (
        errors.RepositoryNotFoundError,
        errors.RevisionNotFoundError,
        errors.RemoteEntryNotFoundError,
    ) as error:
        raise FetchError(
            f"{page} has no {path} at {source.revision}; look there, and correct the table of "
            "sources",
            status=Status.DEAD,
        ) from error
    except (errors.HfHubHTTPError, errors.LocalEntryNotFoundError, ConnectionError) as error:
        said = " ".join(str(error).split())[:300]
        raise FetchError(
            f"{page} cannot be reached ({type(error).__name__}: {said}); start again later",
            status=Status.NETWORK,
        ) from error


def _page(source: HubSource) -> str:
    kind = "datasets/" if source.repo_type == "dataset" else ""
    return f"https://huggingface.co/{kind}{source.repo}"
