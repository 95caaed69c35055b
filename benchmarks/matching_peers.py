"""Other alias matchers behind one small face, each used the way its manual says.

Every one gets its best case: texts lower-cased and spaced as it likes them before the clock
starts, patterns in sorted order, the result in its own form. Libraries are imported by
`Peer.imports`, so that a process pays for one alone.

Character automata know nothing of words. Two spaces between tokens and one on each side of a
pattern make them exact at word borders, without a check afterwards.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

Span = tuple[int, int, str]  # text, number of its first token, alias

CHUNK = 2_500  # texts joined into one haystack


class Peer(Protocol):
    """A matcher of aliases: leftmost, then longest, no overlaps, whole words."""

    name: str
    modes: tuple[str, ...]  # ways of asking; the first one is compared with other peers' results
    threaded: tuple[str, ...]  # modes that may gain by threads
    saved: bool  # whether it is a `SavedPeer`
    mapped: bool  # whether processes that have loaded it share the memory

    def imports(self) -> None: ...

    def warm_up(self) -> None:
        """Compile what `build` runs, if it is compiled at run time."""

    def read(self, folder: Path) -> Any: ...

    def build(self, source: Any) -> None: ...

    def prepare(self, texts: list[str], mode: str) -> Any: ...

    def match(self, prepared: Any, mode: str, threads: int) -> Any: ...

    def spans(self, result: Any, mode: str, texts: list[str], names: list[str]) -> Iterator[Span]:
        """What was found, in the common form; not timed."""


class SavedPeer(Peer, Protocol):
    """One that a process can load when another one has built it."""

    def save(self, folder: Path) -> None: ...

    def load(self, folder: Path) -> None: ...


def read_names(folder: Path) -> list[str]:
    return (folder / "surfaces.txt").read_text().split("\n")


def widen(text: str) -> str:
    return " " + text.replace(" ", "  ") + " "


class Strings:
    """What the peers have in common that are built from a list of strings."""

    modes: tuple[str, ...] = ("by text",)
    threaded: tuple[str, ...] = ()
    saved = False
    mapped = False

    def warm_up(self) -> None:
        pass

    def read(self, folder: Path) -> list[str]:
        return read_names(folder)

    def prepare(self, texts: list[str], mode: str) -> Any:
        return [text.lower() for text in texts]


class AhoCorasickRs(Strings):
    """Rust. One call a text, or one call for a chunk of texts joined by line ends."""

    name = "ahocorasick_rs"
    modes: tuple[str, ...] = ("by text", "joined")
    threaded: tuple[str, ...] = ("by text", "joined")

    def imports(self) -> None:
        import ahocorasick_rs

        self.library = ahocorasick_rs

    def build(self, source: list[str]) -> None:
        self.automaton = self.library.AhoCorasick(
            map(widen, source),
            matchkind=self.library.MatchKind.LeftmostLongest,
            store_patterns=False,
        )

    def prepare(self, texts: list[str], mode: str) -> list[str]:
        wide = [widen(text.lower()) for text in texts]
        if mode == "by text":
            return wide
        return ["\n".join(wide[begin : begin + CHUNK]) for begin in range(0, len(wide), CHUNK)]

    def match(self, prepared: list[str], mode: str, threads: int) -> list[Any]:
        find = self.automaton.find_matches_as_indexes
        if threads == 1:
            return [find(text) for text in prepared]
        # Texts one by one are too little for a task each; a thread takes a share of them.
        share = -(-len(prepared) // threads) if mode == "by text" else 1
        shares = [prepared[begin : begin + share] for begin in range(0, len(prepared), share)]
        with ThreadPoolExecutor(threads) as pool:
            parts = pool.map(lambda part: [find(text) for text in part], shares)
            return [found for part in parts for found in part]

    def spans(self, result: Any, mode: str, texts: list[str], names: list[str]) -> Iterator[Span]:
        prepared = self.prepare(texts, mode)
        step = 1 if mode == "by text" else CHUNK
        for place, (haystack, found) in enumerate(zip(prepared, result, strict=True)):
            text, begin, end = place * step, 0, haystack.find("\n")
            for alias, start, _ in found:
                while -1 < end < start:
                    text, begin, end = text + 1, end + 1, haystack.find("\n", end + 1)
                yield text, haystack.count("  ", begin, start + 1), names[alias]


class PyAhoCorasick(Strings):
    """C. ``iter_long`` is its leftmost-longest search."""

    name = "pyahocorasick"
    saved = True

    def imports(self) -> None:
        import ahocorasick  # type: ignore[import-not-found]

        self.library = ahocorasick

    def build(self, source: list[str]) -> None:
        self.automaton = self.library.Automaton(self.library.STORE_INTS)
        for number, name in enumerate(source):
            self.automaton.add_word(widen(name), number)
        self.automaton.make_automaton()

    def save(self, folder: Path) -> None:
        self.automaton.save(str(folder / "automaton"))

    def load(self, folder: Path) -> None:
        self.automaton = self.library.load(str(folder / "automaton"), int)

    def prepare(self, texts: list[str], mode: str) -> list[str]:
        return [widen(text.lower()) for text in texts]

    def match(self, prepared: list[str], mode: str, threads: int) -> list[Any]:
        find = self.automaton.iter_long
        return [list(find(text)) for text in prepared]

    def spans(self, result: Any, mode: str, texts: list[str], names: list[str]) -> Iterator[Span]:
        for text, found in enumerate(result):
            wide = widen(texts[text])
            for end, alias in found:
                start = end + 1 - len(widen(names[alias]))
                yield text, wide.count("  ", 0, start + 1), names[alias]


class FlashText2(Strings):
    """Rust. Hands over the string of an alias instead of a number."""

    name = "flashtext2"

    def imports(self) -> None:
        import flashtext2

        self.library = flashtext2

    def build(self, source: list[str]) -> None:
        self.processor = self.library.KeywordProcessor(case_sensitive=True)
        self.processor.add_keywords_from_iter(source)

    def match(self, prepared: list[str], mode: str, threads: int) -> list[Any]:
        find = self.processor.extract_keywords_with_span
        return [find(text) for text in prepared]

    def spans(self, result: Any, mode: str, texts: list[str], names: list[str]) -> Iterator[Span]:
        for text, found in enumerate(result):
            for alias, start, _ in found:
                yield text, texts[text].count(" ", 0, start), alias


class SpacyPhrases(Strings):
    """Cython. Its documents are made, and so cut into tokens, outside the clock."""

    name = "spaCy"

    def imports(self) -> None:
        import spacy
        from spacy.matcher import PhraseMatcher
        from spacy.tokens import Doc

        self.vocab, self.document, self.phrases = spacy.blank("en").vocab, Doc, PhraseMatcher

    def build(self, source: list[str]) -> None:
        self.matcher = self.phrases(self.vocab)
        for number, name in enumerate(source):
            self.matcher.add(str(number), [self.document(self.vocab, name.split(" "))])

    def prepare(self, texts: list[str], mode: str) -> list[Any]:
        return [self.document(self.vocab, text.lower().split(" ")) for text in texts]

    def match(self, prepared: list[Any], mode: str, threads: int) -> list[Any]:
        return [_leftmost_longest(self.matcher(document)) for document in prepared]

    def spans(self, result: Any, mode: str, texts: list[str], names: list[str]) -> Iterator[Span]:
        for text, found in enumerate(result):
            for alias, start, _ in found:
                yield text, start, names[int(self.vocab.strings[alias])]


def _leftmost_longest(found: Sequence[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    kept, free = [], 0
    for match in sorted(found, key=lambda match: (match[1], -match[2])):
        if match[1] >= free:
            kept.append(match)
            free = match[2]
    return kept
