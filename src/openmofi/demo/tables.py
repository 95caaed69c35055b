"""The demo crawl's tables: the knowledge base, and the names of the evaluation classes."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from openmofi.demo.domain import Domain, Entity


def write_knowledge_base(path: Path, domains: Sequence[Domain]) -> None:
    """All entities of the domains, drawn or only known, as one CSV."""
    rows = (
        [
            entity.entity_id,
            entity.name,
            "|".join(entity.aliases),
            entity.description,
            f"{entity.prior:g}",
            "|".join(entity.parents),
        ]
        for domain in domains
        for entity in (*domain.drawn, *domain.known)
    )
    _write(path, ["entity_id", "name", "aliases", "description", "prior", "parents"], rows)


def write_class_names(folder: Path, domains: Sequence[Domain]) -> None:
    """``classes.csv`` of an evaluation set; of several domains, one more in each domain's folder.

    So a domain's folder is an evaluation set of its own, and the whole is one too.
    """
    columns = ["folder", "name", "domain"]
    rows = [
        (evaluation_folder(domains, domain, entity), _class_name(domain, entity), domain.name)
        for domain in domains
        for entity in domain.drawn
    ]
    _write(folder / "classes.csv", columns, rows)
    for domain in domains if len(domains) > 1 else ():
        (folder / domain.name).mkdir()
        own = [(e.entity_id, _class_name(domain, e), domain.name) for e in domain.drawn]
        _write(folder / domain.name / "classes.csv", columns, own)


def evaluation_folder(domains: Sequence[Domain], domain: Domain, entity: Entity) -> str:
    """A class's folder within the evaluation set; of several domains, in its domain's folder."""
    return entity.entity_id if len(domains) == 1 else f"{domain.name}/{entity.entity_id}"


def _class_name(domain: Domain, entity: Entity) -> str:
    return domain.wording.class_name.format(name=entity.name)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
