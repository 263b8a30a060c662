from lxml import etree

from odoo.tools.safe_eval import safe_eval

from .common import DunningCommon


class TestShown(DunningCommon):
    """What the forms of an invoice and of a customer say."""

    def test_the_invoice_says_who_gets_its_reminders_and_why(self):
        invoice = self._create_invoice_due("03-01")
        self.assertIn("(from: The invoice address)", invoice.dunning_recipients_shown)
        self._create_contact(self.customer, "Ann", dunning_contact=True)
        self.env.invalidate_all()
        self.assertIn("ann@", invoice.dunning_recipients_shown)
        self.assertIn("reminder contacts", invoice.dunning_recipients_shown)
        invoice.dunning_email_to = "boss@customer.example.com"
        self.assertIn(
            "boss@customer.example.com (from: The", invoice.dunning_recipients_shown
        )
        self.customer.email = False
        invoice.dunning_email_to = False
        self.customer.child_ids.email = False
        self.env.invalidate_all()
        self.assertEqual(invoice.dunning_recipients_shown, "No e-mail address")

    def test_drafts_and_bills_say_nothing_of_recipients(self):
        draft = self._create_invoice_due("03-01", post=False)
        bill = self._create_invoice_due("03-01", move_type="in_invoice")
        self.assertFalse((draft + bill).filtered("dunning_recipients_shown"))
        new = self.env["account.move"].new({"move_type": "out_invoice"})
        self.assertFalse(new.dunning_recipients_shown)

    def test_the_customer_shows_what_is_open_and_overdue(self):
        self._create_invoice_due("03-01", 100)
        part = self._create_invoice_due("03-05", 50)
        self.pay(part, 20)
        contact = self._create_contact(self.customer, "Ann")
        self.travel("03-03")
        self.env.invalidate_all()
        for partner in (self.customer, contact):
            self.assertEqual(partner.dunning_amount_open, 130)
            self.assertEqual(partner.dunning_amount_overdue, 100)

    def test_what_is_paid_is_not_paused(self):
        view = self.env.ref("dunning_sequences.view_move_form_dunning")
        arch = self.env["account.move"].get_view(view.id)["arch"]
        (button,) = etree.fromstring(arch).iterfind(
            ".//button[@name='action_dunning_pause']"
        )
        for state, hidden in (("partial", False), ("in_payment", True), ("paid", True)):
            values = {"payment_state": state, "dunning_paused": False}
            self.assertEqual(safe_eval(button.get("invisible"), values), hidden, state)

    def test_the_customer_shows_his_holds_and_those_of_his_invoices(self):
        invoice = self._create_invoice_due("03-01")
        other = self._create_invoice_due("03-01", customer=self._create_customer("B"))
        (invoice + other).dunning_disputed = True
        self.customer.dunning_paused = True
        holds = self.customer.dunning_shown_hold_ids
        self.assertEqual(sorted(holds.mapped("kind")), ["dispute", "pause"])
        self.assertEqual(holds.move_ids, invoice)

    def test_who_bills_pauses_a_customer_whom_he_may_not_edit(self):
        clerk = self._create_user("clerk", "account.group_account_invoice")
        customer = self.customer.with_user(clerk)
        action = customer.action_dunning_pause()
        Hold = self.env["dunning.hold"].with_user(clerk)
        hold = Hold.with_context(**action["context"]).create({"reason": "Holidays"})
        self.assertTrue(self.customer.dunning_paused)
        customer.action_dunning_resume()
        self.assertEqual(hold.outcome, "resumed")
        self.assertFalse(self.customer.dunning_paused)

    def test_reminders_are_switched_off_and_on_in_bulk(self):
        self._create_default((7,))
        invoices = self._create_invoice_due("03-01") + self._create_invoice_due("03-02")
        self.run_day("03-05")
        action = invoices.action_dunning_off()
        self.assertIn("2 invoices, of which 0", action["params"]["message"])
        self.assertEqual(set(invoices.mapped("dunning_status")), {"none"})
        self.run_on("03-08..03-10")
        self.assertReminders(invoices)
        action = invoices.action_dunning_on()
        self.assertIn("2 invoices, of which 2", action["params"]["message"])
