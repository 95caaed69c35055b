"""Where the folder of a ``model`` manifest lies on this machine."""

from pathlib import Path

from openmofi.keys import hash_json
from openmofi.storage import local_folder
from openmofi.versions import Manifest


def model_folder(model: Manifest) -> Path:
    """A local folder with the model's files; see `openmofi.storage.local_folder`.

    A copy is named by all files that it has, not by the model's digest: a trained model's digest
    leaves out its card and the facts of its run, which are others in each root.

    Raises:
        StorageError: The store cannot be read, or nothing is there.
    """
    files = sorted(map(list, model.content["files"].items()))
    return local_folder(model.store, model.content["prefix"], hash_json(files))
