"""How the run of a job is told of numbers, settings, facts, files and models."""

import logging
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from gram.tracking.unsent import Item

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

TOGETHER = {"number": 1000, "setting": 100}
"""Most items of a kind that a server takes at once; of other kinds it is one."""

LONGEST_SETTING = 6000
"""Letters that MLflow keeps of a setting."""

SHA256_TAG = "gram.sha256"
"""Tag of a model's version: SHA-256 of its checkpoint."""


class Sender:
    """Sends to one run."""

    def __init__(self, client: "MlflowClient", run_id: str) -> None:
        """Take the client, and a run that exists."""
        self.client, self.run_id = client, run_id

    def send(self, items: Sequence[Item]) -> None:
        """Send items of one kind, as ``batches_of`` gives them; whatever MLflow raises goes up."""
        kind, *first = items[0]
        match kind:
            case "number":
                self._send_numbers(items)
            case "setting":
                self._send_settings(items)
            case "fact":
                self.client.set_tag(self.run_id, str(first[0]), str(first[1]))
            case "file":
                self._send_file(Path(str(first[0])), folder=str(first[1]))
            case "model":
                self._register(str(first[0]), sha256=str(first[1]))

    def _send_numbers(self, items: Sequence[Item]) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(str(name), float(value), int(now), int(step))
            for _, name, value, now, step in items
        ]
        self.client.log_batch(self.run_id, metrics=metrics)

    def _send_settings(self, items: Sequence[Item]) -> None:
        from mlflow.entities import Param

        params = [Param(str(name), str(value)[:LONGEST_SETTING]) for _, name, value in items]
        self.client.log_batch(self.run_id, params=params)

    def _send_file(self, path: Path, *, folder: str) -> None:
        if not path.is_file():  # MLflow is not to blame, and may take the next one
            log.warning("%s is not there any more, and is not tracked", path)
            return
        self.client.log_artifact(self.run_id, str(path), folder or None)

    def _register(self, folder: str, *, sha256: str) -> None:
        """Make a folder of the run the newest version of its job's model, unless one has the same.

        The model is named as the job without its rule: ``gram-<run>`` where it was pretrained,
        ``gram-<run>-<benchmark>`` where it was finetuned.
        """
        from mlflow.exceptions import MlflowException

        run = self.client.get_run(self.run_id)
        name = "-".join(["gram", *run.data.tags["gram.key"].split()[1:]])
        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        made = self.client.search_model_versions(f"name = '{name}'")
        if any(version.tags.get(SHA256_TAG) == sha256 for version in made):
            return
        version = self.client.create_model_version(
            name,
            source=f"{run.info.artifact_uri}/{folder}",
            run_id=self.run_id,
            tags={SHA256_TAG: sha256},
        )
        log.info("registered as version %s of the model %s", version.version, name)


def batches_of(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Give items in their order, as many neighbors of one kind together as a server takes."""
    for kind, group in groupby(items, key=lambda item: str(item[0])):
        of_kind, most = list(group), TOGETHER.get(kind, 1)
        for first in range(0, len(of_kind), most):
            yield of_kind[first : first + most]
