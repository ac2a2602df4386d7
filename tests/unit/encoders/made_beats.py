"""Sizes of a tiny BEATs."""

from gram.encoders.beats import BeatsSizes


def sizes(
    *, depth: int = 2, layer_drop: float = 0.0, gradient_decay: float = 0.6, **others: int
) -> BeatsSizes:
    """Give sizes of which hardly two are the same; ``others`` replace what is fixed here."""
    fixed = {
        "patch": 16,
        "patch_width": 20,
        "width": 24,
        "heads": 2,
        "mlp_width": 32,
        "position_kernel": 4,
        "position_groups": 3,
        "buckets": 8,
        "max_distance": 6,
    }
    return BeatsSizes(
        depth=depth,
        dropout=0.0,
        layer_drop=layer_drop,
        gradient_decay=gradient_decay,
        **{**fixed, **others},
    )
