from collections import Counter

import torch

from openmofi.records import VOCABULARY, from_rows
from openmofi.training.texts import SampleTexts

ROWS = [
    {"class_index": 0, "entity_id": "a", "name": "Ada", "description": "poet", "images": 5},
    {"class_index": 1, "entity_id": "b", "name": "Bob", "description": "", "images": 5},
]
UNIFORM = {"alt_text": 1.0, "name": 1.0, "name_and_description": 1.0}


def tokenizer(texts):
    return torch.tensor([[len(text), ord(text[0])] for text in texts])


def texts(mix, seed=0):
    return SampleTexts(from_rows(ROWS, VOCABULARY), tokenizer, {"contrastive": mix}, seed=seed)


def sample(uid="u", labels=(0,), alt_text="a picture"):
    return {"uid": uid, "labels": list(labels), "alt_text": alt_text}


def test_the_mix_is_drawn_by_its_weights():
    source = texts({"alt_text": 2.0, "name": 1.0, "name_and_description": 1.0})
    counts = Counter(source.text("contrastive", epoch, sample(), 0) for epoch in range(4000))
    assert set(counts) == {"a picture", "Ada", "Ada, poet"}
    assert abs(counts["a picture"] - 2000) < 150
    assert abs(counts["Ada"] - 1000) < 130


def test_a_weight_of_zero_never_comes():
    source = texts({"alt_text": 0.0, "name": 1.0, "name_and_description": 0.0})
    assert {source.text("contrastive", epoch, sample(), 0) for epoch in range(200)} == {"Ada"}


def test_without_a_label_it_is_the_alt_text():
    source = texts({"alt_text": 0.0, "name": 1.0, "name_and_description": 0.0})
    unlabelled = sample(labels=())
    assert source.label(0, unlabelled) == -1
    assert source.text("contrastive", 0, unlabelled, -1) == "a picture"


def test_without_a_description_or_alt_text_it_is_the_name():
    both = {"alt_text": 1.0, "name": 0.0, "name_and_description": 1.0}
    drawn = {texts(both).text("contrastive", e, sample(alt_text=""), 1) for e in range(50)}
    assert drawn == {"Bob"}


def test_labels_are_drawn_evenly_and_by_name():
    source = texts(UNIFORM)
    drawn = [source.label(epoch, sample(labels=(0, 1))) for epoch in range(2000)]
    assert abs(sum(drawn) - 1000) < 110
    assert drawn == [texts(UNIFORM).label(epoch, sample(labels=(0, 1))) for epoch in range(2000)]


def test_tokens_follow_the_texts():
    source = texts({"name": 1.0})
    tokens = source.tokens([0, 0], [sample(), sample("v", (1,))], [0, 1])
    assert tokens["contrastive"].tolist() == [[3, ord("A")], [3, ord("B")]]
