"""English plurals, looked up only where the words as they stand are no alias."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Ending:
    """A plural's ending and what the singular has in its place.

    Args:
        plural: What the last word ends in.
        singular: What stands there instead.
        shortest: Letters of the shortest word to which the rule applies.
    """

    plural: str
    singular: str
    shortest: int


# In the order in which they are tried. "boxe" is nobody's alias, so "-s" may come before "-es".
ENDINGS = (
    Ending("ies", "y", 4),
    Ending("s", "", 3),
    Ending("es", "", 4),
    Ending("men", "man", 4),
)
# "glass", "cactus" and "iris" are no plurals of "glas", "cactu" and "iri".
NOT_PLURAL = ("ss", "us", "is")
