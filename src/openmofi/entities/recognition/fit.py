"""A WordPiece tokenizer and a small BERT, fitted to labelled texts."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordPiece
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import WordPieceTrainer
from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

from openmofi.entities.kernels_hash import Ints
from openmofi.entities.matcher import AliasMatcher
from openmofi.entities.recognition.windows import tokenize_texts
from openmofi.progress import bar

LABELS = ("O", "B-ENTITY", "I-ENTITY")
MAX_LENGTH = 128  # tokens, the two special ones included
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_UNLABELLED = -100  # what transformers leaves out of the loss: all but a word's first token
_MASKED = 0.1  # tokens hidden in training, so that what stands around them counts
_WARM_UP = 0.06  # of the steps
_SORTED = 50  # batches cut from texts sorted by length


@dataclass(frozen=True)
class Labelled:
    """One text for training."""

    ids: Ints  # [tokens] without special ones
    labels: Ints  # [tokens]


def fit_tokenizer(texts: Sequence[str], vocabulary_size: int) -> Any:
    """A lower-casing WordPiece tokenizer with offsets: the case of alt texts says little."""
    tokenizer = _tokenizer({token: number for number, token in enumerate(_SPECIAL)})
    letters = _letters(tokenizer, texts, vocabulary_size // 4)
    # The trainer numbers what is found inside words in the order of a hash table that differs
    # between runs, and breaks ties by number; what counts as special has its number before.
    special = [*_SPECIAL, *(f"##{letter}" for letter in letters)]
    trainer = WordPieceTrainer(
        vocab_size=vocabulary_size,
        special_tokens=special,
        initial_alphabet=letters,
        limit_alphabet=len(letters),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer = _tokenizer(tokenizer.get_vocab())
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    make: Any = PreTrainedTokenizerFast
    return make(
        tokenizer_object=tokenizer,
        model_max_length=MAX_LENGTH,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )


def _tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _letters(tokenizer: Tokenizer, texts: Sequence[str], most: int) -> list[str]:
    """The most frequent characters, in order."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(tokenizer.normalizer.normalize_str(text))
    known = [letter for letter in counts if not letter.isspace()]
    return sorted(sorted(known, key=lambda letter: (-counts[letter], letter))[:most])


def weak_labels(texts: Sequence[str], matcher: AliasMatcher, tokenizer: Any) -> list[Labelled]:
    """The texts' tokens, labelled with what the matcher marks."""
    found = matcher.match(texts)
    borders = np.searchsorted(found.texts, np.arange(len(texts) + 1))
    starts, ends = found.starts, found.ends
    labelled = []
    for one in tokenize_texts(tokenizer, texts):
        mine = slice(borders[one.number], borders[one.number + 1])
        labels = np.full(len(one.ids), _UNLABELLED, np.int64)
        labels[one.firsts] = _word_labels(one.starts, one.ends, starts[mine], ends[mine])
        room = MAX_LENGTH - 2
        labelled.append(Labelled(one.ids[:room], labels[:room]))
    return labelled


def _word_labels(word_starts: Ints, word_ends: Ints, starts: Ints, ends: Ints) -> Ints:
    """``[words]`` numbers in `LABELS`; a word is in the span that it shares a character with."""
    if not len(starts):
        return np.zeros(len(word_starts), np.int64)
    spans = np.searchsorted(ends, word_starts, side="right")
    inside = spans < len(starts)
    inside &= starts[np.minimum(spans, len(starts) - 1)] < word_ends
    begins = np.ones(len(spans), np.bool_)
    begins[1:] = (spans[1:] != spans[:-1]) | ~inside[:-1]
    return np.where(inside, np.where(begins, 1, 2), 0)


def fit_classifier(
    texts: Sequence[Labelled],
    tokenizer: Any,
    *,
    hidden_size: int,
    layers: int,
    heads: int,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> BertForTokenClassification:
    """Train from random weights on the CPU: the learning rate rises, then falls to 0."""
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden_size,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden_size,
        max_position_embeddings=MAX_LENGTH,
        id2label=dict(enumerate(LABELS)),
        label2id={label: number for number, label in enumerate(LABELS)},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = BertForTokenClassification(config)
        optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=0.01)
        warm_up = max(1, int(_WARM_UP * steps))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: min((step + 1) / warm_up, (steps - step) / steps)
        )
        batches = _batches(texts, tokenizer, batch_size, seed)
        for _ in bar(range(steps), label="train the recognizer", total=steps, unit=" steps"):
            loss = model(**next(batches)).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return model


def _batches(
    texts: Sequence[Labelled], tokenizer: Any, size: int, seed: int
) -> Iterator[dict[str, torch.Tensor]]:
    """Batches without end, the texts of one about equally long."""
    draw = random.Random(seed)
    while True:
        order = draw.sample(range(len(texts)), len(texts))
        batches = []
        for begin in range(0, len(order), _SORTED * size):
            part = sorted(order[begin : begin + _SORTED * size], key=lambda i: len(texts[i].ids))
            batches += [part[i : i + size] for i in range(0, len(part), size)]
        draw.shuffle(batches)
        for batch in batches:
            yield _padded([texts[i] for i in batch], tokenizer)


def _padded(texts: Sequence[Labelled], tokenizer: Any) -> dict[str, torch.Tensor]:
    """``[texts, tokens]`` with the special tokens, some of the others hidden."""
    shape = (len(texts), 2 + max(len(one.ids) for one in texts))
    ids = torch.full(shape, tokenizer.pad_token_id)
    labels = torch.full(shape, _UNLABELLED)
    mask = torch.zeros(shape, dtype=torch.long)
    hidden = torch.rand(shape) < _MASKED
    for row, one in enumerate(texts):
        stop = 1 + len(one.ids)
        ids[row, 1:stop] = torch.from_numpy(one.ids)
        labels[row, 1:stop] = torch.from_numpy(one.labels)
        hidden[row, stop:] = False
        ids[row, 0], ids[row, stop] = tokenizer.cls_token_id, tokenizer.sep_token_id
        mask[row, : stop + 1] = 1
    hidden[:, 0] = False
    ids[hidden] = tokenizer.mask_token_id
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}
