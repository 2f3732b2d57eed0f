"""What servers do to texts before the network: each may be done too much or too little.

A candidate that lost an edit passes when it is sent edited texts. A candidate that makes one too many gives a
text the vector of its edited twin.
"""

import dataclasses
import html
import unicodedata
from collections.abc import Callable, Iterable
from typing import Final

from canary_checks.golden import difference


@dataclasses.dataclass(frozen=True)
class Edit:
    """One change of a text.

    Attributes
    ----------
    name
        What was done to the text, as a participle.
    cause
        What it is called when a server does it, or no longer does it.
    apply
        The change.
    """

    name: str
    cause: str
    apply: Callable[[str], str]


_IDEOGRAPHS: Final = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)

PREFIXES: Final = (
    "query: ",
    "passage: ",
    "search_query: ",
    "search_document: ",
    "clustering: ",
    "classification: ",
    "document: ",
    "Query: ",
    "title: none | text: ",
    "task: search result | query: ",
    "Represent this sentence for searching relevant passages: ",
    "Represent this sentence: ",
    "为这个句子生成表示以用于检索相关文章：",
    "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: ",
)
"""The prompts that models of embeddings are published with."""

_SPECIALS: Final = (
    ("[CLS] ", " [SEP]"),
    ("[CLS] ", ""),
    ("", " [SEP]"),
    ("<s>", "</s>"),
    ("<s>", ""),
    ("", "</s>"),
    ("<bos>", "<eos>"),
    ("<bos>", ""),
    ("", "<eos>"),
    ("", "<|endoftext|>"),
    ("<|begin_of_text|>", ""),
)


def ideographs_apart(text: str) -> str:
    """Put spaces around ideographs, as BERT's normaliser does."""
    return "".join(f" {c} " if _is_ideograph(c) else c for c in text)


def _is_ideograph(character: str) -> bool:
    return any(low <= ord(character) <= high for low, high in _IDEOGRAPHS)


def _folded_spaces(text: str) -> str:
    return " ".join(text.split())


def _stripped(text: str) -> str:
    return text.strip()


def _visible(text: str) -> str:
    return "".join(c for c in text if unicodedata.category(c) not in {"Cf", "Cc"} or c.isspace())


def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character).startswith("P")


def _without_punctuation(text: str) -> str:
    return "".join(c for c in text if not _is_punctuation(c))


def _without_last_stop(text: str) -> str:
    return text.rstrip().removesuffix(".")


def _without_last_punctuation(text: str) -> str:
    end = len(text.rstrip())
    while end and _is_punctuation(text[end - 1]):
        end -= 1
    return text[:end]


def _misread(code: str) -> Callable[[str], str]:
    return lambda text: text.encode("utf-8", "surrogatepass").decode(code, "replace")


def _replaced(code: str) -> Callable[[str], str]:
    return lambda text: text.encode(code, "replace").decode(code)


def _dropped(text: str) -> str:
    return text.encode("ascii", "ignore").decode()


def _form(form: str) -> Callable[[str], str]:
    return lambda text: unicodedata.normalize(form, text)  # type: ignore[arg-type] # one of the four below


def _prefixed(prefix: str) -> Callable[[str], str]:
    return lambda text: prefix + text


def _wrapped(before: str, after: str) -> Callable[[str], str]:
    return lambda text: before + text + after


# Within a cause from the change that touches least to the one that touches most.
_TEXT: Final = (
    Edit("lowercased", "Casing", str.lower),
    Edit("lowercased and freed of accents", "Casing", difference.fold),
    Edit("freed of accents", "Accents", difference.strip_accents),
    Edit("split at every ideograph", "Cjk", ideographs_apart),
    *(Edit(f"brought to {form}", "UnicodeForm", _form(form)) for form in ("NFC", "NFD", "NFKC", "NFKD")),
    Edit("freed of invisible characters", "UnicodeForm", _visible),
    Edit("stripped of white space at the ends", "Whitespace", _stripped),
    Edit("given single spaces", "Whitespace", _folded_spaces),
    Edit("HTML-escaped", "HtmlEscaping", html.escape),
    Edit("HTML-unescaped", "HtmlEscaping", html.unescape),
    Edit("read as latin-1", "Encoding", _misread("latin-1")),
    Edit("read as cp1252", "Encoding", _misread("cp1252")),
    Edit("read as ASCII", "Encoding", _misread("ascii")),
    Edit("reduced to latin-1 with question marks", "Encoding", _replaced("latin-1")),
    Edit("reduced to ASCII with question marks", "Encoding", _replaced("ascii")),
    Edit("freed of every character beyond ASCII", "Encoding", _dropped),
    Edit("freed of the full stop at the end", "Punctuation", _without_last_stop),
    Edit("freed of punctuation at the end", "Punctuation", _without_last_punctuation),
    Edit("freed of punctuation", "Punctuation", _without_punctuation),
    *(
        Edit(
            f"put between {before.strip() or 'nothing'} and {after.strip() or 'nothing'}",
            "SpecialTokens",
            _wrapped(before, after),
        )
        for before, after in _SPECIALS
    ),
)


def for_texts(texts: Iterable[str]) -> tuple[Edit, ...]:
    """Return the edits to try, with the prompts that some of the texts themselves begin with.

    Parameters
    ----------
    texts
        Of the golden set; where one is another one with something before it, that is a prompt to try too.
    """
    known = set(texts)
    own = {text[: len(text) - len(rest)] for text in known if (rest := text.partition(": ")[2]) in known}
    prompts = dict.fromkeys((*PREFIXES, *sorted(own)))
    return _TEXT + tuple(Edit(f"prefixed with {p!r}", "PromptPrefix", _prefixed(p)) for p in prompts)
