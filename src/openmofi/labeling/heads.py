"""Linear heads over recorded embeddings: a score of an image that costs no second look at it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from openmofi.errors import InputError
from openmofi.keys import hash_file
from openmofi.storage import open_store

ACTIVATIONS = ("none", "sigmoid", "softmax")


@dataclass(frozen=True, eq=False)
class LinearHead:
    """One matrix product over an image's embedding, such as a safety or an aesthetic score.

    Args:
        weight: ``float64[outputs, dim]``.
        bias: ``float64[outputs]``.
        activation: ``none``, ``sigmoid`` (each output alone) or ``softmax`` (over all outputs).
        outputs: Their names; numbers from 0 where the file gives none.
        encoder: Digest of the model that it was fitted on; empty if the file does not say.
        digest: Of the file.
        location: Where it was read from, for messages.
    """

    weight: npt.NDArray[np.float64]
    bias: npt.NDArray[np.float64]
    activation: str
    outputs: Sequence[str]
    encoder: str
    digest: str
    location: str

    def scores(self, vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores of embeddings, summed with 64 bits: the same for any number of threads.

        Args:
            vectors: ``float32[images, dim]``, as `embed_images` records them: unit vectors.

        Returns:
            ``float32[images, outputs]``.

        Raises:
            InputError: The embeddings are of another width than the head.
        """
        if vectors.shape[1] != self.weight.shape[1]:
            raise InputError(
                f"head {self.location} takes embeddings of {self.weight.shape[1]} numbers, and "
                f"these have {vectors.shape[1]}; it was fitted on another model"
            )
        values = vectors.astype(np.float64) @ self.weight.T + self.bias
        if self.activation == "sigmoid":
            values = np.exp(-np.logaddexp(0, -values))
        elif self.activation == "softmax":
            values = np.exp(values - np.logaddexp.reduce(values, axis=1, keepdims=True))
        return values.astype(np.float32)

    def output_index(self, output: str | int) -> int:
        """The place of an output that is given by name or number.

        Raises:
            InputError: The head has no such output.
        """
        if isinstance(output, str) and output in self.outputs:
            return self.outputs.index(output)
        if isinstance(output, int) and 0 <= output < len(self.outputs):
            return output
        raise InputError(
            f"head {self.location} has no output {output!r}; it has "
            f"{len(self.outputs)}: {', '.join(self.outputs)}"
        )

    def check_encoder(self, digest: str) -> None:
        """Refuse embeddings of a model that the head was not fitted on, if it says on which.

        Raises:
            InputError: It was fitted on another one.
        """
        if self.encoder and self.encoder != digest:
            raise InputError(
                f"head {self.location} was fitted on the model {self.encoder}, and the embeddings "
                f"are of {digest or 'a model that is not named'}"
            )


def read_head(location: str) -> LinearHead:
    """Read a head's file.

    Safetensors (https://github.com/huggingface/safetensors#format) with the tensors ``weight``
    [outputs, dim] or [dim] and, optionally, ``bias`` [outputs]. Of its metadata these count:
    ``encoder``, the digest of the model that it was fitted on; ``activation``, ``none`` by default;
    ``outputs``, names with commas.

    Args:
        location: A path, or the URI of an object in a store.

    Raises:
        InputError: There is no such file, or it holds no such head.
        StorageError: The store does not hold it or cannot be reached.
    """
    if "://" in location:
        root, _, name = location.rpartition("/")
        with open_store(root).local_file(name) as path:
            return _read(path, location)
    if not Path(location).is_file():
        raise InputError(f"head not found: {location}")
    return _read(Path(location), location)


def _read(path: Path, location: str) -> LinearHead:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            said: dict[str, str] = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, TypeError, OSError) as error:  # TypeError: numpy has no bfloat16
        raise InputError(f"head {location} is no readable safetensors file: {error}") from None
    weight, bias = _tensors(tensors, location)
    activation = said.get("activation", "none")
    if activation not in ACTIVATIONS:
        raise InputError(
            f"head {location}: its activation is {activation!r}; known are {', '.join(ACTIVATIONS)}"
        )
    if activation == "softmax" and len(weight) == 1:
        raise InputError(f"head {location}: softmax over one output is always 1; use sigmoid")
    return LinearHead(
        weight=weight,
        bias=bias,
        activation=activation,
        outputs=_output_names(said.get("outputs", ""), len(weight), location),
        encoder=said.get("encoder", ""),
        digest=hash_file(path),
        location=location,
    )


def _tensors(
    tensors: dict[str, npt.NDArray[Any]], location: str
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    strange = sorted(tensors.keys() - {"weight", "bias"})
    if "weight" not in tensors or strange:
        held = ", ".join(sorted(tensors)) or "nothing"
        raise InputError(f"head {location} must hold 'weight' and perhaps 'bias'; it holds {held}")
    weight = np.atleast_2d(tensors["weight"].astype(np.float64))
    bias = np.zeros(len(weight))
    if "bias" in tensors:
        bias = np.atleast_1d(tensors["bias"].astype(np.float64))
    if weight.ndim != 2 or not weight.size or bias.shape != weight.shape[:1]:
        raise InputError(
            f"head {location}: 'weight' is [outputs, dim] and 'bias' [outputs]; given are "
            f"{list(weight.shape)} and {list(bias.shape)}"
        )
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise InputError(f"head {location} holds numbers that are not finite")
    return weight, bias


def _output_names(said: str, count: int, location: str) -> Sequence[str]:
    if not said:
        return [str(number) for number in range(count)]
    names = [name.strip() for name in said.split(",")]
    if len(names) != count or len(set(names)) != count or not all(names):
        raise InputError(
            f"head {location} has {count} outputs, and its 'outputs' must name each: {said!r:.80}"
        )
    return names
