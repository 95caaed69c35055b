"""What is left on stderr where nobody watches."""

from openmofi.progress import bar, say


def test_a_short_loop_leaves_no_bar_in_a_log(capsys):
    assert list(bar(range(3), label="fingerprints", unit="file")) == [0, 1, 2]
    say("3 files")
    assert capsys.readouterr().err == "3 files\n"
