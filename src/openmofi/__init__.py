"""OpenMOFI: from a web crawl to an entity-labelled data set and a text-robust vision model."""

__version__ = "0.1.0"
