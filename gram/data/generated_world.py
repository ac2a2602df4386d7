"""What the generated clips show, sound like, say and how deep they are, and how captions tell it.

Four named factors of five values each. Every one can be perceived in one modality only: the color
in the picture, the pitch in the sound, the topic in the subtitle, the place that is near in the
depth maps. Captions name all four, so a caption finds its clip only by all modalities together.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gram.config import GeneratedDataset

CAPTIONS_PER_CLIP = 3
"""Captions that each clip gets; no two of one clip share a template."""

COLORS: dict[str, tuple[str, ...]] = {
    "red": ("red", "crimson", "scarlet"),
    "yellow": ("yellow", "golden", "lemon"),
    "green": ("green", "emerald", "lime"),
    "blue": ("blue", "navy", "cobalt"),
    "magenta": ("magenta", "purple", "fuchsia"),
}
"""Colors of what moves, 72 degrees of hue apart, and the words for them."""

PITCHES: dict[str, tuple[str, ...]] = {
    "bass": ("bass", "rumbling", "booming"),
    "baritone": ("baritone", "low", "dark"),
    "tenor": ("tenor", "medium", "mellow"),
    "soprano": ("soprano", "high", "ringing"),
    "piccolo": ("piccolo", "shrill", "piercing"),
}
"""Pitches from low to high and the words for them."""

TOPICS: dict[str, tuple[str, ...]] = {
    "cooking": ("cooking", "a recipe", "the kitchen"),
    "weather": ("the weather", "the forecast", "rain and wind"),
    "sport": ("sport", "football", "the match"),
    "garden": ("gardening", "plants", "flowers"),
    "space": ("space", "the planets", "astronomy"),
}
"""Topics of the subtitle and the words for them."""

PLACES: dict[str, tuple[str, ...]] = {
    "top": ("at the top", "along the upper part", "overhead"),
    "bottom": ("at the bottom", "along the lower part", "underneath"),
    "middle": ("in the middle", "at the center", "in the heart of the view"),
    "sides": ("on both sides", "at the left and the right", "on either flank"),
    "corners": ("in the corners", "in all four corners", "in every corner"),
}
"""Places that are near and the words for them; mirroring left to right changes none of them."""

TEMPLATES: tuple[str, ...] = (
    "a {color} {thing} moves while a {pitch} tone plays, talk about {topic}, near {place}",
    "while someone speaks of {topic} a {color} {thing} drifts by, {pitch} sound, close {place}",
    "a {pitch} sound, a {color} {thing}, words about {topic}, and nearness {place}",
    "it comes close {place} as a {color} {thing} wanders to a {pitch} note; they discuss {topic}",
    "the talk is of {topic}, the tone is {pitch}, what moves is {color}, and near is {place}",
    "with a {pitch} hum a {color} {thing} travels across, close {place}, and they mention {topic}",
    "{place} it is near, the {thing} is {color}, the noise is {pitch}, the speech is on {topic}",
    "someone explains {topic} over a {pitch} tone and a {color} {thing}; it is closest {place}",
    "one hears a {pitch} note and words on {topic}, sees a {color} {thing}, and feels near {place}",
    "a clip on {topic}: it shows something {color}, sounds {pitch}, and comes near {place}",
    "the nearest part lies {place}; a {color} {thing} passes; talk of {topic}, {pitch} tone",
    "a {color} {thing} floats around, near {place}, the tone is {pitch}, the words concern {topic}",
    "hear the {pitch} sound and a story about {topic} as a {color} {thing} moves; close by {place}",
    "near {place}, far elsewhere: a {pitch} tone, a {color} {thing}, and chatting about {topic}",
)
"""Captions with a slot for each named factor; their order varies."""

THINGS: tuple[str, ...] = ("shape", "thing", "object", "figure")
"""Words for what moves, whatever its shape."""

SENTENCES: dict[str, tuple[str, ...]] = {
    "cooking": (
        "Stir the {a} slowly, then add a little {b}.",
        "We let the {a} simmer before we serve it with {b}.",
        "You need {a}, {b} and a sharp knife.",
        "My grandmother always put {b} into the {a}.",
    ),
    "weather": (
        "Expect {a} by the evening and {b} tomorrow.",
        "After days of {a} we finally get some {b}.",
        "There will be {a} inland, so take care in the {b}.",
        "It has not been this mild since the {b} before the {a}.",
    ),
    "sport": (
        "The {a} runs past two players and waves to the {b}.",
        "What a save by the {a}, and the {b} goes wild!",
        "Before half time the {a} argued with the {b}.",
        "Training is hard, says the {a}, and the {b} agrees.",
    ),
    "garden": (
        "Water the {a} in the morning and then check the {b}.",
        "I planted {a} next to the {b} this spring.",
        "Snails eat the {a}, so I keep them away with {b}.",
        "Cut back the {a} after the bloom and spread the {b}.",
    ),
    "space": (
        "The {a} circles its star together with its {b}.",
        "Through the telescope we saw a {a} and its {b}.",
        "The probe sent pictures of the {a} and of the {b}.",
        "Nobody knows how the {a} got its {b}.",
    ),
}
"""Sentences of each topic with two slots."""

WORDS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "cooking": (
        ("soup", "sauce", "onions", "lentils", "stew"),
        ("garlic", "salt", "butter", "pepper", "parsley"),
    ),
    "weather": (
        ("storms", "drizzle", "fog", "snow", "frost"),
        ("sunshine", "thunder", "hail", "showers", "heat"),
    ),
    "sport": (
        ("striker", "goalkeeper", "captain", "defender", "coach"),
        ("referee", "crowd", "bench", "stadium", "team"),
    ),
    "garden": (
        ("lavender", "basil", "roses", "tulips", "beans"),
        ("compost", "soil", "moss", "seedlings", "mulch"),
    ),
    "space": (
        ("comet", "planet", "asteroid", "gas giant", "galaxy"),
        ("moons", "rings", "craters", "dust", "orbit"),
    ),
}
"""Fillings of the two slots of each topic's sentences."""

SENTENCES_PER_SUBTITLE = 2


@dataclass(frozen=True, kw_only=True)
class GeneratedClip:
    """One clip before it is drawn.

    Attributes:
        clip_id: Split and number inside the split.
        split: Name of the split.
        number: Number among all clips of the data set; with the seed it fixes every draw.
        color: Key of ``COLORS``, perceived in the picture only.
        pitch: Key of ``PITCHES``, perceived in the sound only.
        topic: Key of ``TOPICS``, perceived in the subtitle only.
        place: Key of ``PLACES``, perceived in the depth maps only.
    """

    clip_id: str
    split: str
    number: int
    color: str
    pitch: str
    topic: str
    place: str


def plan_clips(dataset: GeneratedDataset) -> tuple[GeneratedClip, ...]:
    """Give every clip of a data set its named factors.

    The combinations are shuffled by the seed. Splits, in the order of their names, take
    consecutive slices, so no combination stands in two splits, nor twice in one. The settings ask
    for no more clips than there are combinations.
    """
    combinations = list(itertools.product(COLORS, PITCHES, TOPICS, PLACES))
    order = np.random.default_rng(dataset.seed).permutation(len(combinations))
    names = [
        (split, index) for split in sorted(dataset.clips) for index in range(dataset.clips[split])
    ]
    return tuple(
        _clip(split, index, number=number, factors=combinations[order[number]])
        for number, (split, index) in enumerate(names)
    )


def _clip(
    split: str, index: int, *, number: int, factors: tuple[str, str, str, str]
) -> GeneratedClip:
    color, pitch, topic, place = factors
    return GeneratedClip(
        clip_id=f"{split}_{index:04d}",
        split=split,
        number=number,
        color=color,
        pitch=pitch,
        topic=topic,
        place=place,
    )


def write_captions(clip: GeneratedClip, rng: np.random.Generator) -> list[str]:
    """Write captions that name all four factors, each by another template."""
    chosen = rng.choice(len(TEMPLATES), size=CAPTIONS_PER_CLIP, replace=False)
    return [
        TEMPLATES[index].format(
            thing=_pick(THINGS, rng),
            color=_pick(COLORS[clip.color], rng),
            pitch=_pick(PITCHES[clip.pitch], rng),
            topic=_pick(TOPICS[clip.topic], rng),
            place=_pick(PLACES[clip.place], rng),
        )
        for index in chosen
    ]


def write_subtitle(topic: str, rng: np.random.Generator) -> str:
    """Write what is said: two sentences of the topic, which name no other factor."""
    sentences, (first, second) = SENTENCES[topic], WORDS[topic]
    chosen = rng.choice(len(sentences), size=SENTENCES_PER_SUBTITLE, replace=False)
    return " ".join(
        sentences[index].format(a=_pick(first, rng), b=_pick(second, rng)) for index in chosen
    )


def _pick(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
