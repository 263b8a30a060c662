"""Typed text: the subject and text of a step, with merge fields.

Accountants type ``{{ invoice_number }}`` and ``{% if payment_link %}…{% endif %}``
and nothing else: no attribute, filter, call, loop or expression. That is checked
on the syntax tree when a step is saved, and the text is rendered over a flat
dictionary of plain, already formatted values. A template thus reaches neither a
record nor a method, whatever the version of Jinja2 (Odoo pins 3.1.2).

>>> problem("Dear {{ contact_name }},{% if payment_link %} pay here{% endif %}")
>>> render("Invoice {{ invoice_number }}", {"invoice_number": "A & B"})
'Invoice A & B'
>>> str(render("<p>{{ customer_name }}</p>", {"customer_name": "A & B"}, html=True))
'<p>A &amp; B</p>'
>>> problem("{{ invoice.name }}")
ForbiddenConstruct('{{ invoice.name }}')
>>> problem("{{ invoice_nbr }}")
UnknownField('invoice_nbr')
"""

from functools import lru_cache

import jinja2
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup

#: The merge fields, in the order in which a person picks them.
FIELDS = (
    "contact_name",
    "customer_name",
    "company_name",
    "invoice_number",
    "invoice_date",
    "due_date",
    "new_deadline",
    "days_late",
    "amount_due",
    "amount_total",
    "claim_amount",
    "claim_source",
    "broken_promise",
    "broken_promise_amount",
    "broken_promise_date",
    "invoice_table",
    "payment_link",
    "payment_reference",
    "bank_account",
    "step_number",
    "sender_name",
    "sender_phone",
)

#: A reminder is a letter, not a book: longer texts are refused.
MAX_LENGTH = 20_000

#: Conditions in one text: what is nested deeper cannot be compiled.
MAX_CONDITIONS = 50

_ALLOWED_NODES = (nodes.Template, nodes.Output, nodes.TemplateData, nodes.If)


class TypedTextError(ValueError):
    """A text that cannot be used. ``args[0]`` is the part to show."""


class UnknownField(TypedTextError):
    """``{{ name }}`` where ``name`` is no merge field."""


class ForbiddenConstruct(TypedTextError):
    """Anything but ``{{ field }}`` and ``{% if field %}``."""


class BrokenSyntax(TypedTextError):
    """Not closed, or not readable at all."""


class TooLong(TypedTextError):
    """Longer than MAX_LENGTH characters."""


def _environment(html):
    environment = ImmutableSandboxedEnvironment(
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    # Nothing to call, nothing to filter with: the syntax check refuses both, and
    # they would not be found if it failed to.
    environment.globals.clear()
    environment.filters.clear()
    environment.tests.clear()
    return environment


_TEXT = _environment(html=False)
_HTML = _environment(html=True)


def problem(source, fields=FIELDS):
    """Return what a typed text may not contain, as an error; None if it is fine.

    :return: a TypedTextError whose ``args[0]`` is the part that is wrong
    """
    if len(source) > MAX_LENGTH:
        return TooLong(str(MAX_LENGTH))
    try:
        nodes_inside = list(_walk(_TEXT.parse(source)))
    except jinja2.TemplateSyntaxError as error:
        return BrokenSyntax(str(error.message))
    except RecursionError:
        return BrokenSyntax("nested too deeply")
    if sum(isinstance(node, nodes.If) for node in nodes_inside) > MAX_CONDITIONS:
        return BrokenSyntax("too many conditions")
    for node in nodes_inside:
        if isinstance(node, nodes.Name) and node.ctx == "load":
            if node.name not in fields:
                return UnknownField(node.name)
        elif not _is_allowed(node):
            return ForbiddenConstruct(_line(source, node.lineno))
    return None


def _is_allowed(node):
    if isinstance(node, nodes.If):
        return isinstance(node.test, nodes.Name)
    return isinstance(node, _ALLOWED_NODES)


def _line(source, number):
    lines = source.splitlines() or [""]
    # Jinja2 gives no line to the nodes that it makes up itself.
    return lines[min(number or 1, len(lines)) - 1].strip()


def _walk(node):
    for child in node.iter_child_nodes():
        yield child
        yield from _walk(child)


@lru_cache(maxsize=512)
def _compile(source, html):
    error = problem(source)
    if error:  # saved by another way than the form
        raise error
    return (_HTML if html else _TEXT).from_string(source)


def render(source, values, html=False):
    """Fill in the merge fields of a text.

    :param values: plain strings and numbers; Markup for the fields that are HTML
    :param html: escape the values, and return Markup
    :raise TypedTextError: what :func:`problem` returns
    """
    text = _compile(str(source), html).render(values)
    return Markup(text) if html else text  # noqa: S704 (autoescaped just above)
