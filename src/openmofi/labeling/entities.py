"""The texts of a whole knowledge base, encoded ahead of the pods that score."""

from collections.abc import Mapping
from typing import Any

from openmofi.config import parse_config
from openmofi.entities.knowledge_base import load_knowledge_base
from openmofi.labeling.config import LabelConfig
from openmofi.labeling.texts import TextModel, encode_texts, entity_texts_of
from openmofi.models.device import check_device
from openmofi.progress import say
from openmofi.versions import read_manifest


def embed_entities(
    knowledge_base: str, model: str, *, config: Mapping[str, Any] | None = None
) -> str:
    """Encode the text of every entity, so that no run of `label_images` has to.

    Only if the option ``entities`` is ``all``; by default it does nothing, and `label_images`
    encodes what its mentions name. Known texts are skipped, so a killed run goes on where it was.

    Args:
        knowledge_base: Manifest URI.
        model: Manifest URI. The vectors are stored under its root.
        config: Of `LabelConfig`, as `label_images` takes it.

    Returns:
        ``model``: who takes it from here runs afterwards.
    """
    options = parse_config(LabelConfig, config, where="label")
    if options.entities == "mentioned":
        say("entity_texts: none ahead; label_images encodes those that its mentions name")
        return model
    check_device(options.device)
    manifest = read_manifest(model, "model")
    base = load_knowledge_base(knowledge_base)
    texts = entity_texts_of(base, options, base.entities.column("entity_id").combine_chunks())
    encoder = TextModel(model, manifest.digest, options.device, options.batch_size)
    encode_texts(manifest.store, encoder, texts)
    return model
