"""Readers of the annotations of every data set of the paper, and of own clips."""

from gram.data.readers.activitynet import ACTIVITYNET
from gram.data.readers.audiocaps import AUDIOCAPS
from gram.data.readers.clotho import CLOTHO
from gram.data.readers.didemo import DIDEMO
from gram.data.readers.forms import Format
from gram.data.readers.karpathy import FLICKR30K, MSCOCO
from gram.data.readers.lsmdc import LSMDC
from gram.data.readers.msrvtt import MSRVTT
from gram.data.readers.valor32k import VALOR32K
from gram.data.readers.vast import VAST
from gram.data.readers.vatex import VATEX
from gram.data.readers.vggsound import VGGSOUND
from gram.data.readers.youcook2 import YOUCOOK2

FORMATS: dict[str, Format] = {
    "activitynet": ACTIVITYNET,
    "audiocaps": AUDIOCAPS,
    "clotho": CLOTHO,
    "didemo": DIDEMO,
    "flickr30k": FLICKR30K,
    "lsmdc": LSMDC,
    "mscoco": MSCOCO,
    "msrvtt": MSRVTT,
    "valor32k": VALOR32K,
    "vast": VAST,
    "vatex": VATEX,
    "vggsound": VGGSOUND,
    "youcook2": YOUCOOK2,
}
"""Published data sets by the name that ``datasets.<name>.format`` gives them."""
