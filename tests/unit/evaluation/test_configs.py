from pathlib import Path

from openmofi.config import parse_config, read_yaml
from openmofi.evaluation.config import EvaluateConfig

FOLDER = Path(__file__).parents[3] / "configs" / "evaluation"


def test_every_shipped_config_parses():
    found = sorted(FOLDER.glob("*.yaml"))
    assert len(found) >= 2
    for path in found:
        parse_config(EvaluateConfig, read_yaml(path), where=str(path))
