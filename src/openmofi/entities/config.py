"""What a user may set for the knowledge base and for linking."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from openmofi.config import Section

_ItemId = Annotated[str, StringConstraints(pattern=r"^Q[1-9][0-9]*$")]

# What Wikimedia keeps for itself, and 40 million articles: disambiguation page, category, template,
# list article, scholarly article.
_NO_THINGS = ("Q4167410", "Q4167836", "Q11266439", "Q13406463", "Q13442814")


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
    # One id in several sources: an error, or one entity with the aliases and parents of all, whose
    # name and description are the first source's.
    same_id: Literal["error", "combine"] = "error"
    # What the data card says; empty takes what the sources say: WordNet's and Wikidata's are known.
    licence: str = ""
    wikidata: WikidataConfig = WikidataConfig()


class LinkConfig(Section):
    """How mentions get their candidates: posterior ∝ prior^a · exp(b · agreement)."""

    fields: tuple[Literal["alt_text", "title"], ...] = Field(("alt_text", "title"), min_length=1)
    max_candidates: int = Field(5, ge=1, le=64)  # kept a mention, best first
    prior_weight: float = Field(1.0, ge=0)  # a
    context_weight: float = Field(12.0, ge=0)  # b; agreement is a cosine, seldom above 0.5
    mention_weight: float = Field(
        1.0, ge=0
    )  # of another mention's expected vector; a word has <= 1
    rounds: int = Field(2, ge=1, le=10)  # of re-scoring against the other mentions
