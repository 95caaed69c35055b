"""What sort of thing an entity is: one of the 25 supersenses of nouns.

These are WordNet's lexicographer files (https://wordnet.princeton.edu/documentation/lexnames5wn),
the field's usual coarse classes. Linking uses them to ask what a picture can show.
"""

import functools
from collections.abc import Mapping
from importlib import resources
from typing import Literal, get_args

Kind = Literal[
    "", "act", "animal", "artifact", "attribute", "body", "cognition", "communication", "event",
    "feeling", "food", "group", "location", "motive", "object", "person", "phenomenon", "plant",
    "possession", "process", "quantity", "relation", "shape", "state", "substance", "time",
]  # fmt: skip
# The order is the number that is stored; the empty one is unknown.
KINDS: tuple[Kind, ...] = get_args(Kind)


@functools.lru_cache(maxsize=1)
def wikidata_kinds() -> Mapping[str, str]:
    """Kinds of the upper classes of Wikidata, by id; what is below them inherits."""
    text = resources.files(__package__).joinpath("wikidata_kinds.tsv").read_text("utf-8")
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split("\t")[:2] for line in lines)
