from odoo.exceptions import AccessError, ValidationError
from odoo.tests import new_test_user, tagged

from ..hooks import uninstall_hook
from .common import DunningCommon


@tagged("post_install", "-at_install")
class TestGoodGuest(DunningCommon):
    """What the addon must not disturb, show, or let others do."""

    def setUp(self):
        super().setUp()
        self.sequence = self._create_default((7,), (14,))
        self.invoice = self._create_invoice_due(
            "03-01", dunning_email_bcc="lawyer@test.example.com"
        )

    def test_who_sees_invoices_without_accounting_rights_sees_nothing_of_ours(self):
        portal = new_test_user(
            self.env, "dunning_portal", "base.group_portal", name="Portal"
        )
        moves = self.env["account.move"].with_user(portal)
        for name in ("view_out_invoice_tree", "view_account_invoice_filter"):
            arch = moves.get_view(self.env.ref(f"account.{name}").id)["arch"]
            self.assertNotIn("dunning", arch)
        ours = [name for name in moves.fields_get() if name.startswith("dunning")]
        self.assertFalse(ours)

    def test_who_may_edit_contacts_does_not_decide_about_reminders(self):
        editor = self._create_user("editor", "base.group_partner_manager")
        customer = self.customer.with_user(editor)
        customer.write({"name": "Azure Interior"})
        for vals in ({"dunning_policy": "none"}, {"dunning_since": "2026-01-01"}):
            with self.assertRaises(AccessError):
                customer.write(vals)
        with self.assertRaises(AccessError):
            self.env["res.partner"].with_user(editor).create(
                {"name": "New", "dunning_policy": "none"}
            )
        billing = self._create_user(
            "billing", "base.group_partner_manager,account.group_account_invoice"
        )
        self.customer.with_user(billing).dunning_policy = "none"

    def test_who_may_edit_contacts_adds_them_to_customers_with_a_sequence(self):
        self.sequence.partner_ids = self.customer
        editor = self._create_user("editor", "base.group_partner_manager")
        contact = (
            self.env["res.partner"]
            .with_user(editor)
            .create({"name": "Brandon", "parent_id": self.customer.id})
        )
        self.assertEqual(contact.commercial_partner_id, self.customer)

    def test_a_customer_who_was_reminded_can_still_be_deleted(self):
        other = self._create_customer("Gone")
        invoice = self._create_invoice_due("03-01", customer=other)
        self.run_on("03-08")
        reminder = self.get_last_reminder(invoice)
        invoice.button_draft()
        invoice.with_context(force_delete=True).unlink()
        other.unlink()
        self.env.invalidate_all()
        self.assertTrue(reminder.exists())
        self.assertEqual(reminder.partner_name, "Gone")
        self.assertEqual(reminder.line_ids.move_name[:3], "INV")

    def test_a_company_just_made_can_be_deleted(self):
        company = self.env["res.company"].create({"name": "Mistake"})
        self.assertTrue(
            self.env["dunning.sequence"].search([("company_id", "=", company.id)])
        )
        company.unlink()

    def test_a_new_company_gets_no_address_of_another(self):
        standard = self.env.ref("dunning_sequences.dunning_sequence_standard")
        standard.email_from = "one@test.example.com"
        company = self.env["res.company"].create({"name": "Two"})
        sequences = self.env["dunning.sequence"].search(
            [("company_id", "=", company.id)]
        )
        self.assertEqual(len(sequences), 2)
        self.assertFalse(any(sequences.mapped("email_from")))

    def test_a_customer_does_not_follow_a_sequence_of_another_company(self):
        company = self.env["res.company"].create({"name": "Two"})
        theirs = self.env["dunning.sequence"].search(
            [("company_id", "=", company.id)], limit=1
        )
        self.env.cr.execute(
            "UPDATE res_partner SET dunning_policy = %s, dunning_sequence_id = %s "
            "WHERE id = %s",
            [
                f'{{"{self.company.id}": "own"}}',
                f'{{"{self.company.id}": {theirs.id}}}',
                self.customer.id,
            ],
        )
        self.env.invalidate_all()
        theirs.action_start()
        self.run_on("03-08")
        self.assertReminders(self.invoice)

    def test_a_translation_obeys_the_rules_of_the_text(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        step = self.sequence.step_ids[0]
        with self.assertRaises(ValidationError):
            step.update_field_translations("subject", {"fr_FR": "{{ amount_due.x }}"})

    def test_a_script_in_a_template_does_not_reach_the_reminder(self):
        template = self.env["mail.template"].create(
            {
                "name": "T",
                "model_id": self.env["ir.model"]._get_id("dunning.reminder"),
                "subject": "T",
                "body_html": "<p>Due <img src='x' t-att-onerror=\"'alert(1)'\"/></p>",
            }
        )
        self.sequence.step_ids[0].write(
            {"content": "template", "template_id": template.id}
        )
        self.run_on("03-08")
        reminder = self.get_last_reminder(self.invoice)
        self.assertEqual(reminder.state, "sent")
        self.assertNotIn("alert", reminder.body)

    def test_an_old_invoice_posted_in_the_evening_stays_out(self):
        """It is tomorrow already in Greenwich."""
        self.company.dunning_tz = "America/New_York"
        self.travel("06-01", hour=25)
        invoice = self._create_invoice_due("03-01")
        self.travel("06-02", hour=15)
        self.run_day("06-02", hour=15)
        self.assertNext(invoice, "held", reason="older")

    def test_uninstalled_it_leaves_no_text_that_never_left(self):
        customers = [self._create_customer(name) for name in ("Lost", "Late")]
        lost, late = (
            self._create_invoice_due("03-02", customer=customer)
            for customer in customers
        )
        self.run_day("03-08")
        self.compose_day("03-09")
        sent, lost, late = (
            self.get_last_reminder(invoice) for invoice in (self.invoice, lost, late)
        )
        self.env["dunning.attempt"]._write_ahead(lost.message_id, 1)
        messages = [reminder.mail_message_id for reminder in (sent, lost, late)]
        self.assertTrue(all(messages))
        uninstall_hook(self.root)
        self.assertEqual([bool(m.exists()) for m in messages], [True, True, False])
