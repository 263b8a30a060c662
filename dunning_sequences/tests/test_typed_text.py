import doctest
import time

from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from odoo.tests import BaseCase, tagged

from ..tools import one_line, plain_text, typed_text
from ..tools.typed_text import (
    FIELDS,
    MAX_LENGTH,
    BrokenSyntax,
    ForbiddenConstruct,
    TooLong,
    TypedTextError,
    UnknownField,
    problem,
    render,
)

#: A value for each field, each with something that HTML must not take literally.
VALUES = {name: f"<{name}> & co" for name in FIELDS}

repeatable = settings(derandomize=True, deadline=None, max_examples=150, database=None)

#: Pieces that a template is made of, to be put together at random.
PIECES = (
    *("{{", "}}", "{%", "%}", "{#", "#}", "{{ ", " }}", "{% if ", " %}", "{% endif %}"),
    *("{% else %}", "{% elif due_date %}", "{% for x in y %}", "{% set a = 1 %}"),
    *("{% raw %}", "{% endraw %}", "-%}", "{%-", "\n", "\\", "'", '"', "|", ".", "()"),
    *(
        "invoice_number",
        "{{ due_date }}",
        "{{ nothing }}",
        "[0]",
        "__class__",
        "é",
        "\0",
    ),
    *("{% macro m() %}", "{% endmacro %}", "{% block b %}", "{% include 'x' %}", "~"),
)


@tagged("post_install", "-at_install")
class TestTypedText(BaseCase):
    """What a person may type into a step, on any version of Jinja2."""

    def test_examples_in_the_documentation(self):
        for module, examples in ((typed_text, 5), (one_line, 2), (plain_text, 1)):
            failed, tried = doctest.testmod(module)
            self.assertFalse(failed)
            self.assertGreaterEqual(tried, examples)

    # ------------------------------------------------------------------------
    # ALLOWED
    # ------------------------------------------------------------------------

    def assertFine(self, source, expected=None, **values):
        self.assertIsNone(problem(source))
        if expected is not None:
            self.assertEqual(render(source, {**VALUES, **values}), expected)

    def test_every_field_can_be_used_and_shows(self):
        for name in FIELDS:
            self.assertFine(f"a {{{{ {name} }}}} b", f"a {VALUES[name]} b")

    def test_plain_text_stays_as_it_is(self):
        for source in ("", " ", "Dear Sir,\n\nplease pay.\n", "100 % {of} it} $ #"):
            self.assertFine(source, source)

    def test_a_condition_shows_or_hides(self):
        source = "{% if payment_link %}Pay: {{ payment_link }}{% endif %}."
        self.assertFine(source, "Pay: here.", payment_link="here")
        self.assertFine(source, ".", payment_link="")

    def test_a_condition_has_an_else(self):
        source = "{% if due_date %}a{% elif days_late %}b{% else %}c{% endif %}"
        self.assertFine(source, "a")
        self.assertFine(source, "b", due_date="")
        self.assertFine(source, "c", due_date="", days_late="")

    def test_conditions_inside_conditions(self):
        source = (
            "{% if due_date %}{% if days_late %}{{ days_late }}{% endif %}{% endif %}"
        )
        self.assertFine(source, "3", days_late="3")

    def test_a_comment_does_not_show(self):
        self.assertFine("a{# not for the customer #}b", "ab")

    # ------------------------------------------------------------------------
    # REFUSED
    # ------------------------------------------------------------------------

    def assertRefused(self, source, error=ForbiddenConstruct):
        found = problem(source)
        self.assertIsInstance(found, error, source)
        self.assertIsInstance(found.args[0], str)
        return found

    def test_everything_but_fields_and_conditions_is_refused(self):
        for source in (
            # attributes and items
            "{{ invoice_number.name }}",
            "{{ invoice_number['name'] }}",
            "{{ invoice_number[0] }}",
            "{{ invoice_number[:3] }}",
            "{{ invoice_number.__class__.__mro__ }}",
            # filters and tests
            "{{ invoice_number|upper }}",
            "{{ invoice_number|attr('name') }}",
            "{% filter upper %}a{% endfilter %}",
            "{% if invoice_number is defined %}a{% endif %}",
            # calls
            "{{ invoice_number() }}",
            "{{ invoice_number.format(a=1) }}",
            "{% call invoice_number() %}{% endcall %}",
            # loops
            "{% for line in invoice_table %}a{% endfor %}",
            # assignments
            "{% set due_date = 1 %}",
            "{% set due_date %}a{% endset %}",
            "{% with %}a{% endwith %}",
            # macros, blocks, other templates
            "{% macro a() %}b{% endmacro %}",
            "{% block a %}b{% endblock %}",
            "{% import 'a' as b %}",
            "{% from 'a' import b %}",
            "{% include 'a' %}",
            "{% extends 'a' %}",
            # expressions
            "{{ 1 }}",
            "{{ 'a' }}",
            "{{ 1 + 1 }}",
            "{{ days_late * 1000000000 }}",
            "{{ 9 ** 9 ** 9 }}",
            "{{ -days_late }}",
            "{{ due_date ~ due_date }}",
            "{{ [due_date] }}",
            "{{ {'a': due_date} }}",
            "{{ (due_date, due_date) }}",
            "{{ due_date if days_late else due_date }}",
            "{{ not due_date }}",
            "{{ due_date and days_late }}",
            # comparisons
            "{% if days_late > 3 %}a{% endif %}",
            "{% if days_late == due_date %}a{% endif %}",
            "{% if not days_late %}a{% endif %}",
            "{% if due_date and days_late %}a{% endif %}",
            "{% if due_date %}a{% elif days_late > 3 %}b{% endif %}",
            "{% if due_date %}{{ due_date.a }}{% endif %}",
            "{% if due_date %}a{% else %}{{ due_date|e }}{% endif %}",
            "{% autoescape false %}{{ due_date }}{% endautoescape %}",
        ):
            with self.subTest(source):
                # Whatever is met first: an attribute of an unknown name is both.
                self.assertRefused(source, (ForbiddenConstruct, BrokenSyntax))

    def test_names_that_are_no_field_are_refused(self):
        for name in ("invoice_nbr", "object", "env", "self", "loop", "range", "lipsum"):
            for source in (f"{{{{ {name} }}}}", f"{{% if {name} %}}a{{% endif %}}"):
                with self.subTest(source):
                    self.assertEqual(
                        self.assertRefused(source, UnknownField).args, (name,)
                    )

    def test_what_is_not_closed_is_refused(self):
        for source in (
            "{{ due_date",
            "{{ due_date }",
            "{{ }}",
            "{% if due_date %}a",
            "{% if %}a{% endif %}",
            "{% endif %}",
            "{% raw %}a",
            "{# a",
            "{% unknown %}",
            "{{ due date }}",
        ):
            with self.subTest(source):
                self.assertRefused(source, BrokenSyntax)

    def test_a_book_is_refused(self):
        self.assertIsNone(problem("a" * MAX_LENGTH))
        self.assertRefused("a" * (MAX_LENGTH + 1), TooLong)

    def test_deeply_nested_text_is_refused_or_rendered(self):
        """It must not exhaust Python's stack."""
        depth = MAX_LENGTH // len("{% if due_date %}{% endif %}")
        source = "{% if due_date %}" * depth + "{% endif %}" * depth
        found = problem(source)
        if found is None:
            render(source, VALUES)

    def test_a_long_chain_of_choices_is_refused_or_rendered(self):
        choices = "{% elif due_date %}" * (MAX_LENGTH // len("{% elif due_date %}") - 2)
        source = "{% if days_late %}" + choices + "{% endif %}"
        found = problem(source)
        if found is None:
            render(source, VALUES)

    def test_deeply_nested_brackets_are_refused(self):
        for opening, closing in ("()", "[]"):
            source = "{{ " + opening * 9000 + "due_date" + closing * 9000 + " }}"
            with self.subTest(opening):
                self.assertRefused(source, TypedTextError)

    def test_the_part_that_is_wrong_is_shown(self):
        found = self.assertRefused("Dear Sir,\n\nfor {{ due_date.year }} pay\n")
        self.assertEqual(found.args, ("for {{ due_date.year }} pay",))

    # ------------------------------------------------------------------------
    # RENDERED
    # ------------------------------------------------------------------------

    def test_values_are_escaped_in_html(self):
        html = render(
            "<p>{{ customer_name }}</p>", {"customer_name": "<b>&'\""}, html=True
        )
        self.assertIsInstance(html, Markup)
        self.assertEqual(html, "<p>&lt;b&gt;&amp;&#39;&#34;</p>")

    def test_html_fields_are_not_escaped_in_html(self):
        html = render(
            "{{ invoice_table }}", {"invoice_table": Markup("<td>")}, html=True
        )
        self.assertEqual(html, "<td>")

    def test_nothing_is_escaped_in_a_subject(self):
        self.assertEqual(
            render("{{ customer_name }}", {"customer_name": "A & B"}), "A & B"
        )

    def test_values_are_no_templates(self):
        for html in (False, True):
            text = render(
                "{{ customer_name }}", {"customer_name": "{{ 7 * 7 }}"}, html=html
            )
            self.assertEqual(str(text), "{{ 7 * 7 }}")

    def test_what_slips_through_the_check_finds_nothing(self):
        """No filter, no global and no attribute, should the check ever fail."""
        for source in (
            "{{ range(3) }}",
            "{{ due_date|upper }}",
            "{{ due_date.__class__.__mro__ }}",
            "{{ cycler.__init__.__globals__ }}",
            "{{ nothing }}",
        ):
            with self.subTest(source), self.assertRaises(Exception):  # noqa: B017
                render(source, VALUES)

    # ------------------------------------------------------------------------
    # FUZZ
    # ------------------------------------------------------------------------

    def assertProblemOrText(self, source):
        """A text is either refused with a reason, or can be rendered."""
        found = problem(source)
        if found is not None:
            self.assertIsInstance(found, TypedTextError)
            self.assertTrue(found.args[0], source)
            return
        self.assertIsInstance(render(source, VALUES), str)
        self.assertIsInstance(render(source, VALUES, html=True), Markup)

    @repeatable
    @given(st.text(max_size=300))
    def test_any_text_is_refused_or_rendered(self, source):
        self.assertProblemOrText(source)

    @repeatable
    @given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join))
    def test_any_mix_of_template_pieces_is_refused_or_rendered(self, source):
        self.assertProblemOrText(source)

    def test_a_long_text_is_checked_quickly(self):
        started = time.perf_counter()
        problem("{{ due_date }} " * (MAX_LENGTH // 15))
        self.assertLess(time.perf_counter() - started, 2)
