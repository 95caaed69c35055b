import bz2
import gzip
import re
from pathlib import Path

import pytest

from openmofi.cli import main
from support.entities import GEORGIA, samples_uri, write_csv, write_wordnet


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    table = str(write_csv(tmp_path / "kb.csv", GEORGIA))
    assert main(["kb", "build", "--csv", table, "--out", str(tmp_path / "kb")]) == 0
    capsys.readouterr()
    return str(tmp_path / "kb")


def test_show_prints_candidates_with_priors(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["kb", "show", "Georgia", "--kb", folder]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("0.667  Q1428  Georgia: state of the southern United States")
    assert lines[1].startswith("0.333  Q230   Georgia: country in the Caucasus")
    assert main(["kb", "show", "Atlantis", "--kb", folder]) == 0
    assert "no alias" in capsys.readouterr().out


def test_build_prints_a_manifest_uri_that_run_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = str(write_csv(tmp_path / "kb.csv", GEORGIA))
    root = str(tmp_path / "root")
    assert main(["kb", "build", "--csv", table, "--root", root]) == 0
    base = capsys.readouterr().out.strip()
    samples = samples_uri(tmp_path / "root", {"00000": [("Tbilisi", None, "ok")]})
    settings = tmp_path / "link.yaml"
    settings.write_text("max_candidates: 1\n")
    command = ["entities", "run", "--samples", samples, "--kb", base, "--config", str(settings)]
    assert main(command) == 0
    assert "/manifests/mentions/" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["kb", "build", "--csv", "absent.csv", "--out", "{new}"], "absent.csv"),
        (["kb", "build", "--wordnet", "absent", "--out", "{new}"], "absent/data.noun"),
        (["kb", "build", "--out", "{new}"], "no source"),
        (["kb", "show", "fox", "--kb", "absent"], "absent is no knowledge base"),
        (["entities", "link", "--kb", "{kb}", "--pairs", "absent", "--out", "{new}"], "no tar"),
        (["entities", "run", "--samples", "x", "--kb", "y"], "not a manifest"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    folder: str,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
    message: str,
) -> None:
    new = tmp_path / "new"
    filled = [part.format(new=new, kb=folder) for part in command]
    assert main(filled) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not new.exists()


def test_stop_phrases_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"entity_id": "Q1", "name": "Can", "aliases": "", "description": "a German band"}]
    table = str(write_csv(tmp_path / "kb.csv", rows))
    wordnet = str(write_wordnet(tmp_path / "wordnet"))
    out = str(tmp_path / "kb")
    assert main(["kb", "build", "--csv", table, "--wordnet", wordnet, "--out", out]) == 0
    assert main(["kb", "show", "can", "--kb", out]) == 0
    assert "stop phrase" in capsys.readouterr().out
    assert main(["kb", "show", "animal", "--kb", out]) == 0
    assert capsys.readouterr().out == "1.000  n00000010  animal (animal): a being that moves\n"


# Bad input, as a user types it.


def tree(folder: Path) -> dict[str, bytes]:
    """Every file and folder below, with the files' bytes."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else b"/"
        for path in folder.rglob("*")
    }


def refused(folder: Path, command: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a command ends with; it leaves the folder as it was."""
    before = tree(folder)
    capsys.readouterr()
    assert main(command) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1, error
    assert tree(folder) == before
    return error


def plain(*lines: str) -> bytes:
    return "\n".join(lines).encode()


DUMP = [
    f'{{"type":"item","id":"Q{n}","labels":{{"en":{{"value":"a{n}"}}}}}},' for n in range(1, 900)
]
GOOD = plain("[", *DUMP, DUMP[0].replace("Q1", "Q1000").rstrip(","), "]", "")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "d.json.gz",
            gzip.compress(GOOD, mtime=0)[:-9],
            r"d\.json\.gz is cut short: its gzip data ends",
        ),
        ("d.json.bz2", bz2.compress(GOOD)[:-9], r"d\.json\.bz2 is cut short: its bzip2 data"),
        ("d.json.gz", gzip.compress(GOOD[:-3], mtime=0), r"d\.json\.gz is cut short: .* ']'"),
        ("d.json", plain("[", *DUMP[:3], "fox,", DUMP[3], "]"), r"d\.json, line 5 is not JSON"),
        ("d.json", b"", r"d\.json is empty"),
        ("d.json.gz", gzip.compress(b"", mtime=0), r"d\.json\.gz is empty"),
        ("d.json", b"[\n]\n", r"d\.json holds no item"),
        ("d.json", b'{"uid": "x", "caption": "a fox"}\n', r"d\.json, line 1 is no Wikidata entity"),
        ("d.json", b'{"a": 1,\n "b": 2}\n', r"d\.json, line 1 is not JSON"),
        ("d.json", b'["fox"]\n', r"d\.json, line 1 is no Wikidata entity"),
    ],
)
def test_a_bad_dump_is_one_line_and_leaves_nothing(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    data: bytes,
    message: str,
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    command = ["kb", "build", "--wikidata", str(path), "--out", str(tmp_path / "new" / "kb")]
    # Processes take a while to start: where the line comes from one of them is enough.
    for workers in ("1", "2") if "line 5" in message else ("1",):
        assert re.search(message, refused(tmp_path, [*command, "--workers", workers], capsys))


def test_an_item_that_is_told_twice_is_named_with_both_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "dump.json"
    path.write_bytes(plain("[", *DUMP[:5], DUMP[1].rstrip(","), "]"))
    command = ["kb", "build", "--wikidata", str(path), "--root", str(tmp_path / "root")]
    capsys.readouterr()
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "dump.json, line 7: entity id 'Q2' is also in line 3" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "root" / "manifests").exists()


@pytest.mark.parametrize(
    ("config", "options", "message"),
    [
        (
            "wikidata: {languges: [en]}",
            [],
            "unknown key 'wikidata.languges'; known here: .*languag",
        ),
        ("wikidata: {include: [city]}", [], r"'wikidata.include.0': .* got 'city'"),
        ("wikidata: {languages: []}", [], "'wikidata.languages'"),
        ("wikidata: {languages: [en, en]}", [], "languages must differ"),
        ("same_id: merge", [], "'same_id'.* got 'merge'"),
        ("max_alias_tokens: 65", [], "'max_alias_tokens'"),
        ("[", [], r"kb\.yaml is not valid YAML"),
        ("", ["--workers", "0"], "--workers must be 1 or more, got 0"),
        ("", ["--out", "{tmp}/dump.json/kb"], "cannot write .*dump.json/kb"),
        ("", ["--out", "."], "'.' is no name for a new folder"),
        ("", ["--out", "s3://bucket/kb"], "'s3://bucket/kb' is no name for a new folder"),
    ],
)
def test_bad_settings_are_one_line_and_leave_nothing(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    config: str,
    options: list[str],
    message: str,
) -> None:
    (tmp_path / "dump.json").write_bytes(GOOD)
    (tmp_path / "kb.yaml").write_text(config)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    command = ["kb", "build", "--wikidata", f"{tmp_path}/dump.json", "--out", f"{tmp_path}/new/kb"]
    command += ["--config", f"{tmp_path}/kb.yaml", *(x.format(tmp=tmp_path) for x in options)]
    assert re.search(message, refused(tmp_path, command, capsys))


def test_a_damaged_knowledge_base_is_one_line(
    tmp_path: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def shown() -> str:
        return refused(tmp_path, ["kb", "show", "georgia", "--kb", folder], capsys)

    matcher = Path(folder, "matcher")
    for path in sorted(matcher.glob("*.npy")):
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        assert f"{path.name} is missing or" in shown()
        path.write_bytes(whole)
    head = (matcher / "matcher.json").read_text()
    (matcher / "matcher.json").write_text(head.replace('"format": ', '"format": 9'))
    assert re.search(r"matcher\.json has format 9\d+, this release reads", shown())
    (matcher / "matcher.json").write_text(head[:-5])
    assert "matcher.json is missing or damaged" in shown()
    (matcher / "matcher.json").write_text(head)
    assert main(["kb", "show", "georgia", "--kb", folder]) == 0


def test_what_is_no_knowledge_base_is_one_line(
    tmp_path: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other, out = tmp_path / "other", str(tmp_path / "out")
    other.mkdir()
    for command in (
        ["kb", "show", "fox", "--kb", str(other)],
        ["kb", "merge", folder, str(other), "--out", out],
    ):
        assert "other is no knowledge base: it has no kb.json" in refused(tmp_path, command, capsys)
    command = ["kb", "merge", folder, "--out", out]
    assert "kb merge needs two" in refused(tmp_path, command, capsys)
