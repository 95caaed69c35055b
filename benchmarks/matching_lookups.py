"""Matching without an automaton: at each token, look up what may begin there."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matching_peers import Span, Strings

LONGEST = 5  # tokens of the longest alias of `matching_data`


class MarisaTrie(Strings):
    """C++. All prefixes at each token, in the order of their lengths; a key ends in a space."""

    name = "marisa-trie"
    saved = True
    mapped = True

    def imports(self) -> None:
        import marisa_trie  # type: ignore[import-not-found]

        self.library = marisa_trie

    def build(self, source: list[str]) -> None:
        self.trie = self.library.Trie([name + " " for name in source])

    def save(self, folder: Path) -> None:
        self.trie.save(str(folder / "trie"))

    def load(self, folder: Path) -> None:
        self.trie = self.library.Trie()
        self.trie.mmap(str(folder / "trie"))

    def prepare(self, texts: list[str], mode: str) -> list[str]:
        return [text.lower() + " " for text in texts]

    def match(self, prepared: list[str], mode: str, threads: int) -> list[Any]:
        return [self._find(text) for text in prepared]

    def _find(self, text: str) -> list[tuple[int, int, int]]:
        found, start, prefixes = [], 0, self.trie.prefixes
        while start < len(text):
            keys = prefixes(text[start:])
            if keys:
                end = start + len(keys[-1])
                found.append((self.trie[keys[-1]], start, end))
                start = end
            else:
                start = text.index(" ", start) + 1
        return found

    def spans(self, result: Any, mode: str, texts: list[str], names: list[str]) -> Iterator[Span]:
        for text, found in enumerate(result):
            for alias, start, _ in found:
                yield text, texts[text].count(" ", 0, start), self.trie.restore_key(alias)[:-1]


class PlainDict(Strings):
    """Every slice of up to five tokens is looked up, the longest first."""

    name = "dict"

    def imports(self) -> None:
        pass

    def build(self, source: list[str]) -> None:
        self.numbers = {name: number for number, name in enumerate(source)}

    def match(self, prepared: list[str], mode: str, threads: int) -> list[Any]:
        return [self._find(text) for text in prepared]

    def _find(self, text: str) -> list[tuple[int, int, int]]:
        ends, end = [], -1
        for word in text.split(" "):
            end += len(word) + 1
            ends.append(end)
        found, start, token, numbers = [], 0, 0, self.numbers
        while token < len(ends):
            for last in range(min(token + LONGEST, len(ends)) - 1, token - 1, -1):
                alias = numbers.get(text[start : ends[last]])
                if alias is not None:
                    found.append((alias, start, ends[last]))
                    token = last
                    break
            start = ends[token] + 1
            token += 1
        return found

    def spans(self, result: Any, mode: str, texts: list[str], names: list[str]) -> Iterator[Span]:
        for text, found in enumerate(result):
            for alias, start, _ in found:
                yield text, texts[text].count(" ", 0, start), names[alias]
