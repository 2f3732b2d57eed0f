"""A page as a parser sees it."""

from html import parser

VOID = {"meta", "img"}
ASKING = ("src", "href", "action", "srcset", "data", "poster", "xlink:href", "background", "formaction")


class Page(parser.HTMLParser):
    """The elements, attributes and texts of a page; every element has to be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.style = ""
        self.parts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).split())

    @property
    def tags(self) -> set[str]:
        return {tag for tag, _ in self.elements}

    @property
    def asked(self) -> set[str]:
        """What a browser would fetch."""
        return {said for _, given in self.elements for name in ASKING if (said := given.get(name))}

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [given for found, given in self.elements if found == tag]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.parts.append(data)
