"""One pass over all regions: a few numbers a picture, from which counts and curves follow."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from openmofi.errors import InputError
from openmofi.records import Status
from openmofi.textregions.preview.source import Floats, Source
from openmofi.textregions.rule import TextRule, best_confidences, flat_boxes

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Scan:
    """All pictures of a source under one rule; 14 bytes a picture.

    Args:
        rule: The rule.
        fitting: float32[rows] surest box within the rule's limits of area; -1: none.
        large: The same of the boxes above the upper limit.
        smallest: float32[rows] area of the smallest box that is sure enough and not too small:
            the upper limit from which on the picture is dropped; infinite: none.
        statuses: Those that there are.
        status: int16[rows] places in ``statuses``.
        least: Lowest confidence recorded; 1 without a box.
    """

    rule: TextRule
    fitting: Floats
    large: Floats
    smallest: Floats
    statuses: tuple[str, ...]
    status: npt.NDArray[np.int16]
    least: float

    @cached_property
    def cut(self) -> np.float32:
        """As `text_flags` compares it."""
        return np.float32(self.rule.min_confidence)

    @cached_property
    def looked_at(self) -> Bools:
        """[rows] pictures that the detector could read; the rule says nothing of others."""
        return self.having(Status.OK)

    @cached_property
    def dropped(self) -> Bools:
        """[rows] by the rule."""
        return self.looked_at & (self.fitting >= self.cut)

    @cached_property
    def kept(self) -> Bools:
        """[rows] by the rule."""
        return self.looked_at & ~self.dropped

    @cached_property
    def with_large(self) -> Bools:
        """[rows] pictures with a sure box above the upper limit, dropped or not."""
        return self.looked_at & (self.large >= self.cut)

    def having(self, *statuses: str) -> Bools:
        """[rows] of one of these statuses."""
        places = [place for place, name in enumerate(self.statuses) if name in statuses]
        return np.isin(self.status, places)

    def counts(self) -> dict[str, int]:
        """``seen``, and what it is the sum of: ``dropped``, ``kept``, then other statuses."""
        others = Counter(
            {
                name: int(np.count_nonzero(self.status == place))
                for place, name in enumerate(self.statuses)
                if name != Status.OK
            }
        )
        return {
            "seen": len(self.status),
            "dropped": int(self.dropped.sum()),
            "kept": int(self.kept.sum()),
            **dict(sorted(others.items())),
        }


def scan(source: Source, rule: TextRule) -> Scan:
    """Read every row once.

    Raises:
        InputError: There is none.
    """
    parts: list[tuple[Floats, Floats, Floats]] = []
    codes: list[npt.NDArray[np.int16]] = []
    names: dict[str, int] = {}
    least = 1.0
    for table in source.tables():
        fitting, large = best_confidences(table, rule)
        parts.append((fitting, large, _smallest(table, rule)))
        codes.append(_status_codes(table, names))
        least = min([least, *_lowest(table)])
    if not sum(map(len, codes)):
        raise InputError(f"{source.name} holds no picture")
    fitting, large, smallest = (np.concatenate(one) for one in zip(*parts, strict=True))
    return Scan(rule, fitting, large, smallest, tuple(names), np.concatenate(codes), least)


def _smallest(table: pa.Table, rule: TextRule) -> Floats:
    row, area, confidence = flat_boxes(table)
    sure = (confidence >= np.float32(rule.min_confidence)) & (area >= np.float32(rule.min_area))
    found = np.full(table.num_rows, np.inf, dtype=np.float32)
    np.minimum.at(found, row[sure], area[sure])
    return found


def _lowest(table: pa.Table) -> Iterator[float]:
    values = table.column("confidences").combine_chunks().flatten()
    if len(values):
        yield float(values.to_numpy(zero_copy_only=False).min())


def _status_codes(table: pa.Table, names: dict[str, int]) -> npt.NDArray[np.int16]:
    """Numbers of the statuses; new ones are added to ``names``."""
    encoded = table.column("status").combine_chunks().dictionary_encode()
    own = [names.setdefault(name, len(names)) for name in encoded.dictionary.to_pylist()]
    places = encoded.indices.to_numpy(zero_copy_only=False)
    return np.asarray(own, dtype=np.int16)[places] if len(places) else np.empty(0, np.int16)
