from datetime import timedelta

from odoo import fields
from odoo.tests import new_test_user, tagged

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

    def test_sequence_is_written_and_started_by_an_accounting_manager(self):
        self._create_user("dunning_manager", "account.group_account_manager")
        self.start_tour(
            "/odoo", "dunning_sequence_is_written_and_started", login="dunning_manager"
        )
        sequence = self.env["dunning.sequence"].search([("name", "=", "Friendly")])
        self.assertEqual(sequence.state, "running")
        self.assertEqual(sequence.step_ids.mapped("delay"), [-2, 7])
        self.assertEqual(sequence.step_ids[1].subject, "Reminder: {{ invoice_number }}")

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
