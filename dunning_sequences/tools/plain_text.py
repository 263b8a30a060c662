"""Plain text: what a mail says to those whose programs show no HTML.

Odoo's `html2plaintext` puts each cell of a table on a line of its own, which nobody can
read. Here a row is a line, a paragraph has an empty line before it, links are numbered,
each address once, and what the HTML hides is left out.
"""

import re

from lxml import html

#: Elements with an empty line around them, and those that only begin a line.
PARAGRAPHS = {
    *("blockquote", "h1", "h2", "h3", "h4", "ol", "p", "table", "tbody", "ul"),
}
LINES = {"div", "li", "td", "th", "tr"}
SILENT = {"head", "script", "style", "title"}

#: Where a line begins, if it does not begin there anyway.
BREAK = "\v"

_SPACES = re.compile(r"[ \t\r\n]+")
_PARAGRAPH_BREAK = re.compile(r"[ \v\n]*\n[ \v]*\n[ \v\n]*")
_LINE_BREAK = re.compile(r" *(?:\n|\v[ \v]*) *")
_HIDDEN = re.compile(r"display\s*:\s*none")


def to_plain_text(body):
    """Return the text of an HTML body.

    >>> print(to_plain_text('''<div><p>Dear A,</p>
    ... <table><tr><th>Invoice</th><th>Amount</th></tr>
    ... <tr><td><a href="https://x.example/1">INV/1</a><br/>dated 1 May</td><td>5 €</td>
    ... </tr></table><p><a href="https://x.example/1"><b>Pay now</b></a></p></div>'''))
    Dear A,
    <BLANKLINE>
    Invoice | Amount
    INV/1 [1], dated 1 May | 5 €
    <BLANKLINE>
    *Pay now* [1]
    <BLANKLINE>
    [1] https://x.example/1
    """
    if not body or not str(body).strip():
        return ""
    links = {}
    text = _get_text(html.fromstring(str(body)), links)
    text = _PARAGRAPH_BREAK.sub("\n\n", text)
    text = _LINE_BREAK.sub("\n", text).strip()
    notes = "\n".join(f"[{number}] {url}" for url, number in links.items())
    return "\n\n".join(filter(None, (text, notes)))


def _get_text(node, links):
    if not isinstance(node.tag, str) or _is_silent(node):
        return ""
    if node.tag == "br":
        return "\n"
    if node.tag == "tr" and _is_of_data(node):
        return _get_row(node, links)
    text = _get_inner(node, links)
    if node.tag in ("b", "strong") and text.strip():
        text = f"*{text.strip()}*"
    if node.tag == "a" and node.get("href") and text.strip():
        text = f"{text.strip()} [{links.setdefault(node.get('href'), len(links) + 1)}]"
    if node.tag in PARAGRAPHS:
        return f"\n\n{text}\n\n"
    return f"{BREAK}{text}{BREAK}" if node.tag in LINES else text


def _get_inner(node, links):
    """The text inside an element, without that of the element itself."""
    parts = [_SPACES.sub(" ", node.text or "")]
    for child in node:
        parts += [_get_text(child, links), _SPACES.sub(" ", child.tail or "")]
    return "".join(parts)


def _get_row(node, links):
    """A row of a table on one line, and the lines of a cell beside each other."""
    cells = []
    for cell in node.iterchildren("td", "th"):
        lines = _get_inner(cell, links).splitlines()
        cells.append(", ".join(filter(None, (line.strip(" ") for line in lines))))
    return f"{BREAK}{' | '.join(filter(None, cells))}{BREAK}"


def _is_of_data(row):
    table = next(row.iterancestors("table"), None)
    return table is not None and table.get("role") != "presentation"


def _is_silent(node):
    return node.tag in SILENT or bool(_HIDDEN.search(node.get("style", "")))
