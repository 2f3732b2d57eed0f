"""Links lead somewhere, where the code is shown and in the site."""

import re
from pathlib import Path, PurePosixPath
from typing import Any
from urllib import parse

import pytest
from mkdocs.config import base
from pymdownx import slugs

from hack.site import fields, hooks, links, screens
from tests.unit.docs import blocks

SLUG = slugs.slugify(case="lower")


def anchors(page: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {SLUG(re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", title), "-") for title in titles}


@pytest.mark.parametrize("page", blocks.PAGES, ids=lambda page: str(page.relative_to(blocks.ROOT)))
def test_every_link_leads_to_a_file_and_its_heading(page: Path) -> None:
    for link in links.found(page.read_text(encoding="utf-8")):
        split = parse.urlsplit(link.address)
        if split.scheme:
            continue
        path = links.target(page, link.address) if split.path else page
        assert path is not None, link.address
        assert path.exists(), link.address
        if split.fragment:
            assert split.fragment in anchors(path), link.address


def test_links_in_code_are_none() -> None:
    text = "[a](b.md) `[c](d.md)`\n\n```yaml\n[e](f.md)\n```\n\n[g](../h.md#i)\n"
    assert [link.address for link in links.found(text)] == ["b.md", "../h.md#i"]
    assert links.rewritten(text, str.upper) == text.replace("b.md", "B.MD").replace("../h.md#i", "../H.MD#I")


@pytest.mark.parametrize(
    ("address", "meant"),
    [
        ("b.md", "docs/checks/b.md"),
        ("../../hack/x.py#L3", "hack/x.py"),
        ("https://example.test/x.md", None),
        ("#here", None),
    ],
)
def test_what_a_link_means_as_a_file(address: str, meant: str | None) -> None:
    page = blocks.DOCS / "checks" / "a.md"
    assert links.target(page, address) == (None if meant is None else blocks.ROOT / meant)


def test_the_way_from_a_page_to_a_file_of_the_repository() -> None:
    assert links.in_site(blocks.ROOT / "Makefile", blocks.ROOT) == "repository/Makefile"
    assert links.in_site(blocks.ROOT / "hack", blocks.ROOT) == "repository/hack/index.md"
    assert links.relative(PurePosixPath("checks/a.md"), "repository/Makefile") == "../repository/Makefile"


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<script src="https://cdn.test/x.js"></script>', ["https://cdn.test/x.js"]),
        ("<link rel=stylesheet href=//fonts.test/a.css>", ["//fonts.test/a.css"]),
        ('<img alt="" src="images/life.svg">', []),
        ('<a href="https://example.test/">people follow it</a>', []),
    ],
)
def test_what_a_page_fetches_from_elsewhere_is_found(html: str, found: list[str]) -> None:
    assert list(links.fetched(html)) == found


def test_a_folder_in_the_navigation_stands_for_its_other_pages(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("README", "x", "y"):
        (tmp_path / "a" / f"{name}.md").touch()
    (tmp_path / "new.md").touch()
    nav: Any = [{"A": ["a/README.md", "a/*.md", "none*.md", "n*.md", "*.md"]}, {"Y": "a/y.md"}]
    named = set(hooks._named(nav))
    assert hooks._expanded(nav, tmp_path, named) == [
        {"A": ["a/README.md", "a/x.md", "new.md"]},
        {"Y": "a/y.md"},
    ]


def test_a_page_stands_in_the_navigation_once() -> None:
    named = hooks._named(base.load_config(str(blocks.ROOT / "mkdocs.yml")).nav)
    assert sorted(named) == sorted(set(named))


def test_the_page_of_fields_has_them_with_bounds_and_rules() -> None:
    page = fields.page()
    assert "### spec.strategy.canary\n" in page
    assert "| `startupDeadlineSeconds`? | integer | `900` | ≥ 1" in page
    assert "| `verdict`? | `Pass` `Fail`" in page
    assert "Rules:\n\n- must " in page


def test_the_page_of_screens_has_each_of_them() -> None:
    page = screens.page()
    assert page.count("\n## ") == len(list(screens.FOLDER.glob("*-60.txt")))
    assert "\n## rollback: warm\n\n```text\nWill reject " in page
