"""Twenty links explained, for docs/linking.md: candidates, prior, text, image, verdict.

Run: python -m benchmarks.explain_links --kb KB --pictures DIR --model CLIP
KB is made by `openmofi kb build --wordnet DIR`; the pictures are photographs in tar shards, whose
captions are not read: those below were written for them. Prints Markdown.
"""

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from openmofi.entities.explain import Candidate, Explanation, Mention, explain_texts
from openmofi.images import decode_image
from openmofi.labeling.config import LabelConfig
from openmofi.labeling.settle import settle
from openmofi.models.encoder import ClipEncoder, load_encoder
from openmofi.models.importing import import_model
from openmofi.models.logit_scale import read_logit_scale
from openmofi.shards import TarReader, index_tar

_SHOWN = 3  # candidates a link; the one that is meant is shown whatever its rank
_WIDTH = 60  # of a description
_NONE = "\N{EN DASH}"


class Example(NamedTuple):
    """A caption of ours."""

    caption: str
    surface: str  # the mention that is explained
    meant: str  # entity id; empty: the knowledge base lacks it
    picture: str  # SHARD/KEY, or empty
    why: str  # a reader's remark; empty: none


EXAMPLES = (
    Example(
        "A crane standing on the grass beside a path", "crane", "n02012849", "00001/000010059",
        "No word speaks for either; pictures show animals more often than tools",
    ),
    Example(
        "A crane at the harbour against the evening sky", "crane", "n03126707", "00004/000040067",
        "The same again, and now that guess is wrong: no description of a crane has a harbour",
    ),
    Example(
        "A hunter with his bow and a dead deer", "bow", "n02879718", "00002/000020122",
        "Four senses of one kind; the word hunter stands in no description of them",
    ),
    Example(
        "A mouse on a desk, in front of the screen", "mouse", "n03793489", "00000/000000087",
        "The screen speaks for it, too little against the rodent's prior",
    ),
    Example(
        "A kite in a magnolia tree", "kite", "n01608432", "00000/000000059",
        "But the photograph shows no bird, only the tree: its cosines are close to 0, and what it "
        "adds is noise",
    ),
    Example(
        "A boxer sitting on the grass", "boxer", "n02108089", "00003/000030112",
        "The text alone tosses a coin",
    ),
    Example(
        "A plate of meat in a brown sauce", "plate", "n07579787", "00003/000030084",
        "Meant is the food on it, `n07579787`; the word has fifteen senses, and five are kept",
    ),
    Example(
        "A pirate in a turquoise bay", "pirate", "n03947888", "00002/000020028",
        "Right since things weigh more than persons: with a man in the picture this guess is wrong",
    ),
    Example(
        "Grinding pepper in a stone mortar", "mortar", "n03786901", "00003/000030010",
        "The description says ground, not grinding: of endings, only a plural's is taken off",
    ),
    Example(
        "Bringing the injured man away on a stretcher", "stretcher", "n04336792",
        "00000/000000073", "The description says wounded, not injured",
    ),
    Example(
        "A bat hangs upside down from the ceiling of a cave", "bat", "n02139199", "",
        "By prior and kind; the cave does not speak",
    ),
    Example(
        "Roast turkey with cranberry sauce on a serving dish", "turkey", "n07647731", "",
        "The bird's prior is eight times the meat's, and sauce and dish hardly speak for meat",
    ),
    Example(
        "Istanbul, Turkey: ferries on the Bosporus", "Turkey", "n09039411", "",
        "The capital inside a text that is not all capitals makes the difference",
    ),
    Example(
        "Hot dog with mustard", "Hot dog", "n07697537", "",
        "The head, dog, is a candidate too; a head gains nothing by being a name",
    ),
    Example(
        "Planet Mercury seen from a spacecraft", "Mercury", "n09351408", "",
        "Not likely beforehand; text and capital settle it",
    ),
    Example(
        "Steamed mussels in a pot with parsley", "mussels", "n07783550", "",
        "The food's description says steamed, too",
    ),
    Example(
        "The trunk of an old oak covered in moss", "trunk", "n13165815", "",
        "By a hair: things weigh more than plants, and the oak says too little",
    ),
    Example(
        "Red jaguar parked in front of a hotel", "jaguar", "", "",
        "WordNet has no car of that name, and an only candidate is always sure of itself",
    ),
    Example(
        "Church in Tbilisi, Georgia", "Georgia", "n09018848", "",
        "What Tbilisi's description has in common with them is the name, and that they all have",
    ),
    Example(
        "Fishing boats tied up along the bank of a wide river", "Fishing boats", "n03351262", "",
        "The head, boats, is a candidate too",
    ),
)  # fmt: skip


def pictures(folder: Path, wanted: Sequence[str]) -> dict[str, bytes]:
    """The files of some pictures, by SHARD/KEY."""
    found = {}
    for shard in sorted({name.partition("/")[0] for name in wanted}):
        path = folder / f"{shard}.tar"
        with TarReader(path) as tar:
            for sample in index_tar(path):
                name = f"{shard}/{sample.key}"
                if name in wanted:
                    member = sample.members["jpg"]
                    found[name] = tar.read(member.offset, member.length)
    return found


def cosines_of(
    encoder: ClipEncoder, picture: bytes, candidates: Sequence[Candidate]
) -> npt.NDArray[np.float32]:
    """Of the picture and each candidate, put into words as labeling does."""
    words = LabelConfig()
    texts = encoder.encode_texts([words.text_of(one.name, one.description) for one in candidates])
    cosines: npt.NDArray[np.float32] = texts @ encoder.encode_images([decode_image(picture)])[0]
    return cosines


def settled(mention: Mention, cosines: npt.NDArray[np.float32], scale: float) -> list[float]:
    """Posteriors of a mention's candidates with the picture, as labeling settles them."""
    count = len(mention.candidates)
    found = settle(
        np.zeros(count, np.int64),
        np.array([one.posterior for one in mention.candidates], np.float32),
        cosines,
        np.arange(count),
        np.arange(count),
        scale,
    )
    return list(map(float, found.posterior))


def mention_of(example: Example, explanation: Explanation) -> Mention:
    """The mention that the example is about."""
    for mention in explanation.mentions:
        if mention.surface == example.surface:
            return mention
    raise SystemExit(f"'{example.surface}' is no mention of: {example.caption}")


def verdict(example: Example, mention: Mention, image: Sequence[float]) -> str:
    """Who is right, by the best candidate alone and with the picture."""
    ids = [one.entity_id for one in mention.candidates]
    if not example.meant:
        return "wrong: what is meant is not in the knowledge base"
    if example.meant not in ids:
        return "wrong: what is meant is not kept"
    by_text = ids[0] == example.meant
    if not image:
        return "right" if by_text else "wrong"
    by_image = ids[int(np.argmax(image))] == example.meant
    if by_text == by_image:
        return "right, with and without the picture" if by_text else "wrong, the picture too"
    return "right by the picture" if by_image else "right by the text, the picture spoils it"


def rows_of(
    number: int,
    example: Example,
    mention: Mention,
    cosines: Sequence[float],
    image: Sequence[float],
) -> Iterator[str]:
    """Rows of the table: the likeliest candidates, and the one that is meant."""
    start, end = mention.start, mention.end
    caption = example.caption
    told = f"{number}. {caption[:start]}**{caption[start:end]}**{caption[end:]}"
    judged = verdict(example, mention, image) + (f". {example.why}" if example.why else "")
    for place, one in enumerate(mention.candidates):
        is_meant = one.entity_id == example.meant
        seen = f"{image[place]:.2f} ({cosines[place]:.2f})" if image else _NONE
        best_by_image = bool(image) and int(np.argmax(image)) == place
        if place < _SHOWN or is_meant or best_by_image:
            name = f"**{one.name}**" if is_meant else one.name
            row = [
                f"{name} `{one.entity_id}`: {short(one.description)}",
                f"{one.prior:.2f}",
                f"{one.posterior:.2f}",
                seen,
            ]
            first, last = (told, judged) if place == 0 else ("", "")
            yield f"| {' | '.join([first, *row, last])} |"


def short(description: str) -> str:
    """The beginning of a description, by whole words."""
    cut = description[:_WIDTH].rsplit(" ", 1)[0] if len(description) > _WIDTH else description
    return cut + "\N{HORIZONTAL ELLIPSIS}" * (cut != description)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kb", required=True, help="a knowledge base's folder, of WordNet")
    parser.add_argument("--pictures", type=Path, required=True, help="a folder of tar shards")
    parser.add_argument("--model", required=True, help="a CLIP in open_clip's layout")
    arguments = parser.parse_args()
    found = pictures(arguments.pictures, [one.picture for one in EXAMPLES if one.picture])
    explanations = explain_texts(arguments.kb, [one.caption for one in EXAMPLES])
    with tempfile.TemporaryDirectory() as root:
        model = import_model(root, source=arguments.model)
        encoder, scale = load_encoder(model), read_logit_scale(model)
        verdicts = []
        print("| caption | candidate | prior | text | image | verdict |")
        print("|---|---|---|---|---|---|")
        for number, (example, explanation) in enumerate(
            zip(EXAMPLES, explanations, strict=True), 1
        ):
            mention = mention_of(example, explanation)
            cosines, image = np.zeros(0, np.float32), list[float]()
            if example.picture:
                cosines = cosines_of(encoder, found[example.picture], mention.candidates)
                image = settled(mention, cosines, scale)
            for row in rows_of(number, example, mention, cosines.tolist(), image):
                print(row)
            verdicts.append(verdict(example, mention, image))
    right = sum(one.startswith("right") for one in verdicts)
    by_image = verdicts.count("right by the picture")
    print(f"\n{right} of {len(verdicts)} are right, {by_image} of these by the picture alone.")


if __name__ == "__main__":
    main()
