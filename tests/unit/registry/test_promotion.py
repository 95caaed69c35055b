"""Scope: a person's word about champions, its record, and what the command line tells of it."""

import itertools
import json

import pytest

from openmofi import tracking
from openmofi.cli import main
from openmofi.errors import InputError
from openmofi.registry.champions import Change, former_champions, read_history, settle
from openmofi.registry.promotion import promote, rollback
from openmofi.registry.turns import ensure_registered, turn
from support.mlflow_databases import new_database
from support.registries import KilledError, add_version, bury, die_after

_NUMBERS = itertools.count()


@pytest.fixture(scope="module", autouse=True)
def registry(tmp_path_factory):
    folder = tmp_path_factory.mktemp("promotion")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", new_database(folder))
        yield


@pytest.fixture
def client():
    return tracking.mlflow_client()


@pytest.fixture
def name(client):
    """A model of three accepted versions, of which 1 and then 2 were champion."""
    found = f"m{next(_NUMBERS)}"
    ensure_registered(client, found)
    for _ in range(3):
        add_version(client, found)
    for version in ("1", "2"):
        promote(found, version, reason=f"word for {version}")
    return found


def champion(client, name):
    return str(client.get_registered_model(name).aliases["champion"])


def history(client, name):
    return read_history(client.get_registered_model(name).tags)


def changes(*told):
    """``"2<1"`` is a promotion from 1 to 2, ``"1<2!"`` the rollback of it."""
    found = []
    for number, one in enumerate(told, 1):
        version, _, before = one.rstrip("!").partition("<")
        how = "rollback" if one.endswith("!") else "promote"
        found.append(Change(number, version, before, how, "", "", ""))
    return found


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ([], []),
        (["1<"], ["1"]),
        (["1<", "2<1", "3<2"], ["1", "2", "3"]),
        (["1<", "2<1", "3<2", "2<3!"], ["1", "2"]),
        (["1<", "2<1", "3<2", "2<3!", "1<2!"], ["1"]),
        (["1<", "2<1", "1<2!", "3<1"], ["1", "3"]),
        (["5<4"], ["4", "5"]),  # 4 was champion before there was a history
        (["1<", "3<2"], ["1", "2", "3"]),  # 2 was made champion by hand
    ],
)
def test_a_second_rollback_goes_one_further_back(told, expected):
    assert former_champions(changes(*told)) == expected


def test_promotions_and_rollbacks_are_recorded_where_the_ui_shows_them(client, name):
    promote(name, "3", reason="best | in the field")
    assert rollback(name, reason="worse on flags") == "2"
    assert rollback(name, reason="and here") == "1"
    with pytest.raises(InputError, match="had no champion before"):
        rollback(name, reason="once more")
    told = [(c.number, c.version, c.before, c.how, c.why) for c in history(client, name)]
    assert told == [
        (1, "1", "", "promote", "word for 1"),
        (2, "2", "1", "promote", "word for 2"),
        (3, "3", "2", "promote", "best | in the field"),
        (4, "2", "3", "rollback", "worse on flags"),
        (5, "1", "2", "rollback", "and here"),
    ]
    assert all("@" in c.by and c.at.endswith("Z") for c in history(client, name))
    tags = {v: client.get_model_version(name, v).tags for v in "123"}
    assert tags["3"]["openmofi.rolled_back"] == "worse on flags"
    assert "openmofi.champion_until" in tags["3"]
    assert {"openmofi.champion_until", "openmofi.rolled_back"}.isdisjoint(tags["1"])
    description = client.get_registered_model(name).description
    assert "| 3 | 2 |" in description
    assert "best / in the field |" in description


def test_a_persons_description_stays_above_the_table(client, name):
    text = client.get_registered_model(name).description
    client.update_registered_model(name, description=f"Ours.\n\n{text}")
    promote(name, "3")
    described = client.get_registered_model(name).description
    assert described.startswith("Ours.\n\n## Champions")
    assert described.count("## Champions") == 1


def test_what_was_rolled_back_is_no_candidate(client, name):
    client.set_registered_model_alias(name, "candidate", "2")
    rollback(name, reason="bad")
    assert set(client.get_registered_model(name).aliases) == {"champion"}
    client.set_registered_model_alias(name, "candidate", "3")
    promote(name, "candidate")
    rollback(name, to="2", reason="bad again")  # a former champion, rolled back itself
    assert set(client.get_registered_model(name).aliases) == {"champion"}
    assert champion(client, name) == "2"


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("refused", "the gate refused it: it was refused; or insist with --force"),
        ("unfinished", "its registration did not end"),
        ("rolled back", "it was rolled back: bad"),
    ],
)
def test_what_speaks_against_a_version_needs_force_and_a_reason(client, name, version, message):
    if version == "rolled back":
        rollback(name, reason="bad")
        number = "2"
    else:
        how = {"complete": False} if version == "unfinished" else {"decision": "refused"}
        number = add_version(client, name, **how)
    before = champion(client, name)
    with pytest.raises(InputError, match=message):
        promote(name, number)
    with pytest.raises(InputError, match="--force needs a --reason"):
        promote(name, number, force=True, reason=" ")
    assert champion(client, name) == before
    promote(name, number, force=True, reason="I looked")
    assert (champion(client, name), history(client, name)[-1].why) == (number, "I looked")


def test_a_version_that_nothing_could_be_compared_with_is_never_promoted(client, name):
    number = str(client.create_model_version(name, "file:///none").version)
    with pytest.raises(InputError, match="was not registered by 'openmofi register'"):
        promote(name, number, force=True, reason="please")


def test_versions_that_are_not_there_are_told(client, name):
    with pytest.raises(InputError, match="there is no registered model 'nobody'"):
        promote("nobody", "1")
    with pytest.raises(InputError, match="has no version '9'; there is: 1, 2, 3, champion"):
        promote(name, "9")
    with pytest.raises(InputError, match=r"3 of .* never champion"):
        rollback(name, to="3", reason="x")
    client.delete_model_version(name, "1")
    with pytest.raises(InputError, match="version 1, the champion before, is deleted"):
        rollback(name, reason="x")


def state(client, name):
    """All that a change leaves, but for times."""
    model = client.get_registered_model(name)
    versions = [client.get_model_version(name, v) for v in "123"]
    return (
        model.aliases,
        [(c.number, c.version, c.before, c.how, c.why) for c in history(client, name)],
        [sorted(v.tags) for v in versions],
        len(model.description.splitlines()),
        sorted(model.tags),
    )


def test_a_rollback_that_is_killed_anywhere_is_ended_by_the_next_one_to_come(client, monkeypatch):
    def prepared(name):
        ensure_registered(client, name)
        for version in "123":
            add_version(client, name)
            promote(name, version)
        client.set_registered_model_alias(name, "candidate", "3")

    prepared("whole")
    with monkeypatch.context() as patch:
        made = die_after(patch, 999)
        rollback("whole", reason="bad")
    begun = made.index("set_registered_model_tag", 2)  # after the place and its number
    assert len(made) - begun > 8
    for writes in range(begun, len(made) - 2):
        name = f"killed-{writes}"
        prepared(name)
        with monkeypatch.context() as patch:
            die_after(patch, writes)
            with pytest.raises(KilledError):
                rollback(name, reason="bad")
        bury(client, name)
        with turn(client, name, "next") as mine:
            settle(mine)
        if writes == begun:  # nothing was written down yet
            assert champion(client, name) == "3"
        else:
            assert state(client, name) == state(client, "whole"), made[writes]


def test_a_rollback_ends_a_promotion_that_was_cut_off_and_then_goes_back(client, monkeypatch):
    ensure_registered(client, "m")
    for _ in "12":
        add_version(client, "m")
    promote("m", "1")
    with monkeypatch.context() as patch:
        die_after(patch, 4)  # place, number, what is begun, the alias: but no history
        with pytest.raises(KilledError):
            promote("m", "2")
    assert champion(client, "m") == "2"
    bury(client, "m")
    assert rollback("m", reason="bad") == "1"
    history = read_history(client.get_registered_model("m").tags)
    assert [(one.how, one.version) for one in history] == [
        ("promote", "1"), ("promote", "2"), ("rollback", "1"),
    ]  # fmt: skip


def test_the_command_line_lists_shows_promotes_and_rolls_back(client, name, capsys):
    add_version(client, name, decision="refused", compared="2")
    assert main(["registry", "promote", name, "3", "--reason", "seen"]) == 0
    assert main(["registry", "rollback", name, "--reason", "too slow"]) == 0
    assert main(["registry", "promote", name, "4"]) == 2
    told = capsys.readouterr().err
    assert f"version 3 of {name} is the champion\n" in told
    assert "version 3 was compared with no other; the champion is version 2 now" in told
    assert "openmofi: version 4 of" in told

    assert main(["registry", "list", name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:4] == ["version", "decision", "metric", "value"]
    row = lines[1].split()
    assert row[:5] == ["4", "refused", "retrieval/map", "50.00", "+1.00"]
    assert "(? to +2.50) to version 2" in lines[1]
    assert "champion" in lines[3]
    assert lines[-1].endswith("too slow")

    assert main(["registry", "show", name, "champion"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["version"], shown["aliases"], shown["complete"]) == ("2", ["champion"], True)
