from components.link_entities.component import link_entities

__all__ = ["link_entities"]
