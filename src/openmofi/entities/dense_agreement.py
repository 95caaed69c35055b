"""How well candidates agree with the whole text, by a text encoder: beside the sparse vectors."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from openmofi.entities.dense import DenseVectors
from openmofi.entities.kernels_candidates import Candidates, Halves, Numbers
from openmofi.entities.kernels_groups import Groups
from openmofi.entities.kernels_hash import Ints
from openmofi.entities.knowledge_base import KnowledgeBase
from openmofi.entities.text_encoder import TextEncoder, load_text_encoder
from openmofi.errors import InputError


class DenseAgreement:
    """Adds the cosine of document and entity to what speaks for a candidate."""

    def __init__(self, vectors: DenseVectors, encoder: TextEncoder, weight: float) -> None:
        self._vectors = vectors
        self._encoder = encoder
        self._weight = weight

    def add(self, texts: pa.Array, documents: Ints, groups: Groups, candidates: Candidates) -> None:
        """Change the logits of all candidates that are not the only ones of their mention."""
        sizes = np.diff(candidates.starts)
        owners = np.repeat(groups.documents, sizes)  # [candidates]
        chosen = np.flatnonzero(np.repeat(sizes > 1, sizes))
        wanted, rows = np.unique(owners[chosen], return_inverse=True)
        whole: dict[int, list[str]] = {int(document): [] for document in wanted}
        for document, text in zip(documents.tolist(), texts.to_pylist(), strict=True):
            if document in whole:
                whole[document].append(text or "")
        joined = [". ".join(parts) for parts in whole.values()]
        candidates.logits[chosen] += self.evidence(joined, rows, candidates.entities[chosen])

    def evidence(self, texts: Sequence[str], rows: Ints, entities: Numbers) -> Halves:
        """``[pairs]`` log-odds that the text ``rows`` lend to ``entities``."""
        cosines = self._vectors.cosines(
            self._encoder.encode(texts, label=""), rows, entities.astype(np.int64)
        )
        return np.asarray(self._weight * cosines, np.float32)


def load_dense_agreement(base: KnowledgeBase, encoder: str, weight: float) -> DenseAgreement:
    """The encoder that ``base`` was built with, ready to encode texts.

    Raises:
        InputError: The knowledge base has no dense vectors, or those of another encoder.
    """
    vectors = base.dense
    if vectors is None:
        raise InputError(
            f"{base.folder} has no dense vectors; build it with --encoder {encoder}, "
            "or leave 'encoder' of the linking settings empty"
        )
    loaded = load_text_encoder(encoder)
    if loaded.digest != vectors.digest:
        raise InputError(
            f"{base.folder} was built with the encoder '{vectors.encoder}', and '{encoder}' is "
            "another one; build it again, or name that one"
        )
    return DenseAgreement(vectors, loaded, weight)
