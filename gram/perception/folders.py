"""Files of models that stand in folders: what rules watch for changes. Loads no torch."""

from pathlib import Path


def model_files(model: str, *, setting: str) -> list[str]:
    """List the files of a model's folder, in order; none for a name on the hub.

    Args:
        model: A folder, or a name on the hub: ``owner/name``, or ``name`` alone.
        setting: The setting that names it, for the message.

    Raises:
        ValueError: If it is the path of a folder that is not there.

    Example:
        >>> model_files("openai/whisper-small", setting="subtitles.speech.model")
        []
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        files = (path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
        return sorted(str(path) for path in files)
    if model.startswith((".", "/", "~")) or model.count("/") > 1:
        raise ValueError(
            f"{setting} is {model!r}, where no folder is; fetch a model on a machine with network "
            f"by `hf download OWNER/NAME --local-dir {model}`, or give the path of one that you "
            "have, or its name on the hub"
        )
    return []
