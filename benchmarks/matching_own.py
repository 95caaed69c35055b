"""Our matcher behind the face of `matching_peers`, and the list of all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matching_lookups as lookups
import matching_peers as peers
from matching_peers import Peer, Span


class OpenMofi:
    """Raw texts in an Arrow column; folded and cut into tokens within the clock."""

    name = "openmofi"
    modes: tuple[str, ...] = ("arrays", "tuples")
    threaded: tuple[str, ...] = ("arrays",)
    saved = True
    mapped = True

    def imports(self) -> None:
        import pyarrow

        from openmofi.entities.matcher import AliasMatcher

        self.array, self.matcher_class = pyarrow.array, AliasMatcher

    def warm_up(self) -> None:
        import numpy as np

        self.build(
            (
                self.array(["a", "a b"]),
                np.array([0, 1, 2], np.int64),
                np.array([0, 1], np.int32),
                np.ones(2, np.float32),
            )
        )

    def read(self, folder: Path) -> Any:
        import numpy as np
        import pyarrow as pa

        with np.load(folder / "postings.npz") as postings:
            arrays = [postings[name] for name in ("starts", "entities", "priors")]
        with pa.memory_map(str(folder / "surfaces.arrow")) as file:
            surfaces = pa.ipc.open_file(file).read_all()["surface"].combine_chunks()
        return surfaces, *arrays

    def build(self, source: Any) -> None:
        from openmofi.entities.index_build import build_index

        self.index = build_index(*source, inflection="none")

    def save(self, folder: Path) -> None:
        self.index.save(folder)

    def load(self, folder: Path) -> None:
        self.matcher = self.matcher_class.load(folder)
        self.keys: dict[int, str] = {}

    def prepare(self, texts: list[str], mode: str) -> Any:
        return self.array(texts)

    def match(self, prepared: Any, mode: str, threads: int) -> Any:
        found = self.matcher.match_column(prepared, threads=threads)
        if mode == "arrays":
            return found
        columns = (found.texts, found.starts, found.ends, found.aliases)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def spans(self, result: Any, mode: str, texts: list[str], names: list[str]) -> Iterator[Span]:
        rows = result
        if mode == "arrays":
            columns = (result.texts, result.starts, result.ends, result.aliases)
            rows = zip(*(column.tolist() for column in columns), strict=True)
        for text, start, _, alias in rows:
            if alias not in self.keys:
                self.keys[alias] = self.matcher.index.key(alias)
            yield text, texts[text].count(" ", 0, start), self.keys[alias]


# The reference of equality first: the plainest one.
PEERS: dict[str, type[Peer]] = {
    peer.name: peer
    for peer in (
        lookups.PlainDict,
        OpenMofi,
        peers.AhoCorasickRs,
        peers.FlashText2,
        peers.PyAhoCorasick,
        lookups.MarisaTrie,
        peers.SpacyPhrases,
    )
}
