"""Known queries in a golden set, from a table of queries and documents."""

import pytest

from canary_checks import entry, failure
from canary_checks.golden import folder, lint, queries
from canary_checks.parity import retrieval
from tests.unit.canary_checks import golden_sets, known_sets

TABLE = """how do I reset it,Press the red button.
how do I reset it,"Hold it for 5 s, then wait."
what is it,p-002
a cat,Press the red button.
"""


def add(tmp_path, table: str, *more: str) -> int:
    target = tmp_path / "set"
    if not target.exists():
        golden_sets.written(target)
    (tmp_path / "queries.csv").write_text(table)
    options = ["--queries", str(tmp_path / "queries.csv"), "--stratum", "judged", *more]
    return entry.main(["golden", "add", str(target), *options])


def expected(tmp_path) -> dict[str, list[str]]:
    pack = folder.read(tmp_path / "set")
    return {
        item.text: [pack.by_id[name].text for name in item.relevant] for item in pack.items if item.relevant
    }


def test_queries_and_what_they_should_find_are_added(tmp_path):
    assert add(tmp_path, TABLE) == 0
    assert expected(tmp_path) == {
        "a cat": ["Press the red button."],
        "how do I reset it": ["Press the red button.", "Hold it for 5 s, then wait."],
        "what is it": ["A Cat"],
    }
    pack = folder.read(tmp_path / "set")
    strata = {item.text: item.stratum for item in pack.items}
    assert (strata["what is it"], strata["Press the red button."]) == ("judged", "document")
    assert (strata["a cat"], pack.version) == ("plain", "2")
    assert len(retrieval.known(pack.items).queries) == 3
    assert add(tmp_path, "what is it,a cat\n") == 0
    assert expected(tmp_path)["what is it"] == ["A Cat", "a cat"]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("alone\n", "line 1 of the queries: it is not `query,document`"),
        ("a,b\nc,\n", "line 2 of the queries: it is not `query,document`"),
        ("same,same\n", "it expects itself"),
        ('"open', "no CSV in UTF-8"),
        ("".join(f"q,d{n}\n" for n in range(101)), "it expects 101 items, more than 100"),
    ],
)
def test_what_is_no_table_of_queries_changes_nothing(tmp_path, capsys, table, said):
    assert add(tmp_path, table) == 3
    assert said in capsys.readouterr().err
    assert folder.read(tmp_path / "set").version == "1"


def test_a_document_may_be_a_query_too(tmp_path):
    assert add(tmp_path, "one,two\ntwo,one\n") == 0
    assert expected(tmp_path) == {"one": ["two"], "two": ["one"]}


def test_a_table_that_is_no_text_is_an_error():
    with pytest.raises(failure.CheckError, match="no CSV in UTF-8"):
        queries.read(b"\xff\xfe")


@pytest.mark.parametrize(
    ("queries_", "documents", "reasons"),
    [
        (99, 150, {"FewKnownQueries"}),
        (99, 99, {"FewKnownQueries", "FewDocuments"}),
        (100, 100, set()),
    ],
)
def test_lint_says_when_a_search_would_have_no_data(tmp_path, queries_, documents, reasons):
    found = lint.lint(known_sets.written(tmp_path / "set", queries_, documents))
    assert {one.reason for one in found} & {"FewKnownQueries", "FewDocuments"} == reasons
