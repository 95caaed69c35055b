"""The words and phrases that are no mention on their own: data, in ``stopwords.txt``."""

import functools
from importlib import resources

from openmofi.entities.text import surface_keys


@functools.lru_cache(maxsize=1)
def stop_phrases() -> tuple[str, ...]:
    """Surface keys of all stop words and phrases, in the order of the file."""
    lines = resources.files(__package__).joinpath("stopwords.txt").read_text("utf-8").splitlines()
    entries = [line.partition("#")[0].strip() for line in lines]
    keys = (key for key, _ in surface_keys([entry for entry in entries if entry]))
    return tuple(dict.fromkeys(keys))
