"""Extracted frames of a chunk -> depth maps, by a model such as Depth Anything.

Shape letters: F frames, H and W pixels of a frame.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from transformers import AutoImageProcessor, AutoModelForDepthEstimation

from gram.config import EstimateConfig
from gram.data.depth import NOT_USABLE, DepthMaps, Lacking, scaled_maps, write_depth
from gram.data.status import Status
from gram.data.tables import Row, read_rows
from gram.data.tars import Archive
from gram.perception.models import Source, identity, load
from gram.progress import track

Frame = NDArray[np.uint8]


def estimate_depth(
    settings: EstimateConfig,
    *,
    extracted: Path,
    extraction_table: Path,
    archive: Path,
    table: Path,
    device: torch.device,
) -> None:
    """Estimate depth in all kept frames of one chunk's clips.

    There is one map a frame, of its size. On a CPU the same input gives the same bytes.

    Args:
        settings: The model, and how many frames it sees at a time.
        extracted: Tar of ``extract_chunk``.
        extraction_table: Its table.
        archive: Tar to write, as ``gram.data.depth.write_depth`` does.
        table: Parquet file with the columns of ``gram.data.depth.DEPTH``: one row a row of
            ``extraction_table``.
        device: Where to compute.

    Raises:
        ValueError: If the model cannot be read or used, or the archive is damaged.
    """
    rows = read_rows(extraction_table)
    estimator = Estimator(settings, device)
    label = f"estimating depth of {archive.parent.name} {archive.stem}"
    with Archive(extracted) as clips:
        todo = track(rows, total=len(rows), label=label, unit="clips")
        maps = (_maps_of(row, clips, estimator) for row in todo)
        write_depth(rows, maps, archive=archive, table=table)


def _maps_of(row: Row, clips: Archive, estimator: "Estimator") -> DepthMaps | Lacking:
    if row["status"] != Status.OK:
        return NOT_USABLE
    if not row["has_video"]:
        return Lacking(Status.NO_VIDEO, "the clip has no frames")
    frames = list(_frames(clips, row))
    try:
        return scaled_maps(estimator.estimate(frames), origin=estimator.name)
    except ValueError as error:
        reason = f"the estimate of {estimator.name} cannot be used: {error}"
        return Lacking(Status.UNREADABLE, reason)


def _frames(clips: Archive, row: Row) -> Iterator[Frame]:
    """Decode the kept frames of a clip, each of shape (H, W, 3)."""
    content, start = clips.need(f"{row['key']}.jpgs"), 0
    for size in clips.need_record(row["key"], row["clip_id"])["jpgs_sizes"]:
        yield simplejpeg.decode_jpeg(content[start : start + size], "RGB")
        start += size


class Estimator:
    """A depth model with its image processor.

    Attributes:
        name: Name and version of the model.
    """

    def __init__(self, settings: EstimateConfig, device: torch.device) -> None:
        """Read the model.

        Raises:
            ValueError: If it is not there, estimates no depth, or gives distances while the
                settings say that larger is nearer.
        """
        source = Source(settings.model, settings.revision, "depth.estimate.model")
        builders = (AutoModelForDepthEstimation.from_pretrained, AutoImageProcessor.from_pretrained)
        model, self._processor = load(source, *builders, dtype=torch.float32)
        _check_direction(model.config, settings)
        self._model, self._settings, self._device = model.to(device), settings, device
        self.name = identity(source, model)

    @torch.inference_mode()
    def estimate(self, frames: Sequence[Frame]) -> list[NDArray[np.float64]]:
        """Estimate depth in frames of one size.

        Args:
            frames: Frames, uint8, each of shape (H, W, 3).

        Returns:
            A map a frame, shape (H, W), larger is nearer, in the model's own unit; the negative
            of it where the model gives distances.
        """
        size = self._settings.frames
        starts = range(0, len(frames), size)
        maps = [one for start in starts for one in self._of_batch(frames[start : start + size])]
        return [-one for one in maps] if self._settings.larger_is == "farther" else maps

    def _of_batch(self, frames: Sequence[Frame]) -> list[NDArray[np.float64]]:
        inputs = self._processor(images=list(frames), return_tensors="pt")
        outputs = self._model(pixel_values=inputs["pixel_values"].to(self._device))
        sizes = [frame.shape[:2] for frame in frames]
        given = self._processor.post_process_depth_estimation(outputs, target_sizes=sizes)
        return [one["predicted_depth"].double().cpu().numpy() for one in given]


def _check_direction(config: Any, settings: EstimateConfig) -> None:  # noqa: ANN401 - untyped
    """Refuse a metric model whose distances would be taken for nearness."""
    kind = getattr(config, "depth_estimation_type", "relative")
    if kind == "metric" and settings.larger_is == "nearer":
        raise ValueError(
            f"depth.estimate.model {settings.model} is metric: it gives distances, while "
            "depth.estimate.larger_is says nearer; set that to farther, or name a relative model"
        )
