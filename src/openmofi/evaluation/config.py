"""Options of evaluation: which suites, which prompts, how the attack is drawn."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from openmofi.config import Section

# What cannot change a result; paths and URIs enter by digest, elsewhere.
NO_RESULT = {"batch_size", "device", "target_model", "font", "train_data", "index_data"}

Suite = Literal[
    "retrieval",
    "query_index",
    "knn",
    "linear_probe",
    "zero_shot",
    "image_text",
    "typographic",
    "typographic_grid",
]
Position = Literal["top_left", "top_right", "centre", "bottom_left", "bottom_right"]


def _one_gap(template: str) -> str:
    if template.count("{}") != 1:
        raise ValueError("a template holds {} once, where the class name goes")
    return template


def _known_colour(colour: str) -> str:
    from PIL import ImageColor

    # No other way of writing it: colours are parts of metric names.
    if not re.fullmatch(r"[a-z]+|#[0-9a-fA-F]{6}", colour):
        raise ValueError("a colour is a name of Pillow's, such as red, or #rrggbb")
    ImageColor.getrgb(colour)  # its ValueError says what it does not know
    return colour


class GridConfig(Section):
    """The cells of ``typographic_grid``: every size at every position in every colour.

    Each cell costs one forward pass over the images that are drawn on.

    Attributes:
        sizes: Font heights in pixels, for pictures whose shorter side has 224 or more.
        positions: Where the text box stands; its margin is the attack's own.
        colours: Names or ``#rrggbb``, as Pillow reads them.
        images: How many images are drawn on, spread evenly over the set; 0 for all.
    """

    sizes: tuple[Annotated[int, Field(ge=4, le=500)], ...] = Field((25, 50, 100), min_length=1)
    positions: tuple[Position, ...] = Field(
        ("top_left", "top_right", "centre", "bottom_left", "bottom_right"), min_length=1
    )
    colours: tuple[Annotated[str, AfterValidator(_known_colour)], ...] = Field(
        ("red", "white", "black"), min_length=1
    )
    images: int = Field(200, ge=0)


class EvaluateConfig(Section):
    """What is measured and how.

    Attributes:
        suites: What to run. ``zero_shot``, ``image_text`` and both typographic ones need a model
            that reads text, and are left out for one that does not. ``image_text`` needs data
            with captions, which serve nothing else.
        templates: Prompts; each holds ``{}`` once. A class is the mean over all of them.
        confusions: Class name to the class name written on its pictures. A class without an
            entry gets its nearest neighbour by name.
        target_model: URI of a model manifest whose text embeddings choose that neighbour
            (ImageNet-Atr's rule). Empty: character trigrams of the names, which need no model, so
            that pictures stay the same when models change.
        font: Path of a TrueType font to write with. Empty: Pillow's own, with accents left out,
            since it has none.
        grid: Cells of ``typographic_grid``.
        train_data: Folder that ``linear_probe`` and ``knn`` learn from, classes named as in the
            evaluation set. Empty: ``train`` beside ``val`` in ImageNet's layout, if it is there.
        train_per_class: Images of each class to learn from; 0 for all. Where there is no training
            folder, so many are taken out of the evaluation set, and not tested on.
        index_data: Folder that ``query_index`` searches, with the evaluation set as queries.
            Empty: ``queries_per_class`` images of each class search the rest of the set.
        queries_per_class: See there. One is MOFI's protocol on ImageNet.
        knn_neighbours: Neighbours that vote. 20 at temperature 0.07 is DINO's protocol.
        knn_temperature: A neighbour's weight is exp(cosine / temperature).
        caption_prefix: Put before every caption of ``image_text``; CLIP used ``"a photo of "``.
        bootstrap_samples: Resamples behind every interval.
        confidence: Share of resamples inside an interval, 0 to 1.
        seed: Of the resamples.
        batch_size: Images a forward pass. Does not change results.
        device: ``cpu`` or ``cuda``. Does not belong to the recipe.
    """

    suites: tuple[Suite, ...] = Field(("retrieval", "zero_shot", "typographic"), min_length=1)
    templates: tuple[Annotated[str, AfterValidator(_one_gap)], ...] = Field(
        ("{}", "a photo of {}."), min_length=1
    )
    confusions: dict[str, str] = Field(default_factory=dict)
    target_model: str = ""
    font: str = ""
    grid: GridConfig = GridConfig()
    train_data: str = ""
    train_per_class: int = Field(0, ge=0)
    index_data: str = ""
    queries_per_class: int = Field(1, ge=1)
    knn_neighbours: int = Field(20, ge=1)
    knn_temperature: float = Field(0.07, gt=0)
    caption_prefix: str = ""
    bootstrap_samples: int = Field(1000, ge=100, le=100_000)
    confidence: float = Field(0.95, gt=0, lt=1)
    seed: int = 0
    batch_size: int = Field(64, ge=1)
    device: str = "cpu"

    def semantic(self) -> dict[str, Any]:
        """The options that can change a result."""
        return self.model_dump(mode="json", exclude=NO_RESULT)
