"""The words and phrases that are no mention on their own: data, in ``stopwords.txt``."""

from importlib import resources

from openmofi.entities.text import surface_key


def stop_phrases() -> list[str]:
    """Surface keys of all stop words and phrases, in the order of the file."""
    lines = resources.files(__package__).joinpath("stopwords.txt").read_text("utf-8").splitlines()
    entries = (line.partition("#")[0].strip() for line in lines)
    return list(dict.fromkeys(surface_key(entry) for entry in entries if entry))
