from unittest.mock import patch

from odoo.exceptions import ValidationError

from ..models import safety
from .common import DunningCommon


class TestBrake(DunningCommon):
    """An abnormal batch waits for approval. Never below 50 a day, here: 5."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.assertEqual(cls(), safety.SMALL_DAY, 50)
        cls.startClassPatcher(patch.object(safety, "SMALL_DAY", 5))
        cls._create_default((7,), (14,), grouping="invoice")

    def _create_invoices(self, number, due="03-01"):
        invoices = self.env["account.move"]
        for _number in range(number):
            invoices += self._create_invoice_due(due)
        return invoices

    def test_more_than_the_limit_waits_for_approval(self):
        self.company.dunning_day_limit = 5
        self._create_invoices(6)
        reminders = self.run_day("03-08")
        self.assertEqual(set(reminders.mapped("state")), {"to_approve"})
        self.assertIn("6 reminders on one day", reminders[0].failure_reason)
        self.assertFalse(self.sink.mails)
        reminders.action_approve()
        self.assertFalse(any(reminders.mapped("failure_reason")))
        self.deliver()
        self.assertEqual(len(self.sink.mails), 6)

    def test_few_reminders_never_trip_it(self):
        self.company.dunning_day_limit = 1
        invoices = self._create_invoices(3)
        self.run_day("03-08")
        self.assertReminders(invoices, *["03-08 S1"] * 3)

    def test_far_above_the_usual_waits_for_approval(self):
        self.company.dunning_day_factor = 5
        for day in ("02-01", "02-02", "02-03", "02-04", "02-05"):
            self._create_invoices(1, day)
        self.run_on("02-08..02-20")
        self._create_invoices(7)
        self.assertEqual(set(self.run_day("03-08").mapped("state")), {"to_approve"})

    def test_what_is_usual_is_not_known_at_first(self):
        self.company.dunning_day_factor = 5
        self._create_invoices(7)
        self.assertEqual(set(self.run_day("03-08").mapped("state")), {"sent"})

    def test_by_hand_nothing_brakes(self):
        self.company.dunning_day_limit = 5
        invoices = self._create_invoices(6)
        self.run_day("03-05")
        invoices.action_dunning_remind()
        self.deliver()
        self.assertEqual(len(self.sink.mails), 6)

    def test_limits_are_not_negative(self):
        with self.assertRaises(ValidationError):
            self.company.dunning_day_limit = -1


class TestStatements(DunningCommon):
    """Who has paid is not known as long as nobody loads the bank statements."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.dunning_statement_days = 3

    def _load_statement(self):
        return self.env["account.bank.statement.line"].create(
            {
                "journal_id": self.company_data["default_journal_bank"].id,
                "date": self.today(),
                "payment_ref": "A payment",
                "amount": 1,
            }
        )

    def test_nothing_leaves_by_itself_before_they_are_loaded(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-08")
        self.assertNext(invoice, "held", "03-08 S1", "statements")
        self.assertFalse(self.sink.mails)
        self._load_statement()
        self.run_day("03-09")
        self.assertReminders(invoice, "03-09 S1")

    def test_statements_grow_old(self):
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.travel("03-04")
        self._load_statement()
        self.run_day("03-08")
        self.assertReminders(invoice)
        self.travel("03-08", 11)
        invoice.action_dunning_remind()
        self.deliver()
        self.assertReminders(invoice, "03-08 S1")

    def test_what_a_person_approves_does_not_wait(self):
        self._create_default({"delay": 7, "mode": "approval"})
        self._create_invoice_due("03-01")
        self.assertEqual(self.run_day("03-08").state, "to_approve")

    def test_it_is_off_by_default(self):
        self.company.dunning_statement_days = 0
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-08")
        self.assertReminders(invoice, "03-08 S1")


class TestAgeing(DunningCommon):
    def test_a_pause_without_an_end_is_listed_after_30_days(self):
        invoices = self._create_invoice_due("03-01") + self._create_invoice_due("03-02")
        invoices[0].dunning_paused = True
        invoices[1].write({"dunning_paused": True, "dunning_pause_until": "2026-12-31"})
        Hold = self.env["dunning.hold"]
        self.travel("02-04")
        self.assertFalse(Hold.search([("is_ageing", "=", True)]))
        self.travel("02-05")
        found = Hold.search([("is_ageing", "=", True)])
        self.assertEqual(found.move_ids, invoices[0])
        self.assertTrue(found.is_ageing)
        self.assertIn(
            invoices[1].dunning_hold_ids, Hold.search([("is_ageing", "=", False)])
        )
