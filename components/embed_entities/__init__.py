from components.embed_entities.component import embed_entities

__all__ = ["embed_entities"]
