import doctest
from datetime import date
from unittest.mock import patch

from psycopg2 import IntegrityError

from odoo.exceptions import UserError, ValidationError
from odoo.tests import BaseCase, tagged
from odoo.tools import mute_logger

from ..tools import late_payment
from ..tools.late_payment import Rate, get_interest, get_periods, is_late
from .common import DunningCommon

#: As published for France: 14.25 % in the second half of 2024, and so on.
RATES = (
    Rate(date(2024, 1, 1), 14.50),
    Rate(date(2024, 7, 1), 14.25),
    Rate(date(2025, 1, 1), 13.15),
    Rate(date(2025, 7, 1), 12.15),
)


@tagged("post_install", "-at_install")
class TestLatePayment(BaseCase):
    """The arithmetic, with examples that were calculated by hand."""

    def assertInterest(self, expected, amount, due, payments, until, rates=RATES):
        """Interest to four decimals: what is rounded is the sum of an invoice."""
        periods = get_periods(amount, due, payments, rates, until)
        self.assertAlmostEqual(get_interest(periods), expected, 4)
        return [(p.first, p.days, p.balance, p.percent) for p in periods]

    def test_examples_in_the_documentation(self):
        failed, tried = doctest.testmod(late_payment)
        self.assertFalse(failed)
        self.assertGreaterEqual(tried, 10)

    def test_from_the_day_after_the_due_date(self):
        due = date(2025, 8, 31)
        # The 1st of September is the first day: 1000 x 12.15 % x 1 / 365 = 0.33288
        self.assertInterest(0.3329, 1000, due, [], date(2025, 9, 1))
        # 30 days of September: 1000 x 0.1215 x 30 / 365 = 9.98630
        self.assertInterest(9.9863, 1000, due, [], date(2025, 9, 30))
        self.assertInterest(0, 1000, due, [], due)
        self.assertInterest(0, 1000, due, [], date(2025, 8, 1))

    def test_on_the_balance_between_part_payments(self):
        # 1000 from 1 to 10 September: 1000 x 0.1215 x 10 / 365 = 3.32877
        #  700 from 11 to 20 September:  700 x 0.1215 x 10 / 365 = 2.33014
        #  200 from 21 to 30 September:  200 x 0.1215 x 10 / 365 = 0.66575
        #                                                  in all  6.32466
        payments = [(date(2025, 9, 20), 500), (date(2025, 9, 10), 300)]
        found = self.assertInterest(
            6.3247, 1000, date(2025, 8, 31), payments, date(2025, 9, 30)
        )
        self.assertEqual(
            [balance for _first, _days, balance, _rate in found], [1000, 700, 200]
        )
        # Paid in full on the 30th: the days after it bear nothing.
        payments.append((date(2025, 9, 30), 200))
        self.assertInterest(
            6.3247, 1000, date(2025, 8, 31), payments, date(2026, 9, 30)
        )

    def test_a_new_half_year_has_its_own_rate(self):
        # 16 to 31 December 2024: 2000 x 14.25 % x 16 / 365 = 12.49315
        #  1 to 31 January 2025:  2000 x 13.15 % x 31 / 365 = 22.33699
        #                                            in all   34.83014
        found = self.assertInterest(
            34.8301, 2000, date(2024, 12, 15), [], date(2025, 1, 31)
        )
        self.assertEqual(
            found,
            [
                (date(2024, 12, 16), 16, 2000, 14.25),
                (date(2025, 1, 1), 31, 2000, 13.15),
            ],
        )

    def test_a_leap_year_has_a_day_more_and_is_divided_by_365(self):
        # 1 February to 1 March 2024 is 29 + 1 days: 1000 x 14.5 % x 30 / 365 = 11.91781
        self.assertInterest(11.9178, 1000, date(2024, 1, 31), [], date(2024, 3, 1))
        # A year is 365 days and that one 366: 1000 x 14.5 % x 182 / 365 = 72.30137
        # (1 January to 30 June) and 1000 x 14.25 % x 184 / 365 = 71.83562: 144.13699
        self.assertInterest(144.137, 1000, date(2023, 12, 31), [], date(2024, 12, 31))

    def test_what_came_before_the_due_date_bears_nothing(self):
        due = date(2025, 8, 31)
        # A credit note of 400 before, and 100 on the day itself: 500 stay open.
        # 500 x 12.15 % x 30 / 365 = 4.99315
        before = [(date(2025, 8, 1), 400), (due, 100)]
        self.assertInterest(4.9932, 1000, due, before, date(2025, 9, 30))
        self.assertTrue(is_late(1000, due, before, date(2025, 9, 1)))
        in_time = [*before, (due, 500)]
        self.assertInterest(0, 1000, due, in_time, date(2025, 9, 30))
        self.assertFalse(is_late(1000, due, in_time, date(2025, 9, 30)))

    def test_cents_that_floats_cannot_hold_are_no_balance(self):
        due = date(2025, 8, 31)
        self.assertFalse(is_late(0.3, due, [(due, 0.1), (due, 0.2)], date.max))

    def test_bad_input(self):
        due = date(2025, 8, 31)
        # Without a rate there is no interest; with one that begins later, from then on:
        # 1000 x 12 % x 10 / 365 = 3.28767
        self.assertInterest(0, 1000, due, [], date(2025, 9, 30), rates=())
        later = [Rate(date(2025, 9, 21), 12)]
        self.assertInterest(3.2877, 1000, due, [], date(2025, 9, 30), rates=later)
        # "Never", as some write it; paid more than was due; paid in the future.
        self.assertInterest(0, 1000, date.max, [], date(2025, 9, 30))
        self.assertInterest(0, 1000, due, [(due, 1200)], date(2025, 9, 30))
        self.assertInterest(
            9.9863, 1000, due, [(date(2026, 1, 1), 1000)], date(2025, 9, 30)
        )


@tagged("post_install", "-at_install")
class TestClaims(DunningCommon):
    """What a French company claims from those who pay late.

    Its books are in dollars; a euro is two dollars, so that EUR 40 are $ 80. The rate
    of 12.15 % is that of the second half of 2025, the last one that is known.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.company.country_id = cls.env.ref("base.fr")
        cls.euro = cls.setup_other_currency("EUR", rates=[("1900-01-01", 0.5)])
        body = "<p>You owe {{ amount_due }}</p>{{ invoice_table }}"
        cls.sequence = cls._create_default(
            {"delay": 7, "body": body},
            {"delay": 14, "body": body},
            claim_policy="legal",
        )

    def get_mail(self):
        return self.get_text(self.sink.mails[-1])

    def assertClaim(self, invoice, fixed, interest, left):
        self.env.invalidate_all()
        found = (
            invoice.dunning_claim_fixed,
            invoice.dunning_claim_interest,
            invoice.dunning_claim_left,
        )
        self.assertEqual(found, (fixed, interest, left))

    def book(self, invoice):
        action = invoice.action_dunning_claim_book()
        return self.env["account.move"].browse(action["res_id"])

    def open_composer(self, invoice):
        action = invoice.action_dunning_compose()
        return self.env[action["res_model"]].browse(action["res_id"])

    def waive(self, invoice, reason="Our delivery was late, too", **vals):
        return self.env["dunning.claim.waiver"].create(
            {"move_id": invoice.id, "reason": reason, **vals}
        )

    # ------------------------------------------------------------------------
    # WHAT THE CUSTOMER READS
    # ------------------------------------------------------------------------

    def test_compensation_and_interest_stand_below_what_is_due(self):
        # 7 days, 1000 x 12.15 % x 7 / 365 = 2.33014
        invoice = self._create_invoice_due("03-01", 1000)
        self.run_on("03-08")
        text = self.get_mail()
        self.assertIn("You owe $ 1,000.00", text)
        self.assertIn(
            "In addition, because of the late payment, as of 03/08/2026 (art. L441-10 "
            "and D441-5 C. com.):",
            text,
        )
        self.assertIn(
            f"{invoice.name} Fixed compensation for recovery costs $ 80.00", text
        )
        self.assertIn(
            f"{invoice.name} Late-payment interest, 7 days at 12.15 % $ 2.33", text
        )
        self.assertIn("Claimed for the late payment $ 82.33", text)
        self.assertClaim(invoice, 80, 2.33, 82.33)
        self.assertIn("$\xa01,000.00 × 12.15 % × 7 / 365", invoice.dunning_claim_detail)
        self.assertIn("01/01/2026 is missing", invoice.dunning_claim_problem)
        self.assertIn("is used, 12.15 % from 07/01/2025", self.sequence.claim_problem)

        self.euro.active = False
        self.assertClaim(invoice, 0, 2.33, 2.33)
        self.assertIn("euro is not active", invoice.dunning_claim_problem)

    def test_a_sequence_claims_nothing_by_default(self):
        self.assertEqual(self._create_sequence().claim_policy, "none")
        self.sequence.claim_policy = "none"
        invoice = self._create_invoice_due("03-01", 1000)
        with patch.object(type(invoice), "_read_claims", side_effect=AssertionError):
            self.run_on("03-08")
        self.assertNotIn("In addition", self.get_mail())
        self.assertClaim(invoice, 0, 0, 0)
        with self.assertRaisesRegex(UserError, "nothing to claim"):
            self.book(invoice)

    def test_merge_fields_of_a_typed_text(self):
        self.sequence.step_ids[0].body = (
            "<p>{% if claim_amount %}Beside it {{ claim_amount }} by {{ claim_source }}"
            "{% endif %}.</p>"
        )
        self._create_invoice_due("03-01", 1000)
        self.run_on("03-08")
        self.assertIn(
            "Beside it $ 82.33 by art. L441-10 and D441-5 C. com..", self.get_mail()
        )

    def test_only_from_businesses(self):
        person = self._create_customer("Anna", is_company=False)
        buyer = self._create_contact(self.customer, "Buyer")
        mine = self._create_invoice_due("03-01", 1000, person)
        theirs = self._create_invoice_due("03-01", 1000, buyer)
        self.run_on("03-08")
        texts = {mail.recipients[0]: self.get_text(mail) for mail in self.sink.mails}
        self.assertNotIn("In addition", texts["anna@customer.example.com"])
        self.assertIn("$ 82.33", texts["buyer@customer.example.com"])
        self.assertClaim(mine, 0, 0, 0)
        self.assertClaim(theirs, 80, 2.33, 82.33)

    def test_elsewhere_in_the_union_the_directive_is_named(self):
        self.company.country_id = self.env.ref("base.nl")
        self.assertIn("No late-payment interest rate", self.sequence.claim_problem)
        invoice = self._create_invoice_due("03-01", 1000)
        self.run_on("03-08")
        self.assertIn("(directive 2011/7/EU)", self.get_mail())
        self.assertClaim(invoice, 80, 0, 80)
        self.env["dunning.interest.rate"].create(
            {"date_from": "2026-01-01", "rate": 10, "company_id": self.company.id}
        )
        # 1000 x 10 % x 7 / 365 = 1.91781
        self.assertClaim(invoice, 80, 1.92, 81.92)
        self.assertFalse(self.sequence.claim_problem)

    def test_before_the_due_date_nothing_is_claimed(self):
        self.sequence.step_ids[0].delay = -3
        self._create_invoice_due("03-01", 1000)
        self.run_on("02-26")
        self.assertEqual(len(self.sink.mails), 1)
        self.assertNotIn("In addition", self.get_mail())

    def test_the_letter_says_it_too(self):
        self.customer.write({"street": "Rue 1", "city": "Lyon"})
        self.sequence.step_ids[0].channel = "letter"
        invoice = self._create_invoice_due("03-01", 1000)
        self.run_on("03-08")
        self.travel("03-10")
        letter = self.get_last_reminder(invoice)
        letter.action_print()
        # Printed two days later: 1000 x 12.15 % x 9 / 365 = 2.99589
        self.assertIn("9 days at 12.15 %", letter.body)

    # ------------------------------------------------------------------------
    # READ AGAIN WHEN IT LEAVES
    # ------------------------------------------------------------------------

    def test_a_mail_that_waits_over_midnight_says_the_interest_of_its_day(self):
        # 8 days: 1000 x 12.15 % x 8 / 365 = 2.66301
        self._create_invoice_due("03-01", 1000)
        with self.server_down():
            self.run_on("03-08")
        self.travel("03-09")
        self.deliver()
        (mail,) = self.sink.mails
        self.assertIn("8 days at 12.15 % $ 2.66", self.get_text(mail))
        self.assertIn("as of 03/09/2026", self.get_text(mail))

    def test_a_text_written_by_hand_stays_true_until_the_claim_is_waived(self):
        kept = self._create_invoice_due("03-01", 1000)
        waived = self._create_invoice_due("03-01", 1000, self._create_customer("B"))
        self.travel("03-05")
        self.drain()
        for invoice in (kept, waived):
            composer = self.open_composer(invoice)
            self.assertIn("In addition, because of the late", composer.body)
            composer.write({"subject": "In my own words", "body": composer.body})
            composer.action_send()
        self.waive(waived)
        self.travel("03-06")
        self.deliver()
        (mail,) = self.sink.mails
        self.assertIn("as of 03/05/2026", self.get_text(mail))
        self.assertIn(
            "Write the reminder again", self.get_last_reminder(waived).failure_reason
        )

    def test_paid_in_part_waived_or_booked_before_it_leaves(self):
        paid = self._create_invoice_due("03-01", 1000)
        waived = self._create_invoice_due("03-01", 1000, self._create_customer("B"))
        booked = self._create_invoice_due("03-01", 1000, self._create_customer("C"))
        self.travel("03-04")
        self.pay(paid, 400)
        self.compose_day("03-08")
        self.waive(waived)
        self.book(booked)
        self.deliver()
        texts = {mail.recipients[0]: self.get_text(mail) for mail in self.sink.mails}
        # 1000 for 3 days and 600 for 4: (3000 + 2400) x 12.15 % / 365 = 1.79753
        self.assertIn("$ 81.80", texts["azure@customer.example.com"])
        self.assertNotIn("In addition", texts["b@customer.example.com"])
        self.assertNotIn("In addition", texts["c@customer.example.com"])

    # ------------------------------------------------------------------------
    # HOW MUCH
    # ------------------------------------------------------------------------

    def test_three_instalments_one_compensation(self):
        invoice = self._create_invoice_in_instalments(
            ("02-01", 50), ("03-01", 30), ("04-01", 20), amount=1000
        )
        self.run_on("02-08")
        self.assertIn("$ 80.00", self.get_mail())
        self.run_on("03-08")
        # 500 from 2 February, 35 days: 500 x 12.15 % x 35 / 365 = 5.82534
        # 300 from 2 March, 7 days:     300 x 12.15 % x  7 / 365 = 0.69904
        # The third is not due yet:                       in all   6.52438
        self.assertClaim(invoice, 80, 6.52, 86.52)
        self.assertEqual(self.get_mail().count("Fixed compensation"), 1)

    def test_a_credit_note_before_the_due_date_lowers_what_bears_interest(self):
        invoice = self._create_invoice_due("03-01", 1000)
        note = self._create_invoice_due("03-01", 400, move_type="out_refund")
        self.assertLess(note.date, date(2026, 3, 1))
        lines = (invoice + note).line_ids.filtered(
            lambda line: line.account_id.account_type == "asset_receivable"
        )
        lines.reconcile()
        self.run_on("03-08")
        # 600 x 12.15 % x 7 / 365 = 1.39808
        self.assertClaim(invoice, 80, 1.40, 81.40)

    def test_in_the_currency_of_the_invoice(self):
        invoice = self._create_invoice_due("03-01", 1000, currency_id=self.euro.id)
        self.run_on("03-08")
        self.assertIn("Claimed for the late payment 42.33 €", self.get_mail())
        self.assertClaim(invoice, 40, 2.33, 42.33)
        self.travel("03-10")
        self.pay(invoice, 400, currency_id=self.euro.id)
        self.travel("03-15")
        # 1000 for 9 days, 600 for 5: (9000 + 3000) x 12.15 % / 365 = 3.99452
        self.assertClaim(invoice, 40, 3.99, 43.99)
        claim = self.book(invoice)
        self.assertEqual(claim.currency_id, self.euro)
        self.assertEqual(claim.amount_total, 43.99)

    def test_paid_late_is_claimed_and_paid_in_time_is_not(self):
        late = self._create_invoice_due("03-01", 1000)
        in_time = self._create_invoice_due("03-01", 1000)
        reversed_ = self._create_invoice_due("03-01", 1000)
        self.travel("03-01")
        self.drain()
        self.pay(in_time)
        self.run_on("03-08")
        self.travel("03-11")
        self.pay(late)
        reversed_._reverse_moves(cancel=True)
        self.drain()
        self.travel("04-30")
        # Ten days: 1000 x 12.15 % x 10 / 365 = 3.32877
        self.assertClaim(late, 80, 3.33, 83.33)
        self.assertClaim(in_time, 0, 0, 0)
        self.assertClaim(reversed_, 0, 0, 0)
        self.assertEqual(self.book(late).amount_total, 83.33)

    def test_a_flat_fee_for_each_step(self):
        """Also outside of the Union; in the invoice's currency; once a step."""
        self.company.country_id = self.env.ref("base.ch")
        self.sequence.claim_policy = "fee"
        first, second = self.sequence.step_ids
        first.claim_fee, second.claim_fee, second.repeat_every = 10, 15, 7
        invoice = self._create_invoice_due("03-01", 1000)
        foreign = self._create_invoice_due(
            "03-01", 1000, self._create_customer("Euro"), currency_id=self.euro.id
        )
        self.travel("03-05")
        self.drain()
        self.assertIn("Reminder fees", self.open_composer(invoice).body)
        self.run_on("03-08")
        texts = [self.get_text(mail) for mail in self.sink.mails]
        self.assertIn("In addition, reminder fees as of 03/08/2026:", texts[0])
        self.assertIn(f"{invoice.name} Reminder fees $ 10.00", texts[0])
        self.assertIn(f"{foreign.name} Reminder fees 5.00 €", texts[1])
        self.run_on("03-15")
        second.claim_fee = 5  # said once at 15, and not asked for less when repeated
        self.sink.clear()
        self.run_on("03-22")
        texts = " ".join(self.get_text(mail) for mail in self.sink.mails)
        self.assertIn(f"{invoice.name} Reminder fees $ 25.00", texts)
        self.assertReminders(invoice, "03-08 S1", "03-15 S2", "03-22 S2")
        self.assertClaim(invoice, 25, 0, 25)
        first.claim_fee, second.claim_fee = 99, 0
        self.assertClaim(invoice, 25, 0, 25)
        claim = self.book(invoice)
        self.assertIn("Reminder fees", claim.invoice_line_ids.name)
        self.assertEqual(claim.amount_total, 25)

    # ------------------------------------------------------------------------
    # BOOKED
    # ------------------------------------------------------------------------

    def test_paid_by_a_payment_without_an_entry_waits_for_the_statement(self):
        """As with Odoo Enterprise: paid, but open until the statement is there."""
        invoice = self._create_invoice_due("03-01", 1000)
        self.run_on("03-08")
        self.assertGreater(invoice.dunning_claim_left, 0)
        self.env.flush_all()
        self.env.cr.execute(
            "UPDATE account_move SET payment_state = 'in_payment' WHERE id = %s",
            [invoice.id],
        )
        self.env.invalidate_all(flush=False)
        self.assertEqual(invoice.amount_residual, 1000)
        self.assertClaim(invoice, 0, 0, 0)
        with self.assertRaisesRegex(UserError, "nothing to claim"):
            invoice.action_dunning_claim_book()

    def test_what_replaces_the_invoice_of_a_claim_is_booked_as_it(self):
        invoice = self._create_invoice_due("03-01", 1000)
        self.run_on("03-08")
        claim = self.book(invoice)
        claim.action_post()
        wizard = self.env["account.move.reversal"].create(
            {"move_ids": [(6, 0, claim.ids)], "journal_id": claim.journal_id.id}
        )
        wizard.modify_moves()
        self.assertEqual(claim.payment_state, "reversed")
        self.assertEqual(wizard.new_move_ids.dunning_claim_of_id, invoice)
        self.assertClaim(invoice, 80, 2.33, 0)

    def test_a_fee_is_charged_once_its_reminder_has_left(self):
        self.sequence.claim_policy = "fee"
        step = self.sequence.step_ids[0]
        step.claim_fee = 10
        invoice = self._create_invoice_due("03-01", 1000)
        reminder = self.compose_day("03-08")
        self.assertEqual(reminder.state, "queued")
        self.assertClaim(invoice, 0, 0, 0)
        step.claim_fee = 12
        self.deliver()
        self.assertEqual(reminder.state, "sent")
        self.assertIn(f"{invoice.name} Reminder fees $ 10.00", self.get_mail())
        self.assertClaim(invoice, 10, 0, 10)

    def test_a_claim_credited_in_part_is_booked_for_the_rest(self):
        invoice = self._create_invoice_due("03-01", 1000)
        self.run_on("03-08")
        claim = self.book(invoice)
        claim.action_post()
        self.assertClaim(invoice, 80, 2.33, 0)
        wizard = self.env["account.move.reversal"].create(
            {"move_ids": [(6, 0, claim.ids)], "journal_id": claim.journal_id.id}
        )
        wizard.refund_moves()
        credit = wizard.new_move_ids
        credit.invoice_line_ids[0].price_unit = 30
        credit.invoice_line_ids[1:].unlink()
        self.assertClaim(invoice, 80, 2.33, 0)
        credit.action_post()
        self.assertClaim(invoice, 80, 2.33, 30)

    def test_booked_on_request_and_never_twice(self):
        income = self.company_data["default_account_revenue"].copy()
        invoice = self._create_invoice_due("03-01", 1000)
        self.run_on("03-08")
        self.assertFalse(invoice.dunning_claim_move_ids, "nothing by itself")
        claim = self.book(invoice)
        self.assertEqual(claim.state, "draft")
        self.assertEqual(claim.dunning_claim_of_id, invoice)
        self.assertEqual(invoice.dunning_claim_move_ids, claim)
        self.assertEqual(claim.partner_id, invoice.partner_id)
        self.assertEqual(claim.invoice_line_ids.mapped("price_unit"), [80, 2.33])
        self.assertFalse(claim.invoice_line_ids.tax_ids, "out of the scope of VAT")
        self.assertEqual(
            claim.invoice_line_ids.account_id, invoice.journal_id.default_account_id
        )
        self.assertIn("L441-10", claim.invoice_line_ids[0].name)
        self.assertIn("× 7 / 365", claim.invoice_line_ids[1].name)
        self.assertIn(claim._name, invoice.message_ids[0].body)
        self.assertClaim(invoice, 80, 2.33, 0)
        self.assertEqual(self.book(invoice), claim, "the draft, and no second one")
        with (
            mute_logger("odoo.sql_db"),
            self.assertRaises(IntegrityError),
            self.env.cr.savepoint(),
        ):
            claim.copy({"dunning_claim_of_id": invoice.id})
        claim.action_post()
        with self.assertRaisesRegex(UserError, "nothing to claim"):
            self.book(invoice)
        # Ten days later: 17 days, 1000 x 12.15 % x 17 / 365 = 5.65890
        self.travel("03-18")
        self.company.dunning_claim_account_id = income
        self.assertClaim(invoice, 80, 5.66, 3.33)
        more = self.book(invoice)
        self.assertEqual(more.invoice_line_ids.price_unit, 3.33)
        self.assertEqual(more.invoice_line_ids.account_id, income)
        self.assertIn("Invoiced before: $\xa02.33", more.invoice_line_ids.name)
        more.button_cancel()
        self.assertClaim(invoice, 80, 5.66, 3.33)
        claim._reverse_moves(cancel=True)
        self.assertClaim(invoice, 80, 5.66, 85.66)

    def test_a_late_payment_invoice_gives_no_claim_itself(self):
        invoice = self._create_invoice_due("03-01", 1000)
        self.run_on("03-08")
        claim = self.book(invoice)
        claim.invoice_date_due = claim.invoice_date = date(2026, 3, 8)
        claim.action_post()
        self.sink.clear()
        self.run_on("03-15")
        self.assertReminders(claim, "03-15 S1")
        self.assertClaim(claim, 0, 0, 0)
        self.assertNotIn(f"{claim.name} Fixed", self.get_mail())

    # ------------------------------------------------------------------------
    # WAIVED
    # ------------------------------------------------------------------------

    def test_waived_with_a_reason_and_taken_back(self):
        invoice = self._create_invoice_due("03-01", 1000)
        self.run_on("03-08")
        clerk = self._create_user("clerk", "account.group_account_invoice")
        reader = self._create_user("reader", "account.group_account_readonly")
        self.assertEqual(invoice.with_user(reader).dunning_claim_left, 82.33)
        waiver = self.waive(
            invoice.with_user(clerk), user_id=self.env.user.id, waived_on="2020-01-01"
        )
        self.travel("03-09")
        action = invoice.with_user(clerk).action_dunning_claim_waive()
        self.assertEqual(action["res_model"], "dunning.claim.waiver")
        self.assertClaim(invoice, 80, 2.66, 0)
        waiver = invoice.dunning_claim_waiver_ids
        self.assertEqual(waiver.waived_on, date(2026, 3, 8))
        self.assertIn("Our delivery was late, too (", invoice.dunning_claim_waived)
        self.assertIn("Our delivery", invoice.message_ids[0].body)
        with self.assertRaisesRegex(UserError, "waived"):
            self.book(invoice)
        self.run_on("03-15")
        self.assertNotIn("In addition", self.get_mail())
        invoice.with_user(clerk).action_dunning_claim_restore()
        self.assertEqual(waiver.undone_by_id, clerk)
        # 14 days: 1000 x 12.15 % x 14 / 365 = 4.66027
        self.assertClaim(invoice, 80, 4.66, 84.66)
        with self.assertRaisesRegex(UserError, "was not waived"):
            invoice.action_dunning_claim_restore()
        self.waive(invoice, "Again")
        self.assertEqual(len(invoice.dunning_claim_waiver_ids), 2)

    @mute_logger("odoo.sql_db")
    def test_bad_input(self):
        Rate_ = self.env["dunning.interest.rate"]
        french = {"date_from": "2025-07-01", "country_id": self.env.ref("base.fr").id}
        for vals, message in (
            ({**french, "rate": 12}, "begins on this day"),
            ({"date_from": "2026-01-01", "rate": -1}, "between 0 and 100"),
            ({"date_from": "2026-01-01", "rate": 1215}, "between 0 and 100"),
            ({**french, "company_id": self.company.id, "rate": 1}, "not for both"),
        ):
            with (
                self.subTest(message),
                self.assertRaises(IntegrityError),
                self.env.cr.savepoint(),
            ):
                Rate_.create(vals)
        with self.assertRaises(IntegrityError), self.env.cr.savepoint():
            self.sequence.step_ids[0].claim_fee = -1
            self.env.flush_all()
        invoice = self._create_invoice_due("03-01", 1000)
        self.run_on("03-02")
        self.company.country_id = self.env.ref("base.us")
        self.assertIn("law of the European Union", self.sequence.claim_problem)
        self.assertClaim(invoice, 0, 0, 0)
        with self.assertRaisesRegex(ValidationError, "law of the European Union"):
            self._create_sequence(claim_policy="legal")
        ready_made = self.sequence._get_ready_made()
        ready_made.company_id.country_id = self.env.ref("base.fr")
        ready_made.claim_policy = "legal"
        elsewhere = self.env["res.company"].create({"name": "Elsewhere"})
        copies = elsewhere.dunning_sequence_ids
        self.assertEqual(set(copies.mapped("claim_policy")), {"none"})
        bill = self._create_invoice_due("03-01", 10, move_type="in_invoice")
        with self.assertRaisesRegex(UserError, "customer's invoice"):
            self.waive(bill)
        self.assertClaim(bill, 0, 0, 0)

    # ------------------------------------------------------------------------
    # RATES
    # ------------------------------------------------------------------------

    def test_a_companys_own_rates_stand_for_all_others(self):
        Rate_ = self.env["dunning.interest.rate"]
        french = self.company._get_dunning_rates()
        self.assertEqual(
            french.sorted("date_from").mapped("rate"),
            [12.5, 14, 14.5, 14.25, 13.15, 12.15],
        )
        Rate_.create({"date_from": "2026-01-01", "rate": 9})
        self.assertEqual(self.company._get_dunning_rates(), french)
        own = Rate_.create(
            {"date_from": "2020-01-01", "rate": 36.5, "company_id": self.company.id}
        )
        self.assertEqual(self.company._get_dunning_rates(), own)
        self.assertFalse(self.sequence.claim_problem, "agreed on, until the next one")
        invoice = self._create_invoice_due("03-01", 1000)
        self.run_on("03-08")
        # 36.5 % a year is a thousandth a day: 7 x 1 = 7
        self.assertClaim(invoice, 80, 7, 87)
        self.assertIn("36.50 %", self.get_mail())

    def test_overseas_france_is_france(self):
        self.company.country_id = self.env.ref("base.re")
        self.assertEqual(self.company._get_dunning_claim_law(), "fr")
        self.assertTrue(self.company._get_dunning_rates().country_id)
