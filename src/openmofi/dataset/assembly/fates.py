"""What becomes of every sample of a pool: two bytes each, in memory, whatever else is not."""

import numpy as np
import numpy.typing as npt

from openmofi.dataset.causes import Cause

Flags = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.int64]


class Fates:
    """Causes and splits by a sample's place in the pool.

    Args:
        samples: In the pool.
    """

    def __init__(self, samples: int) -> None:
        self._codes = np.zeros(samples, np.uint8)
        self._causes = [str(Cause.KEPT)]
        self.validation = np.zeros(samples, np.bool_)  # says nothing of what is dropped

    def __len__(self) -> int:
        return len(self._codes)

    def left(self, part: slice = slice(None)) -> Flags:
        """Which samples are still in."""
        left: Flags = self._codes[part] == 0
        return left

    def drop(self, places: slice | Ids | Flags, cause: str, which: Flags | None = None) -> None:
        """Drop what is still in of some places, for the first cause that applies.

        Args:
            places: In the pool.
            cause: Of assembly, or a status of ingest.
            which: Of the places; None: all.
        """
        codes = self._codes[places]
        going = (codes == 0) if which is None else (codes == 0) & which
        codes[going] = self._code(cause)
        self._codes[places] = codes

    def causes(self, part: slice) -> tuple[npt.NDArray[np.uint8], list[str]]:
        """Of each sample a code, 0 where it is kept, and what the codes mean."""
        return self._codes[part], self._causes

    def counts(self) -> dict[str, int]:
        """Samples by cause, those that are kept among them; no zeros."""
        numbers = np.bincount(self._codes, minlength=len(self._causes)).tolist()
        found = dict(zip(self._causes, numbers, strict=True))
        return {cause: number for cause, number in sorted(found.items()) if number}

    def splits(self) -> dict[str, int]:
        """Kept samples by split."""
        left = self.left()
        held = int(np.count_nonzero(self.validation & left))
        return {"train": int(np.count_nonzero(left)) - held, "validation": held}

    def _code(self, cause: str) -> int:
        if cause not in self._causes:
            self._causes.append(str(cause))
        return self._causes.index(cause)
