"""What a trained recognizer's folder says of itself."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from openmofi.entities.recognition.evaluation import table_of

_CARD = """\
---
library_name: transformers
pipeline_tag: token-classification
---
# A small recognizer of a knowledge base's entities

A BERT of {layers} layers and {hidden_size} units, trained from random weights by
`openmofi entities train-recognizer`; tokenizer and weights are of this training alone.

* Texts: {texts} generated ones, from frames of alt texts filled with {surfaces} surface forms, and
  from passages of descriptions, of knowledge base `{knowledge_base}` (licence: {licence}). None is
  of a real image.
* Labels: what the alias matcher marks in those texts (`B-ENTITY`, `I-ENTITY`, `O`): weak ones, with
  the matcher's mistakes.
* Held out: a share of {held_out} of the surface forms, by a hash of each; the matcher finds none of
  them in any training text.
* Settings: seed {seed}, {steps} steps of {batch_size} texts, learning rate {learning_rate}.

## Measured

Exact spans in generated texts whose frames and made-up words are in no training text. Right is what
a frame was filled with. "matcher without held out" is the alias matcher with a knowledge base that
lacks the held-out surface forms; "matcher" has them all.

```text
{table}
```

Generated texts are plainer than those of the web: expect less there.
"""


def write_card(folder: Path, evaluation: Mapping[str, Any], head: Mapping[str, Any]) -> None:
    """Write ``README.md``.

    Args:
        folder: The model's.
        evaluation: As ``evaluation.json`` has it.
        head: The knowledge base's ``kb.json``.
    """
    card = _CARD.format(
        **evaluation["config"],
        **evaluation["training"],
        knowledge_base=evaluation["knowledge_base"],
        licence=head.get("licence") or "unknown",
        table=table_of(evaluation),
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
