"""Model folders of a few thousand weights, made in the test."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from openmofi.models.backbones import create_backbone, export_folder, read_backbone_config

SMALL: dict[str, Any] = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 16, "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
}

WORDS = ["crane", "bird", "machine", "large", "wading", "lifts", "heavy", "objects", "cat", "dog"]


def write_model(folder: Path, *, config: dict[str, Any] | str = SMALL, seed: int = 1) -> Path:
    """A folder in open_clip layout with random weights."""
    model = create_backbone(config, seed=seed)
    export_folder(model, *read_backbone_config(config), folder)
    return folder


def write_text_files(folder: Path) -> Path:
    """A tiny BERT's ``config.json`` and a word-level tokenizer of `WORDS`, without a network."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from transformers import BertConfig, PreTrainedTokenizerFast

    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = BertPreTokenizer()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]"
    ).save_pretrained(folder)
    BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=12,
        pad_token_id=0,
    ).save_pretrained(folder)
    return folder


def write_model_with_text_tower(folder: Path) -> Path:
    """The layout that ties a folder to its place: ``hf_model_name`` is an absolute path."""
    import json

    folder.mkdir(parents=True)
    write_text_files(folder)
    text = {
        "context_length": 12,
        "hf_model_name": str(folder),
        "hf_tokenizer_name": "a-name-that-no-hub-has",
        "hf_proj_type": "linear",
        "hf_pooler_type": "mean_pooler",
    }
    config = {**SMALL, "text_cfg": text}
    scratch = folder / "scratch"
    export_folder(
        create_backbone(config, seed=2), *read_backbone_config(config), scratch, text_files=folder
    )
    shutil.move(scratch / "open_clip_model.safetensors", folder)
    shutil.rmtree(scratch)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    return folder


def noise(count: int, side: int = 20) -> list[Image.Image]:
    """Different RGB images."""
    values = np.random.default_rng(3).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
    return [Image.fromarray(value) for value in values]


def write_clip(folder: Path, *, seed: int = 1) -> Path:
    """A CLIP as transformers saves it, vectors of 8 numbers; its tokenizer spells words."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = [*letters, *(f"{one}</w>" for one in letters), "<|startoftext|>", "<|endoftext|>"]
    numbers = {token: number for number, token in enumerate(tokens)}
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    tower |= {"num_attention_heads": 2}
    ends = {"bos_token_id": 52, "eos_token_id": 53, "pad_token_id": 53}
    config = CLIPConfig(
        text_config={**tower, **ends, "vocab_size": 54, "max_position_embeddings": 12},
        vision_config={**tower, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    torch.manual_seed(seed)
    CLIPModel(config).save_pretrained(folder)
    # Resized to more than is cropped, with an odd margin.
    CLIPImageProcessorPil(
        size={"shortest_edge": 19}, crop_size={"height": 16, "width": 16}
    ).save_pretrained(folder)
    CLIPTokenizer(vocab=numbers, merges=[], model_max_length=77).save_pretrained(folder)
    return folder


def write_siglip(folder: Path, *, seed: int = 1) -> Path:
    """A SigLIP as transformers saves it, vectors of 16 numbers; its tokenizer knows `WORDS`."""
    import torch
    from tokenizers import Tokenizer, normalizers, processors
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import BertPreTokenizer
    from transformers import (
        PreTrainedTokenizerFast,
        SiglipConfig,
        SiglipImageProcessorPil,
        SiglipModel,
    )

    vocabulary = {word: i for i, word in enumerate(["<pad>", "<unk>", "<eos>", *WORDS])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A <eos>", special_tokens=[("<eos>", 2)]
    )
    tower = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    tower |= {"num_attention_heads": 2}
    ends = {"bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 0}
    config = SiglipConfig(
        text_config={**tower, **ends, "vocab_size": len(vocabulary), "max_position_embeddings": 9},
        vision_config={**tower, "image_size": 16, "patch_size": 8},
    )
    torch.manual_seed(seed)
    SiglipModel(config).save_pretrained(folder)
    SiglipImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="<eos>",
        model_max_length=9,
        model_input_names=["input_ids"],  # a SigLIP reads its padding
    ).save_pretrained(folder)
    return folder


def write_siglip_with_pieces(folder: Path) -> Path:
    """As `write_siglip`, with SigLIP's own kind of tokenizer, which knows seven letters."""
    import io

    from sentencepiece import SentencePieceTrainer
    from transformers import SiglipTokenizer

    write_siglip(folder)
    for path in folder.glob("*token*.json"):
        path.unlink()
    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(["crane dog"]),
        model_writer=model,
        model_type="char",
        vocab_size=13,  # as many as the text tower has
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(model.getvalue())
    SiglipTokenizer(str(folder / "spiece.model"), model_max_length=9).save_pretrained(folder)
    return folder
