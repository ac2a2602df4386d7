"""VAST-27M, of which a part of 150,000 clips is pretrained on.

One form, upstream's and the owners' alike: a list of records with ``clip_id``, ``clip_span``,
``vast_cap`` and ``subtitle``, among them ``annotations150k.json``. A clip's media file is the clip
already and has its id as its name; ``clip_span`` says where in the video it was cut from.
"""

from gram.data.readers.forms import Format, Ids, ids_form, upstream_form

IDS = Ids(pattern=r"[\w-]{11}\.\d+", example="Wtll1g9i0M8.15")

VAST = Format(
    title="VAST-27M",
    clips=(upstream_form(IDS, text_key="vast_cap"),),
    lists=(ids_form(IDS),),
    advice="give annotations150k.json or another list of records with clip_id and vast_cap",
)
