"""A tree in which the paper's runs can be planned: every file that is brought, empty."""

from collections.abc import Callable
from pathlib import Path

from gram.config import Config


def make_paper_tree(folder: Path, copy_checkout: Callable[[Path], Path], config: Config) -> Path:
    """Copy the project, and make annotations, weights and tables of clips, all of them empty.

    Args:
        folder: Where the copy goes.
        copy_checkout: Copies the project.
        config: Settings whose files are made; each chunk of a data set has its table of clips.
    """
    tree = copy_checkout(folder)
    for weights in config.weights.values():
        for path in (*weights.files.values(), weights.vocabulary):
            _touch(tree / path)
    for dataset in config.datasets.values():
        for paths in dataset.annotations.values():
            for path in paths:
                _touch(tree / path)
        _touch(tree / dataset.media / "of_no_clip.mp4")  # a folder without media is a mistake
    for name, dataset in config.datasets.items():  # after what they are made of
        _touch(tree / f"results/clips/{name}.parquet")
        for chunk in range(dataset.chunks):
            _touch(tree / f"results/clips/{name}/{chunk:04d}.parquet")
    return tree


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
