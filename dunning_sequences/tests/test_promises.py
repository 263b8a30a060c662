from odoo.exceptions import UserError
from odoo.tests import Form, tagged

from .common import DunningCommon, to_date, to_text


@tagged("post_install", "-at_install")
class TestPromises(DunningCommon):
    """What customers promise: amounts, instalments, payment plans."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.mail_server.from_filter = False  # Odoo writes to people, too
        cls.clerk = cls._create_user("clerk", "account.group_account_invoice")
        cls.sequence = cls._create_default(
            (7,), (14,), (21,), (28,), user_id=cls.clerk.id
        )

    def promise(self, invoices, until, amount=0, **vals):
        return self.env["dunning.hold"].create(
            {
                "kind": "promise",
                "move_ids": [(6, 0, invoices.ids)],
                "until": to_date(until),
                "amount": amount,
                **vals,
            }
        )

    def get_told(self, invoices):
        return invoices.activity_ids.mapped("summary")

    # ------------------------------------------------------------------------
    # AMOUNTS
    # ------------------------------------------------------------------------

    def test_at_least_what_was_promised_since_it_was(self):
        """A part is shown and is broken; what was paid before is none of it."""
        kept, partly, before = (self._create_invoice_due("03-01") for _n in range(3))
        self.run_on("03-05")
        self.pay(before, 60)
        promises = [
            self.promise(invoice, "03-10", 40) for invoice in (kept, partly, before)
        ]
        self.travel("03-09")
        self.pay(kept, 40)
        self.pay(partly, 39.99)
        self.run_on("03-09..03-14")
        self.assertEqual(
            [promise.outcome for promise in promises], ["kept", "broken", "broken"]
        )
        self.assertEqual([p.amount_paid for p in promises], [40, 39.99, 0])
        self.assertFalse(self.get_told(kept))
        self.assertIn("40.00", self.get_told(before)[0])
        self.assertIn("39.99 was paid", self.get_told(partly)[0].replace("\xa0", " "))
        self.assertReminders(kept, "03-09 S1")
        self.assertReminders(partly, "03-14 S1")

    def test_without_an_amount_it_is_what_is_due_by_then(self):
        invoice = self._create_invoice_in_instalments(("03-01", 30), ("05-01", 70))
        self.run_on("03-05")
        invoice.dunning_promise_date = to_date("03-10")
        self.assertEqual(invoice.dunning_promise_amount, 30)
        self.travel("03-12")
        self.pay(invoice, 30)
        self.run_on("03-13")
        promise = invoice.dunning_hold_ids
        self.assertEqual((promise.outcome, promise.days_late), ("kept", 2))
        early = self._create_invoice_due("06-01", 80)
        early.dunning_promise_date = to_date("04-01")
        self.assertEqual(early.dunning_promise_amount, 80, "nothing is due by then")

    def test_another_amount_is_another_promise_another_date_is_the_same(self):
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-05")
        invoice.write({"dunning_promise_date": "2026-03-10"})
        invoice.write({"dunning_promise_amount": 50})
        self.pay(invoice, 30)
        promise = invoice.dunning_hold_ids
        invoice.write({"dunning_promise_date": "2026-03-12"})
        self.assertEqual(promise._get_paid(), 30)
        invoice.write({"dunning_promise_amount": 40})
        self.assertEqual((invoice.dunning_hold_ids, promise._get_paid()), (promise, 0))
        self.travel("03-11")
        self.pay(invoice, 40)
        self.run_on("03-11")
        self.assertEqual(promise.outcome, "kept")

    def test_the_date_of_a_pause_alone_can_be_changed(self):
        invoice = self._create_invoice_due("03-01")
        self.travel("03-05")
        for record in (invoice, self.customer):
            record.write({"dunning_paused": True, "dunning_pause_until": "2026-03-10"})
            record.invalidate_recordset()
            record.write({"dunning_pause_until": "2026-03-12"})
            self.assertTrue(record.dunning_paused)
            (hold,) = record.dunning_hold_ids
            self.assertEqual(to_text(hold.until), "03-12")

    def test_a_promise_in_two_currencies(self):
        """Judged at the rates of its first day, whatever they are later."""
        euro = self.setup_other_currency("EUR", rates=[("2026-01-01", 2.0)])
        there = self._create_invoice_due("03-01", 200, currency_id=euro.id)
        here = self._create_invoice_due("03-01", 50)
        self.travel("03-05")
        promise = self.promise(here + there, "03-10")
        self.assertEqual(promise.amount, 150)
        euro.rate_ids.create(
            {
                "name": "2026-03-06",
                "rate": 4.0,
                "currency_id": euro.id,
                "company_id": self.company.id,
            }
        )
        self.travel("03-09")
        self.pay(there, currency_id=euro.id)
        self.assertEqual((promise._get_paid(), promise._is_kept()), (100, False))
        self.pay(here)
        self.run_on("03-09")
        self.assertEqual(promise.outcome, "kept")

    def test_one_of_two_invoices_goes_its_own_way(self):
        """Each part keeps its share of the amount, and of what was paid."""
        first = self._create_invoice_due("03-01", 300)
        second = self._create_invoice_due("03-01", 100)
        self.run_on("03-05")
        promise = self.promise(first + second, "03-10", 200)
        dispute = self.env["dunning.hold"].create(
            {
                "kind": "dispute",
                "move_ids": [(6, 0, (first + second).ids)],
                "amount": 40,
            }
        )
        self.assertEqual(second.dunning_promise_amount, 50)
        self.assertEqual(second.dunning_disputed_amount, 10)
        self.pay(second, 20)
        second.dunning_promise_date = to_date("03-20")
        second.dunning_disputed_amount = 15
        other = second._get_dunning_holds("promise")
        self.assertEqual((promise.amount, other.amount), (150, 50))
        self.assertEqual((promise._get_paid(), other._get_paid()), (0, 20))
        self.assertEqual((dispute.amount, second.dunning_disputed_amount), (30, 15))
        second.dunning_disputed = False
        self.assertTrue(first.dunning_disputed)
        with self.assertRaisesRegex(UserError, "between 0 and"):
            first.dunning_disputed_amount = 301

    def test_how_well_a_customer_keeps_his_promises(self):
        invoices = [self._create_invoice_due("03-01") for _n in range(3)]
        self.run_on("03-05")
        self.assertFalse(self.customer.dunning_punctuality)
        for invoice in invoices:
            self.promise(invoice, "03-10")
        self.pay(invoices[0], payment_date="2026-03-09")
        self.travel("03-13")
        self.pay(invoices[1], payment_date="2026-03-13")
        self.run_on("03-13..03-14")
        contact = self._create_contact(self.customer, "Ann")
        for partner in (self.customer, contact):
            self.assertEqual(
                partner.dunning_punctuality,
                "2 of 3 promises kept, on average 2 days late",
            )
        self.assertFalse(self._create_customer("Other").dunning_punctuality)

    # ------------------------------------------------------------------------
    # THE NEXT REMINDER
    # ------------------------------------------------------------------------

    def test_the_first_reminder_after_it_was_broken_says_so(self):
        """Once, in a text of one's own, in ours, and only while it is unpaid."""
        self.env["res.lang"]._activate_lang("fr_FR")
        first, second, _third, last = self.sequence.step_ids
        own = "<p>{% if broken_promise %}{{ broken_promise_date }}: "
        own += "{{ broken_promise_amount }} ({{ broken_promise }}){% endif %}.</p>"
        first.body = second.body = own
        template = self.env.ref("dunning_sequences.mail_template_dunning_second")
        last.write({"content": "template", "template_id": template.id})
        french = self._create_customer("Marie", lang="fr_FR")
        nothing, partly, later = (
            self._create_invoice_due("03-01", customer=customer)
            for customer in (french, self.customer, self._create_customer("Later"))
        )
        self.run_on("03-05")
        for invoice in (nothing, partly, later):
            self.promise(invoice, "03-06", 40)
        self.travel("03-06")
        self.pay(partly, 15)
        self.compose_day("03-10")
        self.pay(later, 40)
        self.deliver()
        texts = {
            mail["To"].rpartition("<")[2].strip(">"): self.get_text(mail)
            for mail in self.sink.mails
        }
        self.assertIn("06/03/2026: $ 40,00", texts["marie@customer.example.com"])
        self.assertIn(
            "You had promised to pay $ 40.00 by 03/06/2026; we have received $ 15.00",
            texts["azure@customer.example.com"],
        )
        self.assertNotIn("promised", texts["later@customer.example.com"])
        self.sink.clear()
        self.run_on("03-17..03-24")
        self.assertReminders(partly, "03-10 S1", "03-17 S2", "03-24 S3")
        self.assertFalse([m for m in self.sink.mails if "40.00" in self.get_text(m)])
        self.promise(partly, "03-25", 50)
        self.sink.clear()
        self.run_on("03-25..04-05")
        (mail,) = [mail for mail in self.sink.mails if "azure" in mail["To"]]
        self.assertIn(
            "You had promised to pay $ 50.00 by 03/25/2026; we have not received it.",
            self.get_text(mail),
        )

    def test_what_a_person_writes_says_so_too(self):
        """Also of an invoice of which nobody has been reminded yet."""
        self.sequence.step_ids[0].body = "<p>Hello. {{ broken_promise }}</p>"
        invoice = self._create_invoice_due("03-20")
        self.run_on("03-05")
        promise = self.promise(invoice, "03-06")
        for day, says in (("03-09", False), ("03-10", True)):
            self.run_on(day)
            self.assertEqual(bool(promise.outcome), says)
        action = invoice.action_dunning_compose()
        composer = self.env[action["res_model"]].browse(action["res_id"])
        self.assertIn("You had promised to pay", composer.body)
        self.assertFalse(composer.history_summary)

    # ------------------------------------------------------------------------
    # PAYMENT PLANS
    # ------------------------------------------------------------------------

    def open_plan(self, invoices, **vals):
        action = invoices.action_dunning_plan()
        Plan = self.env["dunning.plan"].with_user(self.clerk)
        form = Form(Plan.with_context(**action["context"]))
        for name, value in vals.items():
            form[name] = value
        return form

    def make_plan(self, invoices, **vals):
        self.open_plan(invoices, **vals).save().action_confirm()
        return invoices.dunning_hold_ids.filtered("plan_id").sorted("until")

    def test_a_plan_is_proposed_evenly_and_corrected_by_hand(self):
        invoice = self._create_invoice_due("03-01", 100)
        self.travel("03-05")
        form = self.open_plan(invoice, first_date=to_date("03-31"))
        plan = form.save()
        self.assertEqual(
            [(to_text(r.date), r.amount) for r in plan.line_ids.sorted("date")],
            [("03-31", 33.33), ("04-30", 33.33), ("05-31", 33.34)],
        )
        form.rhythm = "fortnight"
        form.payments = 2
        with form.line_ids.edit(1) as line:
            self.assertEqual((to_text(line.date), line.amount), ("04-14", 50))
            line.amount = 30
        self.assertEqual(form.amount_left, 20)
        form.save().action_confirm()
        holds = invoice.dunning_hold_ids.sorted("until")
        self.assertEqual(holds.mapped("amount"), [50, 30])
        self.assertEqual(holds.plan_id, holds[0])
        self.assertEqual(holds.user_id, self.clerk)
        self.assertEqual(invoice.dunning_promise_date, to_date("03-31"))

    def test_a_plan_holds_as_long_as_it_is_kept_and_ends_at_the_first_miss(self):
        invoices = self._create_invoice_due("03-01", 700)
        invoices += self._create_invoice_due("03-01", 500)
        self.run_on("03-05")
        before = self.promise(invoices[0], "03-08")
        holds = self.make_plan(invoices, first_date=to_date("03-10"), rhythm="week")
        self.assertEqual(before.outcome, "resumed", "the plan takes its place")
        self.assertEqual(holds.mapped("amount"), [400, 400, 400])
        self.assertNext(invoices[0], "held", reason="promise", until="03-27")
        self.travel("03-10")
        self.pay(invoices[0], 400)
        self.run_on("03-10..03-19")
        self.assertEqual(holds.mapped("outcome"), ["kept", False, False])
        self.assertReminders(invoices)
        self.travel("03-20")
        self.pay(invoices[0], 300)
        self.run_on("03-20..03-21")
        self.assertEqual(holds.mapped("outcome"), ["kept", "broken", "lapsed"])
        self.assertEqual(holds.mapped("amount_paid"), [400, 300, 0])
        (told,) = self.get_told(invoices)
        self.assertIn("Payment plan broken", told)
        self.assertIn("300.00 was paid", told)
        self.assertReminders(invoices[1], "03-21 S1")

    def test_a_plan_that_is_paid_ahead_and_one_that_is_called_off(self):
        ahead = self._create_invoice_due("03-01", 90)
        off = self._create_invoice_due("03-01", 90)
        self.run_on("03-05")
        first = self.make_plan(ahead, first_date=to_date("03-10"), rhythm="week")
        other = self.make_plan(off, first_date=to_date("03-10"), rhythm="week")
        self.pay(ahead, 60)
        self.run_on("03-06")
        self.assertEqual(first.mapped("outcome"), ["kept", "kept", False])
        other[0].with_user(self.clerk).action_close()
        self.assertEqual(set(other.mapped("outcome")), {"resumed"})
        self.run_on("03-14")
        self.assertReminders(off, "03-14 S1")
        self.assertReminders(ahead)

    def test_a_plan_of_which_one_payment_is_moved_or_deleted(self):
        """Two payments of one day are two; a deleted one leaves a plan all the same."""
        moved = self._create_invoice_due("03-01", 90)
        cut = self._create_invoice_due("03-01", 90)
        self.run_on("03-05")
        first = self.make_plan(moved, first_date=to_date("03-10"), rhythm="week")
        first[1].until = first[0].until
        rest = self.make_plan(cut, first_date=to_date("03-10"), rhythm="week")
        rest[0].unlink()
        rest = rest.exists()
        self.assertEqual(rest.plan_id, rest[0])
        self.pay(moved, 30)
        self.pay(cut, 30)
        self.run_on("03-06..03-14")
        self.assertEqual(first.mapped("outcome"), ["kept", "broken", "lapsed"])
        self.assertEqual(rest.mapped("outcome"), ["kept", False])

    def test_an_invoice_that_is_corrected_or_cancelled_breaks_no_promise(self):
        corrected, cancelled, half = (
            self._create_invoice_due("03-01") for _n in range(3)
        )
        self.run_on("03-05")
        waits, moot = (self.promise(i, "03-10") for i in (corrected, cancelled))
        # Whoever writes by code may leave the currency out.
        other = self.promise(half, "03-10", 50, currency_id=False)
        both = self.make_plan(cancelled + half, payments=1, first_date="2026-03-10")
        moot += self.promise(cancelled, "03-10", 1)
        corrected.button_draft()
        cancelled.button_draft()
        cancelled.button_cancel()
        self.pay(half)
        self.run_on("03-14")
        self.assertFalse(waits.outcome, "it is being corrected")
        self.assertEqual(moot.mapped("outcome"), ["resumed", "lapsed"])
        self.assertEqual(both.outcome, "kept")
        self.assertEqual(other.outcome, "resumed")
        self.assertFalse(self.get_told(cancelled))
        corrected.action_post()
        self.run_on("03-15")
        self.assertEqual(waits.outcome, "broken")

    def test_what_is_no_plan_is_refused_with_the_reason(self):
        invoice = self._create_invoice_due("03-01")
        stranger = self._create_invoice_due(
            "03-01", customer=self._create_customer("Stranger")
        )
        paid = self._create_invoice_due("03-01")
        self.pay(paid)
        self.travel("03-05")
        for expected, invoices, vals in (
            ("one customer", invoice + stranger, {}),
            ("leave out", invoice + paid, {}),
            ("in the past", invoice, {"first_date": to_date("03-04")}),
            ("between 1 and", invoice, {"payments": 0}),
            ("more than what is open", invoice, {"amount": 101}),
            ("an amount", invoice, {"amount": 0.01}),
        ):
            with self.subTest(expected), self.assertRaisesRegex(UserError, expected):
                self.make_plan(invoices, **vals)
        form = self.open_plan(invoice)
        with form.line_ids.edit(1) as line:
            line.date = form.first_date
        with self.assertRaisesRegex(UserError, "a day of its own"):
            form.save().action_confirm()
        self.assertFalse(invoice.dunning_hold_ids)
