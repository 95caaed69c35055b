"""What a user may set for the knowledge base and for linking."""

from typing import Literal

from pydantic import Field

from openmofi.config import Section


class KnowledgeBaseConfig(Section):
    """How sources become a knowledge base."""

    # Aliases of more words than this are left out of the matcher and counted.
    max_alias_tokens: int = Field(16, ge=1, le=64)
    # What the data card says; empty takes what the sources say (WordNet's is known).
    licence: str = ""


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
