"""Token classifiers whose labels are known: a word's label is written into the weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
BIO = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def write_recognizer(
    folder: Path,
    words: Mapping[str, str],
    *,
    labels: Sequence[str] = BIO,
    max_length: int = 16,
) -> Path:
    """A one-layer BERT that labels each word-piece by a table, whatever stands around it.

    Args:
        folder: Where it goes, in the hub's layout.
        words: Word-piece to label; ``##`` begins one inside a word. All others are the first.
        labels: All labels, by number.
        max_length: Tokens of a window, two special ones included.
    """
    import torch
    from transformers import BertConfig, BertForTokenClassification

    vocabulary = [*SPECIAL, *words]
    save_tokenizer(folder, vocabulary, max_length)
    width = max(8, len(labels))
    model = BertForTokenClassification(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=width,
            num_hidden_layers=1,
            num_attention_heads=1,
            intermediate_size=8,
            max_position_embeddings=max_length,
            id2label=dict(enumerate(labels)),
            label2id={label: number for number, label in enumerate(labels)},
        )
    )
    with torch.no_grad():
        for name, weights in model.named_parameters():
            weights.fill_(1.0 if "LayerNorm.weight" in name else 0.0)
        for number, word in enumerate(vocabulary):
            label = labels.index(words.get(word, labels[0]))
            model.bert.embeddings.word_embeddings.weight[number, label] = 1.0
        model.classifier.weight[range(len(labels)), range(len(labels))] = 1.0
    model.save_pretrained(folder)
    return folder


def write_random_recognizer(
    folder: Path, words: Sequence[str], *, labels: Sequence[str] = BIO, max_length: int = 16
) -> Path:
    """A two-layer BERT with random weights that looks at neighbours and places."""
    import torch
    from transformers import BertConfig, BertForTokenClassification

    vocabulary = [*SPECIAL, *words]
    save_tokenizer(folder, vocabulary, max_length)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        model = BertForTokenClassification(
            BertConfig(
                vocab_size=len(vocabulary),
                hidden_size=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                intermediate_size=16,
                max_position_embeddings=max_length,
                initializer_range=0.8,
                id2label=dict(enumerate(labels)),
                label2id={label: number for number, label in enumerate(labels)},
            )
        )
    model.save_pretrained(folder)
    return folder


def save_tokenizer(folder: Path, vocabulary: Sequence[str], max_length: int) -> None:
    """A lower-casing WordPiece tokenizer of these pieces."""
    from tokenizers import normalizers, pre_tokenizers
    from tokenizers.models import WordPiece

    model = WordPiece({word: i for i, word in enumerate(vocabulary)}, unk_token="[UNK]")
    normalizer = normalizers.BertNormalizer(lowercase=True)
    save_backend(folder, model, max_length, normalizer, pre_tokenizers.BertPreTokenizer())


def save_backend(
    folder: Path, model: Any, max_length: int, normalizer: Any = None, pre_tokenizer: Any = None
) -> None:
    """Any tokenizer whose vocabulary has BERT's special tokens."""
    from tokenizers import Tokenizer
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(model)
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    ends = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair=None, special_tokens=ends
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
