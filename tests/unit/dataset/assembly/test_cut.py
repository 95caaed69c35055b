"""A calibrated cut: which it is, what is refused, and what the version and its card say."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from openmofi.errors import InputError
from openmofi.labeling.config import LabelConfig
from openmofi.labeling.quality.calibration import Calibration, Interval, write_calibration
from openmofi.storage import open_store
from support.assembly import assemble, dropped, kept, pool_of, remade
from support.tables import Pool, labelled, without

LABEL = LabelConfig().semantic()
FOUND = Calibration(
    cut=0.30000001192092896,  # 0.3 of 32 bits, as the scores are
    precision_wished=0.9,
    confidence=0.95,
    precision=Interval(0.94, 0.91, 0.96),
    recall=Interval(0.75, 0.7, 0.8),
    without_cut=Interval(0.5, 0.45, 0.55),
    pairs=1234,
    right=617,
    kept=500,
    kept_right=470,
    images=900,
    made_with={"model": "m" * 32, "knowledge_base": "k" * 32, "label": LABEL},
    sample="5" * 32,
    curve=(),
)


@pytest.fixture
def pool(root: Path) -> Pool:
    return scored(
        pool_of(
            root,
            labelled(1, ("peru", 0.4)),
            labelled(2, ("peru", 0.3)),  # at the cut
            labelled(3, ("peru", 0.299)),
        )
    )


def scored(pool: Pool, *, config: dict[str, Any] = LABEL, **digests: str) -> Pool:
    return remade(pool, "entity_scores", digests={"model": "m" * 32, **digests}, config=config)


def written(path: Path, calibration: Calibration = FOUND) -> str:
    write_calibration(calibration, path)
    return str(path)


def test_the_cut_is_the_calibrations_and_the_version_says_so(
    pool: Pool, knowledge_base: str, tmp_path: Path
) -> None:
    made = assemble(pool, knowledge_base, calibration=written(tmp_path / "c.json"))
    assert kept(made) == {"a/0": ["peru"], "a/1": ["peru"]}
    assert dropped(made) == {"a/2": "no_entity"}
    assert made.content["min_score"] == FOUND.cut
    assert made.content["calibration"] == {
        "digest": FOUND.digest,
        "cut": FOUND.cut,
        "precision_wished": 0.9,
        "confidence": 0.95,
        "precision": [0.91, 0.96],
        "recall": [0.7, 0.8],
        "pairs": 1234,
        "knowledge_base": "k" * 32,
    }
    card = made.store.get(made.content["card"]).decode()
    assert "Cut 0.3, precision at least 90% with 95% confidence, by 1,234 judged pairs" in card
    assert "91.0% to 96.0% are right, and it keeps 70.0% to 80.0%" in card


def test_without_a_calibration_the_version_has_the_configs_cut(
    pool: Pool, knowledge_base: str
) -> None:
    made = assemble(pool, knowledge_base, min_score=0.35)
    assert (made.content["min_score"], made.content["calibration"]) == (0.35, None)
    assert "judged pairs" not in made.store.get(made.content["card"]).decode()


def test_its_content_is_in_the_recipe_and_its_place_is_not(
    pool: Pool, knowledge_base: str, root: Path, tmp_path: Path
) -> None:
    def digest(location: str) -> str:
        return assemble(pool, knowledge_base, calibration=location).digest

    one = written(tmp_path / "c.json")
    store = open_store(str(root))
    store.put("calibrations/c.json", Path(one).read_bytes())
    assert digest(f"{store.uri}/calibrations/c.json") == digest(one)
    assert digest(written(tmp_path / "d.json", replace(FOUND, cut=0.25))) != digest(one)


def test_two_cuts_are_refused(pool: Pool, knowledge_base: str, tmp_path: Path) -> None:
    file = written(tmp_path / "c.json")
    with pytest.raises(InputError, match=r"calibration .*c.json gives the cut, and min_score 0.25"):
        assemble(pool, knowledge_base, calibration=file, min_score=0.25)


@pytest.mark.parametrize(
    ("made_with", "match"),
    [
        ({"model": "0" * 32}, r"made with model '000.*and entity_scores with 'mmm"),
        ({"label": {**LABEL, "template": "{name}"}}, r"made with template '\{name\}', and"),
        ({"label": {**LABEL, "image_weight": 5.0}}, "made with image_weight 5.0, and .* None"),
        ({"label": {}}, "made with image_weight None, and"),
    ],
)
def test_a_calibration_of_other_scores_is_refused(
    pool: Pool, knowledge_base: str, tmp_path: Path, made_with: dict[str, Any], match: str
) -> None:
    file = written(tmp_path / "c.json", replace(FOUND, made_with={**FOUND.made_with, **made_with}))
    with pytest.raises(InputError, match=match) as caught:
        assemble(pool, knowledge_base, calibration=file)
    assert "\n" not in str(caught.value)


def test_a_calibration_that_does_not_say_what_it_is_of_is_refused(
    pool: Pool, knowledge_base: str, tmp_path: Path
) -> None:
    file = written(tmp_path / "c.json", replace(FOUND, made_with={}))
    with pytest.raises(InputError, match="made with model None"):
        assemble(pool, knowledge_base, calibration=file)


def test_another_knowledge_base_is_told(
    pool: Pool,
    knowledge_base: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    file = written(tmp_path / "c.json")
    assemble(pool, knowledge_base, calibration=file)
    assert f"made with another knowledge base ({'k' * 32}, these scores with" in (
        capfd.readouterr().err
    )
    used = json.loads(Path(file).read_text())["made_with"] | {"knowledge_base": ""}
    same = written(tmp_path / "d.json", replace(FOUND, made_with=used))
    assemble(pool, knowledge_base, calibration=same)
    assert "another knowledge base" not in capfd.readouterr().err


def test_it_needs_scores(pool: Pool, knowledge_base: str, tmp_path: Path) -> None:
    file = written(tmp_path / "c.json")
    bare = without(pool, "entity_scores")
    with pytest.raises(InputError, match="no entity_scores were given"):
        assemble(bare, knowledge_base, calibration=file, require_entities=False)
