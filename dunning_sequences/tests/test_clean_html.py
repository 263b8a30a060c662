"""What is surely clean is not parsed: Odoo's sanitizer would change nothing."""

import doctest

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import html

from odoo.tests import BaseCase, tagged
from odoo.tools import html_sanitize

from ..tools import clean_html

TAGS = ("p", "a", "table", "tbody", "tr", "td", "div", "span", "strong", "br", "br/")
ODD_TAGS = ("script", "style", "img", "svg", "P", "iframe", "form", "!--", "a/", "o:p")
ATTRIBUTES = (
    ' style="color: #333; padding: 8px 10px"',
    " style=\"font-family: 'Open Sans', Arial;\"",
    ' href="https://example.com/my/invoices/1?a=1&amp;b=2#pay"',
    ' href="mailto:a@example.com"',
    ' class="text-end"',
    ' width="100%"',
)
ODD_ATTRIBUTES = (
    ' onclick="x()"',
    ' href="javascript:x()"',
    ' href="&#106;avascript:x()"',
    ' href="//example.com"',
    ' style="position: fixed; top: 0"',
    ' style="background: url(https://example.com)"',
    ' style="width: expression(x())"',
    " href='https://example.com'",
    "/onclick=x()",
    ' class="a>b"',
    " disabled",
)
TEXTS = ("Dear Mr Brown,", "5 &lt; 7 &amp; &#60;script&#62;", "\N{NO-BREAK SPACE}€")
ODD_TEXTS = ("5 < 7", "<", "-->", "\0", "]]>", "</p>", "</div></div>")


def wrap(tag, attributes, inner):
    name = tag.strip("/")
    if name == "br":
        return f"<{tag}>{inner}"
    return f"<{tag}{''.join(attributes)}>{inner}</{name}>"


def get_pages(tags, attributes, texts):
    """Return a strategy of texts with tags in tags."""
    return st.recursive(
        st.sampled_from(texts),
        lambda inner: st.builds(
            wrap,
            st.sampled_from(tags),
            st.lists(st.sampled_from(attributes), max_size=2, unique=True),
            st.lists(inner, max_size=3).map("".join),
        ),
        max_leaves=8,
    )


def get_nodes(text):
    """What a browser would make of it; the spaces in a style are nothing to it."""
    root = html.fragment_fromstring(str(text), create_parent="div")
    nodes = []
    for node in root.iter():
        attributes = dict(node.attrib)
        style = "".join(attributes.pop("style", "").split()).rstrip(";")
        nodes.append((node.tag, attributes, style, node.text or "", node.tail or ""))
    return nodes


repeatable = settings(derandomize=True, deadline=None, max_examples=150, database=None)


@tagged("post_install", "-at_install")
class TestCleanHtml(BaseCase):
    def test_examples_in_the_documentation(self):
        failed, tried = doctest.testmod(clean_html)
        self.assertFalse(failed)
        self.assertGreaterEqual(tried, 3)

    @repeatable
    @given(
        get_pages(
            TAGS + ODD_TAGS,
            ATTRIBUTES + ODD_ATTRIBUTES,
            TEXTS + ODD_TEXTS,
        )
    )
    def test_the_sanitizer_finds_nothing_in_what_is_called_clean(self, text):
        text = f"<div>{text}</div>"
        if clean_html.is_clean(text):
            self.assertEqual(get_nodes(text), get_nodes(self._sanitize(text)))

    def test_what_is_odd_is_never_called_clean(self):
        for text in (
            *(wrap(tag, [], "a") for tag in ODD_TAGS),
            *(wrap("a", [attribute], "a") for attribute in ODD_ATTRIBUTES),
            *(f"<div>{text}</div>" for text in ODD_TEXTS if text not in ("-->", "]]>")),
            "<p>a",
            "a</p>",
            "<b><i>a</b></i>",
            "<br style=color:red>",
        ):
            with self.subTest(text):
                self.assertFalse(clean_html.is_clean(text))

    def test_usual_mails_are_called_clean(self):
        for tag in set(TAGS) - {"br/"}:
            for attribute in ATTRIBUTES:
                text = wrap(tag, [attribute], TEXTS[0])
                self.assertTrue(clean_html.is_clean(text), text)

    def _sanitize(self, text):
        return html_sanitize(text, sanitize_attributes=True, sanitize_style=True)
