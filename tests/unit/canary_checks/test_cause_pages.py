"""Every cause that may be named has its page, and no page is about another."""

import pathlib

from canary_checks.parity import diagnosis

PAGES = pathlib.Path(__file__).parents[3] / "docs" / "causes"


def test_every_cause_has_a_page_and_every_page_a_cause():
    pages = {page.stem for page in PAGES.glob("*.md")} - {"README"}
    assert pages == {cause.name for cause in diagnosis.TABLE}


def test_the_index_names_every_cause():
    index = (PAGES / "README.md").read_text("utf-8")
    assert [cause.name for cause in diagnosis.TABLE if f"[{cause.name}]({cause.name}.md)" not in index] == []
