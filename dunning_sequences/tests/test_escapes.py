"""Texts that try to be more than texts: typed, in templates, and in names.

What is typed into a step is refused or inert; what customers and servers are called
is shown, never run, and makes no header of its own.
"""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odoo.exceptions import UserError, ValidationError
from odoo.tests import tagged
from odoo.tools import mute_logger

from ..tools import typed_text
from .common import DunningCommon

#: Ways out of the sandbox of Jinja2, and ways to keep a server busy.
JINJA = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ customer_name.__class__ }}",
    "{{ customer_name|attr('__class__') }}",
    "{{ customer_name['__class__'] }}",
    "{{ customer_name|map(attribute='__class__')|list }}",
    "{{ '%s'|format(customer_name) }}",
    "{{ '{0.__class__}'.format(customer_name) }}",
    "{{ ''|attr('for'~'mat')(customer_name) }}",
    "{{ 'x'.__init__.__globals__ }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ cycler.__init__.__globals__.os }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ config }}",
    "{{ request.application }}",
    "{{ env['res.users'].sudo() }}",
    "{{ object.env.cr.execute('x') }}",
    "{{ range(10**9)|list }}",
    "{{ 9**9**9 }}",
    "{{ 'a'*10**9 }}",
    "{{ customer_name.__add__.__self__ }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "{% for c in customer_name %}a{% endfor %}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% from 'os' import system %}",
    "{% extends customer_name %}",
    "{% set x = customer_name.__class__ %}",
    "{% macro m() %}{{ caller }}{% endmacro %}",
    "{% call customer_name() %}{% endcall %}",
    "{% filter upper %}a{% endfilter %}",
    "{% with a=customer_name.__class__ %}{{ a }}{% endwith %}",
    "{% if customer_name.__class__ %}a{% endif %}",
    "{% if ().__class__ %}a{% endif %}",
    "{% autoescape false %}{{ customer_name }}{% endautoescape %}",
    "{% do customer_name.append(1) %}",
    "{{ cu\N{ZERO WIDTH SPACE}stomer_name }}",
    "{{ \N{FULLWIDTH LOW LINE}\N{FULLWIDTH LOW LINE}class }}",
    "{{ customer_name if env else customer_name }}",
    "{{ customer_name|no_such_filter }}",
    "{{ dict(a=1).a }}",
    "{{- object -}}",
    "{%- if env -%}a{%- endif -%}",
    "{{ {{ customer_name }} }}",
)

#: What comes out as it was typed, or not at all.
INERT = (
    ("# for x in y:\n## line comment", "# for x in y:\n## line comment"),
    ("{% raw %}{{ customer_name }}{% endraw %}", "{{ customer_name }}"),
    ("{# {{ 9**9**9 }} #}a", "a"),
    (
        "${7*7} <%= 7*7 %> #{7*7} %(a)s {0} {a.b}",
        "${7*7} <%= 7*7 %> #{7*7} %(a)s {0} {a.b}",
    ),
)

#: What only a template editor may write into a template.
QWEB = (
    "<t t-out=\"object.env['res.users'].sudo().search([])\"/>",
    '<t t-out="object.sudo().company_id"/>',
    '<t t-out="object._cr"/>',
    '<t t-esc="request.env"/>',
    '<t t-out="env"/>',
    '<t t-out="user.password"/>',
    '<t t-set="x" t-value="object.unlink()"/>',
    '<t t-foreach="object.env.keys()" t-as="x"><t t-out="x"/></t>',
    '<t t-foreach="range(10**9)" t-as="x">a</t>',
    '<t t-call="web.login"/>',
    '<t t-if="object.write({})">a</t>',
    '<p t-att-onclick="object.env">a</p>',
    '<p t-attf-title="{{ object.env }}">a</p>',
    '<p t-field="object.partner_id.bank_ids"/>',
    '<t t-out="object.customer_name.__class__"/>',
    '<t t-out="[].__class__.__base__.__subclasses__()"/>',
    "<t t-out=\"Markup('<b>')\"/>",
)
INLINE = (
    "{{ object.env['res.users'] }}",
    "{{ object.sudo() }}",
    "{{ object.unlink() }}",
    "{{ user.password }}",
    "{{ object.customer_name.__class__ }}",
    "{{ 9**9**9 }}",
    "{{ [x for x in range(10**9)] }}",
)

#: What a customer, an invoice or a server may be called.
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "<a href='javascript:alert(1)'>x</a>",
    "{{ 7*7 }}{% if 1 %}x{% endif %}",
    "<t t-out='object.env'/>",
    "&lt;script&gt;",
)

#: What would be markup that does something, wherever it is shown.
ACTIVE = (
    "<script>alert",
    "<img src=x",
    "<a href='javascript",
    'href="javascript',
    "<t t-",
)


@tagged("post_install", "-at_install")
class TestEscapes(DunningCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        body = (
            "<p>{{ customer_name }} {{ contact_name }} {{ company_name }} "
            "{{ payment_reference }} {{ sender_name }}</p>{{ invoice_table }}"
        )
        first = {
            "delay": 7,
            "subject": "S1 {{ customer_name }}",
            "body": body,
        }
        cls.sequence = cls._create_default(first, (14,))
        cls.step = cls.sequence.step_ids[0]
        cls.biller = cls._create_user("biller", "account.group_account_invoice")

    # ------------------------------------------------------------------------
    # TYPED
    # ------------------------------------------------------------------------

    def test_typed_texts_run_no_code(self):
        """Refused on the form, with the fields that there are; and by the renderer,
        whichever way they got there."""
        values = dict.fromkeys(typed_text.FIELDS, "x")
        for source in JINJA:
            with self.subTest(source):
                self.assertTrue(typed_text.problem(source))
                with self.assertRaises(typed_text.TypedTextError):
                    typed_text.render(source, values)
        for source in JINJA[::9]:
            for name, value in (("subject", source), ("body", f"<p>{source}</p>")):
                with self.assertRaisesRegex(ValidationError, "S1"):
                    with self.env.cr.savepoint():
                        self.step[name] = value
        for source, expected in INERT:
            self.assertIsNone(typed_text.problem(source), source)
            self.assertEqual(typed_text.render(source, values), expected)

    def test_values_are_not_read_as_text_again(self):
        """A customer called {{ … }} is greeted by that name."""
        for hostile in HOSTILE:
            values = dict.fromkeys(typed_text.FIELDS, hostile)
            source = "{{ customer_name }}{% if due_date %}{{ due_date }}{% endif %}"
            self.assertEqual(typed_text.render(source, values), hostile * 2)
            shown = str(typed_text.render(source, values, html=True))
            self.assertNotIn("<", shown)

    # ------------------------------------------------------------------------
    # TEMPLATES
    # ------------------------------------------------------------------------

    def _prepare_template(self, **vals):
        return {
            "name": "Mine",
            "model_id": self.env["ir.model"]._get_id("dunning.reminder"),
            "subject": "A",
            "body_html": "<p>B</p>",
            **vals,
        }

    def assertNotSaved(self, method, vals):
        with self.assertRaises(UserError, msg=vals), self.env.cr.savepoint():
            method(vals)
            self.env.flush_all()

    def test_templates_run_code_only_of_template_editors(self):
        """Odoo's own rule, which our rendering relies on: nothing else reaches it."""
        self.env["ir.config_parameter"].sudo().set_param(
            "mail.restrict.template.rendering", True
        )
        group = self.env.ref("mail.group_mail_template_editor")
        self.biller.sudo().group_ids -= group
        self.env.ref("base.group_user").sudo().implied_ids -= group
        self.assertFalse(self.biller.has_group("mail.group_mail_template_editor"))
        Template = self.env["mail.template"].with_user(self.biller)
        mine = Template.create(
            self._prepare_template(
                subject="{{ object.invoice_number }}",
                body_html='<p t-out="object.customer_name"/>',
            )
        )
        for source in QWEB:
            with self.subTest(source):
                self.assertNotSaved(mine.write, {"body_html": source})
        for source in INLINE:
            with self.subTest(source):
                self.assertNotSaved(mine.write, {"subject": source})
        self.assertNotSaved(Template.create, self._prepare_template(body_html=QWEB[0]))
        self._check_one_off_texts(mine)

    def _check_one_off_texts(self, template):
        """What is typed for one sending is text: it is filled in by nobody."""
        invoice = self._create_invoice_due("03-01")
        self.travel("03-08")
        self.drain()
        action = invoice.with_user(self.biller).action_dunning_compose()
        wizard = self.env["dunning.reminder.compose"].with_user(self.biller)
        wizard = wizard.browse(action["res_id"])
        wizard.template_id = template
        self.assertIn(invoice.name, wizard.subject)
        code = "{{ 7*7 }} <t t-out='object.env'>x</t>"
        wizard.write({"subject": "{{ 7*7 }}", "body": f"<p>{code}</p>"})
        wizard.action_send()
        reminder = self.get_last_reminder(invoice)
        self.deliver()
        (mail,) = self.sink.mails
        self.assertEqual(reminder.subject, "{{ 7*7 }}")
        self.assertIn("{{ 7*7 }}", self.get_text(mail))
        self.assertNotIn("49", self.get_text(mail))
        self.assertNotIn("odoo.api", mail.text)

    def test_one_text_for_many_obeys_the_rules_of_a_step(self):
        other = self._create_invoice_due("03-01", customer=self._create_customer("B"))
        invoices = self._create_invoice_due("03-01") + other
        self.travel("03-08")
        self.drain()
        action = invoices.with_user(self.biller).action_dunning_compose()
        wizard = self.env["dunning.reminder.compose"].with_user(self.biller)
        wizard = wizard.browse(action["res_id"])
        for source in JINJA[::7]:
            text = {"typed_subject": "A", "typed_body": f"<p>{source}</p>"}
            with self.assertRaises(UserError), self.env.cr.savepoint():
                wizard.write({"is_typed": True, **text})
                wizard.action_send()

    # ------------------------------------------------------------------------
    # NAMES
    # ------------------------------------------------------------------------

    def assertInert(self, text, label):
        for active in ACTIVE:
            self.assertNotIn(active, str(text).lower(), label)

    def test_hostile_names_are_shown_and_do_nothing(self):
        """In mails, letters, the chatter, notes of activities, the simulation."""
        for number, hostile in enumerate(HOSTILE):
            with self.subTest(hostile), self.env.cr.savepoint() as savepoint:
                self.travel("01-05")
                self.sink.clear()
                self._check_name(hostile, f"c{number}@customer.example.com")
                savepoint.rollback()
            self.env.invalidate_all()

    def _check_name(self, hostile, email):
        self.company.name = f"Test {hostile}"
        customer = self._create_customer(hostile, email=email)
        invoice = self._create_invoice_due("03-01", customer=customer)
        invoice.payment_reference = hostile
        pause = {"dunning_paused": True, "dunning_pause_reason": hostile}
        invoice.write({**pause, "dunning_pause_until": "2026-03-07"})
        self.drain()
        simulation = self.env["dunning.simulation"].create({"days": 90})
        simulation.action_simulate()
        self.assertInert(simulation._render_summary(listed=9), "simulation")
        with self.sink.behaving(answer=f"554 {hostile}"):
            self.run_day("03-08")
        failed = self.get_last_reminder(invoice)
        self.assertIn(hostile[:6], failed.failure_reason)
        failed.action_retry()
        self.deliver()
        reminder = self.get_last_reminder(invoice)
        (mail,) = self.sink.mails
        self.assertIn(hostile, mail.subject)
        note = reminder._prepare_activity_vals()["note"]
        self.assertInert(note, "activity")
        self.assertInert(reminder.body, "reminder")
        self.assertInert(reminder.mail_message_id.body, "chatter")
        self.assertInert(reminder._get_mail_body(), "mail")
        self.assertNotIn("49", mail.subject)
        self.assertInert(self._render_letter(reminder), "letter")

    def _render_letter(self, reminder):
        report = self.env["ir.actions.report"]
        name = "dunning_sequences.report_dunning_letter"
        html, _type = report._render_qweb_html(name, reminder.ids)
        return html.decode()

    def test_no_name_makes_a_header(self):
        """Line breaks end no header; the server gets the addresses that are meant."""
        for bad in (
            "Azure\r\nBcc: spy@attacker.example.com",
            "Azure\nX-Evil: yes",
            'A", spy@attacker.example.com, "B',
            "A <spy@attacker.example.com>, B",
            "=?utf-8?q?=0d=0aBcc:_spy@attacker.example.com?=",
            "\N{RIGHT-TO-LEFT OVERRIDE}moc.elpmaxe",
            "A" * 3000,
        ):
            with self.subTest(bad[:40]), self.env.cr.savepoint() as savepoint:
                self.travel("01-05")
                self.sink.clear()
                self._check_headers(bad)
                savepoint.rollback()
            self.env.invalidate_all()

    def _check_headers(self, bad):
        customer = self._create_customer("Good", email="good@customer.example.com")
        customer.name = bad
        self.sequence.user_id = False
        self.step.subject = "S1 {{ customer_name }}"
        invoice = self._create_invoice_due("03-01", customer=customer)
        invoice.payment_reference = bad
        self.run_on("03-08")
        self.assertEqual(self.get_last_reminder(invoice).state, "sent")
        (mail,) = self.sink.mails
        self.assertEqual(mail.recipients, ["good@customer.example.com"])
        self.assertFalse({"X-Evil", "Bcc"} & set(mail.message.keys()))
        self.assertNotIn("\n", mail.subject)

    def test_no_address_makes_a_header(self):
        for name, bad in (
            ("email_from", "a@test.example.com\r\nBcc: spy@attacker.example.com"),
            ("email_from", "a@test.example.com\nX-Evil: yes"),
            ("email_from", "=?utf-8?q?a=0d=0aX-Evil:_yes?= <a@test.example.com>"),
        ):
            with self.subTest(bad), self.env.cr.savepoint() as savepoint:
                self.travel("01-05")
                self.sink.clear()
                self.sequence[name] = bad
                invoice = self._create_invoice_due("03-01")
                with mute_logger("odoo.addons.base.models.ir_mail_server"):
                    self.run_on("03-08")
                self.assertIn(self.get_last_reminder(invoice).state, ("sent", "failed"))
                for mail in self.sink.mails:
                    names = set(mail.message.keys())
                    self.assertFalse({"X-Evil", "Bcc"} & names)
                    self.assertNotIn("spy@attacker.example.com", mail.recipients)
                savepoint.rollback()
            self.env.invalidate_all()
        line = self.env["dunning.reminder.compose.line"]
        for bad in (
            "a@b.example.com\r\nBcc: c@d.example.com",
            "a@b\0.example.com",
            "a",
        ):
            with self.assertRaises(UserError):
                line._parse_addresses(bad)

    # ------------------------------------------------------------------------
    # TOO MUCH
    # ------------------------------------------------------------------------

    def test_a_book_is_no_reminder(self):
        book = "<p>" + "a" * 1_000_000 + "</p>"
        with self.assertRaisesRegex(ValidationError, "longer than"):
            self.step.body = book
        invoice = self._create_invoice_due("03-01")
        self.travel("03-08")
        self.drain()
        action = invoice.action_dunning_compose()
        wizard = self.env["dunning.reminder.compose"].browse(action["res_id"])
        wizard.write({"subject": "A", "body": book})
        with self.assertRaisesRegex(UserError, "longer than"):
            wizard.action_send()

    # ------------------------------------------------------------------------
    # FUZZ
    # ------------------------------------------------------------------------

    @settings(
        derandomize=True,
        deadline=None,
        max_examples=30,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.lists(
            st.sampled_from((*JINJA, *HOSTILE, *QWEB, "{{", "}}", "|", "\n")),
            max_size=4,
        ),
        st.text(max_size=40),
    )
    def test_any_mix_is_refused_or_harmless(self, pieces, name):
        """Whatever is saved can be filled in, and no value becomes markup."""
        source = "".join(pieces)
        if typed_text.problem(source) is None:
            values = dict.fromkeys(typed_text.FIELDS, name)
            self.assertIsInstance(typed_text.render(source, values), str)
        shown = typed_text.render(
            "{{ customer_name }}", {"customer_name": source}, html=True
        )
        self.assertNotIn("<", shown)
        parse = self.env["dunning.reminder.compose.line"]._parse_addresses
        try:
            addresses = parse(name + source)
        except UserError:
            return
        for address in addresses:
            self.assertNotRegex(address, r"[\r\n\0]")
