"""One Chromium for all tests, and the reports that they look at."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.report import browser, drawn


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    with browser.started(tmp_path_factory.mktemp("chromium")) as found:
        yield found


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Give the report of a life, as a file."""
    folder = tmp_path_factory.mktemp("reports")

    def written(life: str) -> Path:
        page = folder / f"{life}.html"
        if not page.exists():
            drawn.write(life, page)
        return page

    return written
