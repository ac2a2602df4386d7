"""GRAM: align text, video, audio, subtitles and depth by the volume that their embeddings span."""

__version__ = "0.1.0"
