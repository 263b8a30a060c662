from datetime import timedelta

from odoo import Command, fields
from odoo.tests import new_test_user, tagged
from odoo.tools import mute_logger

from odoo.addons.account.tests.common import AccountTestInvoicingHttpCommon


@tagged("post_install", "-at_install")
class TestTours(AccountTestInvoicingHttpCommon):
    """Journeys in the web client, from the menu, with no more rights than needed."""

    @classmethod
    def _create_user(cls, login, groups):
        return new_test_user(
            cls.env,
            login=login,
            groups=f"base.group_user,{groups}",
            company_id=cls.env.company.id,
            company_ids=[(6, 0, cls.env.company.ids)],
        )

    @classmethod
    def _create_invoice_due(cls, customer, days=30, amount=123):
        """An open invoice that falls due in so many days."""
        today = fields.Date.today()
        return cls._create_invoice_one_line(
            price_unit=amount,
            partner_id=customer,
            invoice_date=today,
            invoice_date_due=today + timedelta(days=days),
            invoice_payment_term_id=False,
            tax_ids=[],
            post=True,
        )

    def test_a_reminder_is_written_by_hand_with_billing_rights(self):
        self._create_user("dunning_billing", "account.group_account_invoice")
        company = self.env.company
        company.email = "company@example.com"
        sequence = self.env["dunning.sequence"].search(
            [("company_id", "=", company.id), ("grouping", "=", "customer")], limit=1
        )
        sequence.catch_up = "latest"
        sequence.action_start()
        company.dunning_sequence_id = sequence
        customer = self.env["res.partner"].create(
            {"name": "Azure", "email": "azure@example.com"}
        )
        invoice = self._create_invoice_due(customer, days=-10)
        self.env["dunning.enrollment"]._reconcile(invoice)
        self.start_tour("/odoo", "dunning_reminder_is_written", login="dunning_billing")
        reminder = invoice.dunning_reminder_ids
        self.assertEqual(reminder.state, "queued")
        self.assertEqual(reminder.subject, "A word about your invoice")
        self.assertIn("As we said on the phone", reminder.body)
        self.assertEqual(reminder.email_cc, "boss@example.com")
        self.assertEqual(reminder.mail_message_id.subject, reminder.subject)

    def test_reminders_are_sent_from_the_invoice_list(self):
        """Not enrolled anywhere; one of the customers has no address yet."""
        self._create_user("dunning_billing", "account.group_account_invoice")
        self.env.company.email = "company@example.com"
        Partner = self.env["res.partner"]
        azure = Partner.create({"name": "Azure", "email": "azure@example.com"})
        blue = Partner.create({"name": "Blue"})
        invoices = self.env["account.move"]
        for customer in (azure, azure, blue):
            invoices += self._create_invoice_due(customer, days=-10)
        self.start_tour("/odoo", "dunning_reminders_are_sent", login="dunning_billing")
        reminders = invoices.dunning_reminder_ids
        self.assertEqual(
            sorted(reminders.mapped(lambda r: (r.state, r.email_to))),
            [
                ("queued", '"Azure" <azure@example.com>'),
                ("queued", '"Azure" <azure@example.com>'),
                ("queued", "blue@example.com"),
            ],
        )
        self.assertEqual(set(reminders.mapped("own_text")), {"typed"})
        self.assertEqual(
            sorted(reminders.mapped("subject")),
            sorted(f"Please {name}" for name in invoices.mapped("name")),
        )

    def _create_strict_sequence(self):
        template = self.env.ref("dunning_sequences.mail_template_dunning_first")
        return self.env["dunning.sequence"].create(
            {
                "name": "Strict",
                "company_id": self.env.company.id,
                "step_ids": [
                    Command.create(
                        {"name": name, "delay": delay, "template_id": template.id}
                    )
                    for name, delay in (("Early", 3), ("Final", 20))
                ],
            }
        )

    def _create_running_sequence(self, name="Strict", **vals):
        """One typed step on the due date; all customers of the company follow it."""
        step = {
            "name": "Last call",
            "delay": 0,
            "content": "text",
            "subject": "{{ invoice_number }}",
            "body": "<p>{{ amount_due }}</p>",
            **vals,
        }
        company = self.env.company
        sequence = self.env["dunning.sequence"].create(
            {
                "name": name,
                "company_id": company.id,
                "user_id": self.env.user.search([("login", "=", "dunning_billing")]).id,
                "catch_up": "latest",
                "step_ids": [Command.create(step)],
            }
        )
        sequence.action_start()
        company.dunning_sequence_id = sequence
        return sequence

    def _create_customer(self, name, **vals):
        vals = {"name": name, "email": f"{name.lower()}@example.com", **vals}
        return self.env["res.partner"].create(vals)

    def _run(self):
        self.env["dunning.enrollment"]._run(fields.Date.today())

    def _start_manager_tour(self, name):
        self._create_user("dunning_manager", "account.group_account_manager")
        self.start_tour("/odoo", name, login="dunning_manager")

    def _create_clerk(self):
        """Somebody with billing rights, and no more."""
        return self._create_user("dunning_billing", "account.group_account_invoice")

    def test_sequence_is_written_and_started_by_an_accounting_manager(self):
        customer = self.env["res.partner"].create({"name": "Azure"})
        self._create_invoice_due(customer)
        self._start_manager_tour("dunning_sequence_is_written_and_started")
        sequence = self.env["dunning.sequence"].search([("name", "=", "Friendly")])
        self.assertEqual(sequence.state, "running")
        notice, first = sequence.step_ids
        self.assertEqual((notice.delay, first.delay), (-2, 7))
        self.assertEqual(first.subject, "Reminder:{{ invoice_number }}")
        self.assertIn("Please pay", first.body)
        self.assertIn("{{ amount_due }}", first.body)

    def test_steps_are_reordered(self):
        sequence = self._create_strict_sequence()
        with mute_logger("odoo.http"):  # it logs what it refuses
            self._start_manager_tour("dunning_steps_are_reordered")
        self.assertEqual(
            [(step.name, step.delay) for step in sequence.step_ids],
            [("Final", 20), ("Early", 30)],
        )

    def test_template_is_written_from_the_step(self):
        sequence = self._create_strict_sequence()
        self._start_manager_tour("dunning_template_is_written_from_the_step")
        template = sequence.step_ids[0].template_id
        first = self.env.ref("dunning_sequences.mail_template_dunning_first")
        self.assertEqual(template.name, "Gentle nudge")
        self.assertEqual(template.model, "dunning.reminder")
        self.assertEqual(template.subject, first.subject)
        self.assertIn("object.amount_due", template.body_html)

    def test_customers_join_and_leave(self):
        sequence = self._create_strict_sequence()
        one, other = self.env["res.partner"].create(
            [{"name": "Joining A"}, {"name": "Joining B"}]
        )
        self._start_manager_tour("dunning_customers_join_and_leave")
        self.assertEqual(one.dunning_sequence_id, sequence)
        self.assertEqual(other.dunning_policy, "none")

    def test_sequence_is_deleted_for_good(self):
        sequence = self._create_strict_sequence()
        sequence.action_start()
        customer = self.env["res.partner"].create(
            {"name": "Azure", "dunning_sequence_id": sequence.id}
        )
        invoice = self._create_invoice_due(customer)
        self.env["dunning.enrollment"]._reconcile(invoice)
        self._start_manager_tour("dunning_sequence_is_deleted_for_good")
        self.assertFalse(sequence.exists())
        self.assertFalse(customer.dunning_policy)

    def test_invoice_is_paused_and_resumed_with_billing_rights(self):
        self._create_user("dunning_billing", "account.group_account_invoice")
        company = self.env.company
        sequence = self.env["dunning.sequence"].search(
            [("company_id", "=", company.id), ("grouping", "=", "customer")]
        )
        sequence.action_start()
        company.dunning_sequence_id = sequence
        customer = self.env["res.partner"].create(
            {"name": "Azure", "email": "azure@example.com"}
        )
        today = fields.Date.today()
        invoice = self._create_invoice_one_line(
            price_unit=100,
            partner_id=customer,
            invoice_date=today,
            invoice_date_due=today + timedelta(days=30),
            invoice_payment_term_id=False,
            post=True,
        )
        self.env["dunning.enrollment"]._reconcile(invoice)
        self.start_tour(
            "/odoo", "dunning_invoice_is_paused_and_resumed", login="dunning_billing"
        )
        pause = invoice.dunning_hold_ids
        self.assertEqual(pause.reason, "Wrong address")
        self.assertEqual(pause.outcome, "resumed")
        self.assertEqual(invoice.dunning_status, "active")

    def test_work_list_is_done(self):
        self._create_clerk()
        by_hand = self._create_running_sequence("By hand", mode="manual")
        letters = self._create_running_sequence("Letters", channel="letter")
        self._create_running_sequence(mode="approval")
        names = ("Azure", "Bakery", "Cedar", "Delta", "Letters", "Elsewhere")
        customers = [self._create_customer(name) for name in names]
        for customer in customers[1:4]:
            customer.dunning_sequence_id = by_hand
        customers[4].write(
            {"dunning_sequence_id": letters.id, "street": "1 Main St", "city": "Town"}
        )
        azure, bakery, cedar, delta, by_post, disputed = (
            self._create_invoice_due(customer, 0) for customer in customers
        )
        disputed.dunning_disputed = True
        self._run()
        self.start_tour("/odoo", "dunning_work_list_is_done", login="dunning_billing")
        approved, undone, letter = (
            invoice.dunning_reminder_line_ids.reminder_id
            for invoice in (azure, bakery, by_post)
        )
        self.assertEqual((approved.state, approved.origin), ("queued", "approved"))
        self.assertEqual(undone.state, "cancelled")
        self.assertEqual((letter.channel, letter.state), ("letter", "sent"))
        self.assertEqual(cedar.dunning_hold_ids.outcome, "resumed")
        self.assertEqual(delta.dunning_status, "todo")
        self.assertTrue(disputed.dunning_disputed)

    def test_customer_is_set_up(self):
        # Odoo lets only those edit customers who may create contacts.
        clerk = self._create_user(
            "dunning_billing",
            "account.group_account_invoice,base.group_partner_manager",
        )
        sequence = self._create_running_sequence()
        customer = self._create_customer("Azure", is_company=True)
        ann = self._create_customer("Ann", parent_id=customer.id)
        self._create_invoice_due(customer)
        self.start_tour("/odoo", "dunning_customer_is_set_up", login="dunning_billing")
        self.assertEqual(customer.dunning_policy, "own")
        self.assertEqual(customer.dunning_sequence_id, sequence)
        self.assertEqual(customer.dunning_user_id, clerk)
        self.assertEqual(str(customer.dunning_pause_until), "2040-03-15")
        self.assertTrue(ann.dunning_contact)

    def test_invoices_are_switched_off(self):
        self._create_clerk()
        self._create_running_sequence()
        azure, bakery, cedar = (
            self._create_invoice_due(self._create_customer(name), days)
            for name, days in (("Azure", 30), ("Bakery", -10), ("Cedar", -10))
        )
        self.env["dunning.enrollment"]._reconcile(azure + bakery + cedar)
        self.start_tour(
            "/odoo", "dunning_invoices_are_switched_off", login="dunning_billing"
        )
        self.assertEqual((azure + bakery).mapped("dunning_policy"), ["none"] * 2)
        self.assertEqual((azure + bakery).mapped("dunning_status"), ["none"] * 2)
        self.assertFalse(cedar.dunning_policy)

    def test_settings_are_saved_by_an_administrator(self):
        self._create_user(
            "dunning_admin", "account.group_account_manager,base.group_system"
        )
        sequence = self._create_running_sequence()
        company = self.env.company
        company.dunning_sequence_id = False
        # Else the page warns about the taxes of the chart of accounts.
        company.tax_exigibility = True
        self.start_tour("/odoo", "dunning_settings_are_saved", login="dunning_admin")
        self.assertEqual(company.dunning_sequence_id, sequence)
        self.assertEqual((company.dunning_hour_from, company.dunning_hour_to), (9, 17))
        self.assertEqual(company.dunning_day_limit, 300)
        self.assertEqual(company.dunning_statement_days, 7)
