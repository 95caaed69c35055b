"""Small sources of knowledge bases, and sample tables without an ingest."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from openmofi import records
from openmofi.entities.build import build_knowledge_base_folder
from openmofi.entities.knowledge_base import KnowledgeBase, load_knowledge_base_folder
from openmofi.keys import content_digest, hash_json
from openmofi.storage import open_store
from openmofi.versions import ShardEntry, TableVersion, write_table_version

GEORGIA = [
    {
        "entity_id": "Q230",
        "name": "Georgia",
        "aliases": "Republic of Georgia",
        "description": "country in the Caucasus between Europe and Asia, capital Tbilisi",
        "prior": "1",
        "parents": "country",
    },
    {
        "entity_id": "Q1428",
        "name": "Georgia",
        "aliases": "State of Georgia|Peach State",
        "description": "state of the southern United States, capital Atlanta",
        "prior": "2",
        "parents": "",
    },
    {
        "entity_id": "Q994",
        "name": "Tbilisi",
        "aliases": "",
        "description": "capital of the country Georgia in the Caucasus",
        "prior": "1",
        "parents": "",
    },
    {
        "entity_id": "Q23556",
        "name": "Atlanta",
        "aliases": "",
        "description": "capital of the state Georgia in the southern United States",
        "prior": "1",
        "parents": "",
    },
    {
        "entity_id": "country",
        "name": "country",
        "aliases": "",
        "description": "land with a government of its own",
        "prior": "1",
        "parents": "",
    },
]

# What linking has to tell apart: id, name, aliases, kind, prior, parents, description.
_LINKING = """
animal;animal;;animal;5;;a being that moves and breathes
dog;dog;hound;animal;9;animal;an animal that barks and guards the barn
dogs;Dogs;;communication;1;;a film about a barn and a hound
hotdog;hot dog;red hot;food;3;;sausage in a bun with mustard
bear;bear;;animal;5;animal;an animal with brown fur
polarbear;polar bear;;animal;4;bear;white bear of the snow and the ice
bears;Bears;Chicago Bears;group;3;;a football team from Chicago
lion;lion;;animal;6;animal;a big cat with a mane
sealion;sea lion;;animal;2;seal;a seal with ears that lives in the sea
seal;seal;;animal;4;animal;an animal of the sea that eats fish
sealing;seal;stamp;artifact;3;;wax on a letter, a stamp
seals;Seals;;group;1;;a hockey team
Seal;Seal;;person;6;;a singer from London
pants;pants;trousers;artifact;4;;clothes for the legs
pant;pant;;act;1;;a short breath, as of a dog
glass;glass;;substance;4;;what windows are made of
glasses;glasses;;artifact;5;;lenses before the eyes
drum;bongo drum;;artifact;2;;a drum played with the hands
Drums;Drums;drums;group;1;;a band that plays loud
sheep;sheep;;animal;3;animal;an animal with wool on a farm
red;red;;attribute;2;;the colour of blood and roses
Red;Red;;communication;2;;a film and a poem
barn;barn;red barn;artifact;3;;a building of a farm for horses
horse;horse;;animal;6;animal;an animal of the farm with a mane
snow;snow;;substance;4;;white ice that falls in winter
swim;swim;swimming;act;2;;moving in the sea
gallop;gallop;galloping;act;1;;how a horse runs
two;two;2;quantity;1;;one and one
five;five;5|Number 5;quantity;1;;a number
US;US;United States|U.S.;location;9;;a country of America with the city Chicago
It;It;;communication;2;;a film with a clown
Can;Can;;group;1;;a band from Cologne
can;can;tin can;artifact;2;;a tin for food or drink
left;left;Left;group;1;;a side of politics
photo;photo;;communication;2;;a picture of light
Photo;Photo;;communication;1;;a magazine
spring;spring;;time;5;;the season after winter
coil;spring;coil;artifact;2;;bent metal
well;spring;water spring;object;2;;water out of the ground
joy;joy;delight;feeling;3;;gladness
Georgia;Georgia;;location;5;;a country with the city Tbilisi
state;Georgia;Peach State;location;6;US;a state of America with the city Atlanta
Atlanta;Atlanta;;location;3;state;a city of the state in America
Tbilisi;Tbilisi;;location;2;Georgia;a city of the country
Polly;Polly;Poly;person;1;;a parrot
doe;doe;;animal;1;animal;a deer without antlers
John;John Doe;;person;1;;nobody knows him
odd;odd thing;thing;;1;;of no kind
"""
_FIELDS = ("entity_id", "name", "aliases", "kind", "prior", "parents", "description")
LINKING = [
    dict(zip(_FIELDS, line.split(";"), strict=True)) for line in _LINKING.strip().splitlines()
]

# Four synsets: an animal and a person called crane, their hypernyms, and an irregular plural.
DATA_NOUN = """\
  1 A licence of the maker of this file.
00000010 03 n 02 animal 0 beast 0 001 ~ 00000020 n 0000 | a being that moves; "the animal ran"
00000020 05 n 01 crane 0 001 @ 00000010 n 0000 | wading bird of marshes; "a crane; a heron"
00000030 18 n 01 Crane 0 001 @i 00000040 n 0000 | United States writer (1871-1900)
00000040 18 n 03 person 0 human_being 0 man 0 000 | a human being
"""
INDEX_NOUN = """\
  1 A licence of the maker of this file.
animal n 1 1 ~ 1 1 00000010
beast n 1 1 ~ 1 0 00000010
crane n 2 1 @ 2 1 00000030 00000020
human_being n 1 0 1 1 00000040
man n 1 0 1 1 00000040
person n 1 0 1 1 00000040
"""
NOUN_EXC = "men man\nhuman_beings human_being\n"


def write_wordnet(folder: Path, **changed: str) -> Path:
    """A folder of WNDB files; ``data_noun=…`` and the like put other text in a file's place."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"data_noun": DATA_NOUN, "index_noun": INDEX_NOUN, "noun_exc": NOUN_EXC, **changed}
    for name, text in texts.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    return folder


def write_csv(path: Path, rows: Sequence[Mapping[str, str]]) -> Path:
    """A CSV with the columns of the first row."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def samples_uri(root: Path, shards: Mapping[str, Sequence[tuple[str, str | None, str]]]) -> str:
    """A ``samples`` table of (alt text, title, status) rows, without images."""
    store = open_store(str(root))
    entries = []
    for shard, texts in shards.items():
        rows = [_sample(number, *one) for number, one in enumerate(texts)]
        table = records.from_rows(rows, records.SAMPLES)
        sink = io.BytesIO()
        pq.write_table(table, sink)
        key = hash_json([shard, rows])
        store.put(f"tables/samples/{key}.parquet", sink.getvalue())
        entries.append(
            ShardEntry(
                shard=shard,
                recipe_key=key,
                content_digest=content_digest(table),
                table_key=f"tables/samples/{key}.parquet",
                tar_key=f"pool/{key}.tar",
                rows=len(rows),
                bytes=len(sink.getvalue()),
                counts={"ok": len(rows)},
                totals={},
            )
        )
    return write_table_version(store, TableVersion("samples", 1, {}, {}, tuple(entries)))


def _sample(number: int, alt_text: str, title: str | None, status: str) -> dict[str, object]:
    return {
        "uid": hash_json([number, alt_text, title]),
        "key": f"{number:09d}",
        "offset": 0,
        "length": 0,
        "alt_text": alt_text,
        "title": title,
        "width": 8,
        "height": 8,
        "status": status,
    }


def write_dump_of(path: Path, items: Mapping[str, Mapping[str, Any]]) -> Path:
    """A Wikidata dump of few items, one a line after the first.

    Args:
        path: Plain JSON.
        items: By id: ``redirect``; or ``label`` (else the id), ``aliases``, ``P31`` and ``P279``
            (ids), ``sites`` (how many).
    """
    lines = [json.dumps(_dump_item(entity_id, **fields)) for entity_id, fields in items.items()]
    path.write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    return path


def _dump_item(entity_id: str, **fields: Any) -> dict[str, Any]:
    if "redirect" in fields:
        return {"entity": entity_id, "redirect": fields["redirect"]}

    def term(text: str) -> dict[str, str]:
        return {"language": "en", "value": text}

    def statement(target: str) -> dict[str, Any]:
        value = {"value": {"entity-type": "item", "id": target}, "type": "wikibase-entityid"}
        snak = {"snaktype": "value", "datavalue": value}
        return {"mainsnak": snak, "type": "statement", "rank": "normal"}

    relations = {name: fields[name] for name in ("P31", "P279") if name in fields}
    return {
        "type": "item",
        "id": entity_id,
        "labels": {"en": term(fields.get("label", entity_id))},
        "descriptions": [],
        "aliases": {"en": [term(alias) for alias in fields.get("aliases", ())]},
        "claims": {name: [statement(x) for x in some] for name, some in relations.items()},
        "sitelinks": {f"wiki{number}": {} for number in range(fields.get("sites", 0))},
    }


def linking_base(folder: Path) -> KnowledgeBase:
    """A knowledge base of `LINKING` and the four synsets, in a folder."""
    return load_knowledge_base_folder(
        build_knowledge_base_folder(
            str(folder / "kb"),
            csv=str(write_csv(folder / "linking.csv", LINKING)),
            wordnet=str(
                write_wordnet(folder / "wordnet", noun_exc="men man\nsheep sheep\nmanes mane\n")
            ),
        )
    )
