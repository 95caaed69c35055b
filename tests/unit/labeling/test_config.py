import pytest

from openmofi.config import parse_config
from openmofi.errors import InputError
from openmofi.labeling.config import EmbedConfig, LabelConfig


def test_an_entity_is_its_name_and_description():
    assert LabelConfig().text_of("crane", "a wading bird") == "crane, a wading bird"


def test_without_a_description_the_name_stands_alone():
    assert LabelConfig().text_of("crane", "") == "crane"


def test_a_template_without_description_serves_every_entity():
    config = LabelConfig(template="a photo of {name}.")
    assert config.text_of("crane", "") == config.text_of("crane", "x") == "a photo of crane."


def test_braces_in_a_name_are_left_alone():
    assert LabelConfig().text_of("{name}", "{0}") == "{name}, {0}"


@pytest.mark.parametrize(
    "template", ["{nmae}", "no field", "{name.x}", "{name!r}", "{name:>99}", "{0}", "{", "{name} {"]
)
def test_a_template_that_cannot_be_filled_is_refused(template):
    with pytest.raises(InputError, match="label: 'template'"):
        parse_config(LabelConfig, {"template": template}, where="label")


def test_the_name_template_knows_no_description():
    with pytest.raises(InputError, match=r"only \{name\}"):
        parse_config(LabelConfig, {"name_template": "{name} {description}"}, where="label")


def test_speed_options_are_not_semantic():
    assert EmbedConfig(batch_size=2).semantic() == EmbedConfig(device="cpu").semantic()
    assert LabelConfig(batch_size=2).semantic() == LabelConfig(device="cpu").semantic()
    assert LabelConfig(template="{name}").semantic() != LabelConfig().semantic()


def test_when_texts_are_encoded_cannot_change_the_result():
    assert LabelConfig(entities="all").semantic() == LabelConfig().semantic()
