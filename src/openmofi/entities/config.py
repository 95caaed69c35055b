"""What a user may set for the knowledge base and for linking."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from openmofi.config import Section
from openmofi.entities.kinds import Kind

_ItemId = Annotated[str, StringConstraints(pattern=r"^Q[1-9][0-9]*$")]

# What Wikimedia keeps for itself, and 40 million articles: disambiguation page, category, template,
# list article, scholarly article.
_NO_THINGS = ("Q4167410", "Q4167836", "Q11266439", "Q13406463", "Q13442814")


# Log-odds that a candidate of such a kind is meant, in a text that stands by a picture.
KIND_WEIGHTS: Mapping[Kind, float] = MappingProxyType(
    {
        "act": -1.7, "animal": 2.1, "artifact": 1.4, "attribute": -0.7, "body": 0.1,
        "cognition": -1.1, "communication": 0.2, "event": -0.6, "feeling": -0.2, "food": 1.5,
        "group": -0.8, "location": 0.3, "object": 1.0, "person": -1.1, "phenomenon": -0.4,
        "plant": -0.1, "possession": -0.2, "process": 0.9, "quantity": 0.6, "relation": -0.1,
        "shape": 0.5, "state": -0.6, "substance": -0.7, "time": -1.1,
    }
)  # fmt: skip
NOT_SHOWN: tuple[Kind, ...] = (
    "attribute", "cognition", "feeling", "motive", "relation", "state", "time",
)  # fmt: skip


class WikidataConfig(Section):
    """What is taken from a Wikidata dump."""

    # Wikidata's codes, the preferred one first; "mul" is asked for anyway.
    languages: tuple[str, ...] = Field(("en",), min_length=1)
    alias_weight: float = Field(0.5, gt=0, le=1)  # of an alias against a label
    # Classes; an item is of a class if it is an instance or a subclass of it, or of a subclass.
    include: tuple[_ItemId, ...] = ()  # empty: all
    exclude: tuple[_ItemId, ...] = _NO_THINGS  # stronger than include
    min_sitelinks: int = Field(0, ge=0)  # pages about the item in all wikis


class KnowledgeBaseConfig(Section):
    """How sources become a knowledge base."""

    # Aliases of more words than this are left out of the matcher and counted.
    max_alias_tokens: int = Field(16, ge=1, le=64)
    # Whose rules find plurals in texts; irregular ones are the sources'.
    inflection: Literal["english", "none"] = "english"
    # Aliases of things are also found in one word or in two: kiwi fruit, kiwifruit.
    variants: bool = True
    # One id in several sources: an error, or one entity with the aliases and parents of all, whose
    # name and description are the first source's.
    same_id: Literal["error", "combine"] = "error"
    # What the data card says; empty takes what the sources say: WordNet's and Wikidata's are known.
    licence: str = ""
    # Folder or hub id of a text encoder for dense entity vectors; empty: sparse ones only.
    encoder: str = ""
    wikidata: WikidataConfig = WikidataConfig()


class LinkConfig(Section):
    """How mentions get their candidates.

    posterior ∝ prior^a · exp(what speaks for the candidate + b · agreement with the text). The
    numbers are log-odds; how they were found is told in docs/decisions/0006.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    fields: tuple[Literal["alt_text", "title"], ...] = Field(("alt_text", "title"), min_length=1)
    max_candidates: int = Field(5, ge=1, le=64)  # kept a mention, best first
    prior_weight: float = Field(0.6, ge=0)  # a
    # Of the logarithm of an entity's popularity: sitelinks, or how many things are told of it.
    popularity_weight: float = Field(0.8, ge=0)
    context_weight: float = Field(11.0, ge=0)  # b; agreement is a cosine, seldom above 0.5
    mention_weight: float = Field(0.7, ge=0)  # of another mention's expected vector
    rounds: int = Field(2, ge=1, le=10)  # of re-scoring against the other mentions
    name_weight: float = 1.8  # the surface is the entity's name, not a by-name of it
    case_weight: float = Field(1.4, ge=0)  # written with a capital or not, as the entity's name is
    # What pictures show, and what they don't.
    kind_weights: Mapping[Kind, float] = Field(default_factory=lambda: dict(KIND_WEIGHTS))
    # Where mentions come from; a model is named by a hub id or a folder, in the hub's format.
    mentions: Literal["matcher", "recognizer", "both"] = "matcher"
    recognizer: str = ""
    # The encoder that the knowledge base was built with; empty: sparse vectors alone.
    encoder: str = ""
    encoder_weight: float = Field(8.0, ge=0)  # of the cosine of text and entity, in log-odds
    not_shown: tuple[Kind, ...] = NOT_SHOWN  # mentions that most likely mean such things are left
    singular_share: float = Field(0.5, ge=0, lt=1)  # of a plural that is an alias itself: "pants"
    # Of a longer alias that is no kind of its head. Low, since the longer one is meant as a rule.
    head_share: float = Field(0.02, ge=0, lt=1)

    @model_validator(mode="after")
    def _leaves_a_share(self) -> Self:
        if self.singular_share + self.head_share >= 1:
            raise ValueError("'singular_share' and 'head_share' must be less than 1 together")
        return self

    @model_validator(mode="after")
    def _names_a_recognizer(self) -> Self:
        if (self.mentions == "matcher") == bool(self.recognizer):
            raise ValueError("'recognizer' is named if, and only if, 'mentions' asks for one")
        return self
