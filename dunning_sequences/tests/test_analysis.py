from datetime import date, timedelta

from odoo import Command, fields
from odoo.exceptions import AccessError
from odoo.tests import new_test_user, tagged
from odoo.tools import mute_logger

from odoo.addons.account.tests.common import AccountTestInvoicingHttpCommon

from .common import DunningCommon


@tagged("post_install", "-at_install")
class TestAnalysis(DunningCommon):
    """What reminders bring in: each figure was worked out by hand."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.Analysis = cls.env["dunning.analysis"]
        cls.sequence = cls._create_default((7,), (14,), (30,))

    def pay_on(self, day, invoice, amount=None):
        self.travel(day)
        self.pay(invoice, amount)

    def get_rows(self, invoices):
        """Return the rows, as {"03-08 S1": row}; those of one invoice."""
        self.env.flush_all()
        self.env.invalidate_all()
        rows = self.Analysis.search([("move_id", "in", invoices.ids)])
        return {f"{row.date:%m-%d} {row.step_name}": row for row in rows}

    def assertPaid(self, row, paid, *within):
        self.assertEqual(
            (row.paid, row.paid_7, row.paid_15, row.paid_30), (paid, *within)
        )

    def test_three_invoices(self):
        """All due on 1 March: S1 on the 8th, S2 on the 15th, S3 on the 31st."""
        a, b, c = (
            self._create_invoice_due("03-01", amount, customer=self._create_customer(n))
            for n, amount in (("A", 100), ("B", 200), ("C", 400))
        )
        self.run_on("03-05..03-10")
        self.pay_on("03-12", a)  # in full, 4 days after S1
        self.pay_on("03-13", b, 50)  # a part, 5 days after S1
        # On account and matched with nothing: not a payment of the invoice.
        self.env["account.payment"].create(
            {"partner_id": c.partner_id.id, "amount": 300, "date": "2026-03-13"}
        ).action_post()
        self.run_on("03-14..03-16")
        self.pay_on("03-25", b, 30)  # a part, 10 days after S2
        self.run_on("03-30..04-01")
        self.pay_on("04-20", b)  # the rest (120), 20 days after S3
        self.travel("06-01")

        (row,) = self.get_rows(a).values()
        self.assertPaid(row, 100, 100, 100, 100)
        self.assertEqual((row.rate_7, row.rate_15, row.rate_30), (1, 1, 1))
        self.assertEqual((f"{row.settled_on:%m-%d}", row.days_to_pay), ("03-12", 4))
        self.assertEqual((row.amount, row.days_late), (100, 7))

        rows = self.get_rows(b)
        self.assertEqual(sorted(rows), ["03-08 S1", "03-15 S2", "03-31 S3"])
        self.assertPaid(rows["03-08 S1"], 50, 50, 50, 50)
        self.assertPaid(rows["03-15 S2"], 30, 0, 30, 30)
        self.assertPaid(rows["03-31 S3"], 120, 0, 0, 120)
        self.assertEqual([rows[k].amount for k in sorted(rows)], [200, 150, 120])
        self.assertEqual([rows[k].rate_30 for k in sorted(rows)], [0, 0, 1])
        self.assertEqual([rows[k].rate_15 for k in sorted(rows)], [0, 0, 0])
        self.assertFalse(rows["03-15 S2"].settled_on)
        self.assertEqual(rows["03-31 S3"].days_to_pay, 20)

        rows = self.get_rows(c)
        self.assertEqual(len(rows), 3)
        self.assertEqual(sum(row.paid for row in rows.values()), 0)
        self.assertFalse(any(row.settled_on for row in rows.values()))

        self.assertThreeByStep(a + b + c)

    def assertThreeByStep(self, invoices):
        """As the pivot shows it."""
        found = self.Analysis._read_group(
            [("move_id", "in", invoices.ids)],
            ["step_id"],
            [
                "amount:sum",
                "paid_30:sum",
                "rate_7:avg",
                "rate_30:avg",
                "days_to_pay:avg",
                "median_days:median",
            ],
        )
        self.assertEqual(
            [(step.name, *map(round, values[:2])) for step, *values in found],
            [("S1", 700, 150), ("S2", 550, 30), ("S3", 520, 120)],
        )
        self.assertAlmostEqual(found[0][3], 1 / 3)
        rates = [rate for *_row, rate, _days, _median in found]
        self.assertEqual(rates, [found[0][4], 0, 0.5])
        self.assertEqual([days for *_row, days, _median in found], [4, False, 20])
        self.assertEqual([median for *_row, median in found], [4, False, 20])

    def test_the_median_is_not_moved_by_one_that_pays_late(self):
        """Paid 2, 4, 5 and 90 days after the first reminder, and one not at all."""
        customers = [self._create_customer(f"C{n}") for n in range(5)]
        invoices = [self._create_invoice_due("03-01", 100, c) for c in customers]
        self.sequence.step_ids[1:].unlink()
        template = self.env.ref("dunning_sequences.mail_template_dunning_first")
        self.sequence.step_ids.write(
            {"content": "template", "template_id": template.id}
        )
        self.run_on("03-08")
        for invoice, day in zip(
            invoices, ("03-10", "03-12", "03-13", "06-06"), strict=False
        ):
            self.pay_on(day, invoice)
        self.travel("06-30")
        self.env.flush_all()
        # As the pivot asks: by template, and in all.
        groups = self.Analysis.formatted_read_grouping_sets(
            [("company_id", "=", self.company.id)],
            [["template_id"], []],
            ["median_days:median", "days_to_pay:avg", "rate_7:avg"],
        )
        ((by_template,), (in_all,)) = groups
        self.assertEqual(by_template["template_id"][0], template.id)
        for group in (by_template, in_all):
            self.assertEqual(group["median_days:median"], 4.5)
            self.assertEqual(group["days_to_pay:avg"], 25.25)
            self.assertEqual(group["rate_7:avg"], 0.6)

    def test_who_still_has_time_is_left_out_of_the_rates(self):
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        self.travel("03-18")
        self.env.flush_all()
        ((rate_7, rate_15),) = self.Analysis._read_group(
            [("move_id", "=", invoice.id)], [], ["rate_7:avg", "rate_15:avg"]
        )
        self.assertEqual((rate_7, rate_15), (0, False))

    def test_a_credit_note_is_no_payment(self):
        invoice = self._create_invoice_due("03-01", 100)
        self.run_on("03-08")
        self.travel("03-09")
        refund = self._create_invoice_one_line(
            move_type="out_refund",
            partner_id=self.customer,
            price_unit=70,
            tax_ids=self.env["account.tax"],
            invoice_date=self.today(),
            post=True,
        )
        lines = (invoice + refund).line_ids
        lines.filtered(lambda r: r.display_type == "payment_term").reconcile()
        self.pay_on("03-10", invoice)
        (row,) = self.get_rows(invoice).values()
        self.assertPaid(row, 30, 30, 30, 30)
        self.assertEqual(row.days_to_pay, 2)

    def test_what_is_closed_by_no_money_is_left_out_of_the_rates(self):
        """A part is paid, the rest credited or written off: it was not owed."""
        credited, written_off = (
            self._create_invoice_due("03-01", 100, self._create_customer(name))
            for name in ("Credited", "Written off")
        )
        self.run_on("03-08")
        self.pay_on("03-10", credited, 60)
        self.pay_on("03-10", written_off, 60)
        self.travel("03-12")
        refund = self._create_invoice_one_line(
            move_type="out_refund",
            partner_id=credited.partner_id,
            price_unit=40,
            tax_ids=self.env["account.tax"],
            invoice_date=self.today(),
            post=True,
        )
        entry = self.env["account.move"].create(
            {
                "journal_id": self.company_data["default_journal_misc"].id,
                "date": self.today(),
                "line_ids": [
                    Command.create({"account_id": account.id, "balance": amount})
                    for account, amount in (
                        (self.company_data["default_account_expense"], 40),
                        (self.company_data["default_account_receivable"], -40),
                    )
                ],
            }
        )
        entry.action_post()
        for invoice, other in ((credited, refund), (written_off, entry)):
            receivable = invoice.line_ids.account_id.filtered(
                lambda account: account.account_type == "asset_receivable"
            )
            lines = (invoice + other).line_ids
            lines.filtered(lambda line, a=receivable: line.account_id == a).reconcile()
        self.travel("06-01")
        for invoice in (credited, written_off):
            (row,) = self.get_rows(invoice).values()
            self.assertEqual(invoice.payment_state, "paid")
            self.assertPaid(row, 60, 60, 60, 60)
            self.assertFalse(row.settled_on)
        ((rate,),) = self.Analysis._read_group(
            [("move_id", "in", (credited + written_off).ids)], [], ["rate_30:avg"]
        )
        self.assertIs(rate, False)

    def test_paid_before_the_reminder_but_matched_after_it(self):
        """The statement was loaded late: the reminder brought nothing in."""
        invoice = self._create_invoice_due("03-01", 100)
        self.run_on("03-08")
        self.travel("03-12")
        self.pay(invoice, payment_date="2026-03-06")
        (row,) = self.get_rows(invoice).values()
        self.assertPaid(row, 0, 0, 0, 0)
        self.assertFalse(row.settled_on)

    def test_instalments_are_told_apart(self):
        invoice = self._create_invoice_in_instalments(
            ("03-01", 25), ("03-02", 75), amount=400
        )
        self.run_on("03-06..03-10")
        self.pay_on("03-12", invoice, 100)
        rows = self.get_rows(invoice)
        self.assertPaid(rows["03-08 S1"], 100, 100, 100, 100)
        self.assertPaid(rows["03-09 S1"], 0, 0, 0, 0)
        self.assertEqual(rows["03-08 S1"].days_to_pay, 4)
        self.assertFalse(rows["03-09 S1"].settled_on)

    def test_foreign_invoices_in_company_currency(self):
        euro = self.setup_other_currency("EUR", rates=[("2020-01-01", 2.0)])
        invoice = self._create_invoice_due("03-01", 300, currency_id=euro)  # $ 150
        self.run_on("03-08")
        euro.rate_ids.create(
            {"currency_id": euro.id, "name": "2026-03-10", "rate": 1.0}
        )
        self.pay_on("03-12", invoice)  # $ 300 by then: the rest is exchange difference
        (row,) = self.get_rows(invoice).values()
        self.assertAlmostEqual(row.amount, 150)
        self.assertAlmostEqual(row.paid_7, 150)
        self.assertEqual(row.currency_id, self.company.currency_id)

    def test_what_reached_nobody_brings_nothing_in(self):
        invoice = self._create_invoice_due("03-01", 100)
        self.sink.refused = {"azure@customer.example.com": "550 unknown"}
        self.run_on("03-08")
        self.pay_on("03-09", invoice)
        (row,) = self.get_rows(invoice).values()
        self.assertEqual((row.state, row.has_reached), ("failed", False))
        self.assertPaid(row, 0, 0, 0, 0)

    def test_history_outlives_step_and_invoice(self):
        invoice = self._create_invoice_due("03-01", 100)
        self.run_on("03-08")
        self.sequence.step_ids[0].unlink()
        invoice.button_draft()
        invoice.with_context(force_delete=True).unlink()
        self.env.flush_all()
        row = self.Analysis.search([("company_id", "=", self.company.id)])
        self.assertEqual((row.step_name, row.amount, row.paid), ("S1", 100, 0))
        self.assertTrue(row.move_name)

    def test_who_reads_it_and_of_which_companies(self):
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        there = self.setup_other_company(name="There")["company"]
        theirs = [Command.set(there.ids)]
        for group in ("readonly", "invoice"):
            group = f"account.group_account_{group}"
            reader = self._create_user(group[-8:], group)
            row = self.Analysis.with_user(reader).search([("move_id", "=", invoice.id)])
            self.assertEqual(row.action_open_reminder()["res_id"], row.reminder_id.id)
            stranger = self._create_user(
                f"{group[-8:]}_there", group, company_id=there.id, company_ids=theirs
            )
            self.assertFalse(self.Analysis.with_user(stranger).search([]))
        clerk = self._create_user("clerk")
        with self.assertRaises(AccessError), mute_logger("odoo.models.unlink"):
            self.Analysis.with_user(clerk).search([])


@tagged("post_install", "-at_install")
class TestAgeing(DunningCommon):
    """What is open, and which promises were kept."""

    def setUp(self):
        super().setUp()
        self._create_default((7,), (14,), (30,))

    def get_ages(self, *domain):
        self.env.flush_all()
        rows = self.env["dunning.ageing"].search(
            [("company_id", "=", self.company.id), *domain]
        )
        return [(row.move_id, row.age, row.days_late, row.amount) for row in rows]

    def test_open_amounts_by_age(self):
        """On 1 June; amounts are what is open, in company currency."""
        euro = self.setup_other_currency("EUR", rates=[("2020-01-01", 2.0)])
        due = ("06-01", "05-31", "05-02", "05-01", "04-02", "03-03", "03-02")
        invoices = [self._create_invoice_due(day, 100) for day in due]
        abroad = self._create_invoice_due("05-31", 300, currency_id=euro)
        parts = self._create_invoice_in_instalments(
            ("03-01", 25), ("07-01", 75), amount=400
        )
        paid = self._create_invoice_due("03-01", 70)
        self._create_invoice_due("03-01", 70, post=False)
        self.travel("06-01")
        self.pay(paid)
        self.pay(invoices[1], 30)
        invoices[6].dunning_disputed = True
        rows = {
            (move, age): (days, amount) for move, age, days, amount in self.get_ages()
        }
        self.assertEqual(
            rows,
            {
                (invoices[0], "00"): (0, 100),
                (invoices[1], "01_30"): (1, 70),
                (invoices[2], "01_30"): (30, 100),
                (invoices[3], "31_60"): (31, 100),
                (invoices[4], "31_60"): (60, 100),
                (invoices[5], "61_90"): (90, 100),
                (invoices[6], "91"): (91, 100),
                (abroad, "01_30"): (1, 150),
                (parts, "91"): (92, 100),
                (parts, "00"): (-30, 300),
            },
        )
        ((*columns, total),) = self.env["dunning.ageing"]._read_group(
            [("company_id", "=", self.company.id)],
            [],
            [
                *(
                    f"amount_{age}:sum"
                    for age in ("00", "01_30", "31_60", "61_90", "91")
                ),
                "amount:sum",
            ],
        )
        self.assertEqual((columns, total), ([400, 320, 200, 100, 200], 1220))
        ((move, *_row),) = self.get_ages(("hold_reason", "=", "dispute"))
        self.assertEqual(move, invoices[6])
        row = self.env["dunning.ageing"].search([("move_id", "=", abroad.id)])
        self.assertEqual(row.action_open_invoice()["res_id"], abroad.id)

    def test_who_keeps_his_promises(self):
        """Two kept, one of them early; one broken and paid late, one still open."""
        names = ("Early", "Late", "Never", "Soon")
        invoices = {
            name: self._create_invoice_due("03-01", 100, self._create_customer(name))
            for name in names
        }
        self.run_on("03-02")
        for name in names[:3]:
            invoices[name].dunning_promise_date = date(2026, 3, 10)
        invoices["Soon"].dunning_promise_date = date(2026, 6, 1)
        everything = self.env["dunning.hold"].create(
            {
                "kind": "promise",
                "partner_id": invoices["Early"].partner_id.id,
                "until": "2026-03-12",
                "amount": 100,
            }
        )
        self.travel("03-08")
        self.pay(invoices["Early"])
        self.run_on("03-09..03-14")
        self.travel("03-30")
        self.pay(invoices["Late"])
        self.env.flush_all()
        rows = self.env["dunning.promise.analysis"].search(
            [("company_id", "=", self.company.id), ("hold_id", "!=", everything.id)]
        )
        self.assertEqual(
            {row.partner_id.name: (row.outcome, row.days_late) for row in rows},
            {
                "Early": ("kept", -2),
                "Late": ("broken", 20),
                "Never": ("broken", 20),
                "Soon": ("open", 0),
            },
        )
        self.assertEqual(set(rows.mapped("amount")), {100})
        self.assertEqual(rows[:1].action_open_promise()["res_id"], rows[:1].hold_id.id)
        ((count, kept),) = self.env["dunning.promise.analysis"]._read_group(
            [("company_id", "=", self.company.id)], [], ["__count", "kept:avg"]
        )
        self.assertEqual((count, kept), (5, 0.5))

    def test_payments_of_a_plan_and_promises_in_another_currency(self):
        """Each in time, though the invoice was paid in full only weeks later; and of
        an invoice of 200 EUR, at 2 EUR for 1, 100 here are 200 EUR.
        """
        euro = self.setup_other_currency("EUR", rates=[("2020-01-01", 2.0)])
        invoice = self._create_invoice_due("03-01", 90)
        abroad = self._create_invoice_due("03-01", 200, currency_id=euro)
        self.run_on("03-02")
        plan = self.env["dunning.plan"].create(
            {"move_ids": [(6, 0, invoice.ids)], "first_date": "2026-03-10"}
        )
        plan.action_confirm()
        for currency, amount in ((euro, 200), (self.company.currency_id, 100)):
            self.env["dunning.hold"].create(
                {
                    "kind": "promise",
                    "move_ids": [(6, 0, abroad.ids)],
                    "until": "2026-06-10",
                    "currency_id": currency.id,
                    "amount": amount,
                }
            )
        for day in ("03-08", "04-10", "05-12"):
            self.travel(day)
            self.pay(invoice, 30)
            self.run_on(day)
        self.env.flush_all()
        rows = self.env["dunning.promise.analysis"].search(
            [("company_id", "=", self.company.id)], order="until, id"
        )
        self.assertEqual(
            [(row.outcome, row.days_late, row.amount) for row in rows],
            [("kept", 0, 30), ("kept", 0, 30), ("kept", 2, 30)]
            + [("open", 0, 100)] * 2,
        )


@tagged("post_install", "-at_install")
class TestAnalysisTour(AccountTestInvoicingHttpCommon):
    """From the menu, with billing rights."""

    def test_the_analysis_is_read(self):
        customer = self.env["res.partner"].create({"name": "Azure"})
        due = fields.Date.today() - timedelta(days=20)
        invoice = self._create_invoice_one_line(
            price_unit=100,
            partner_id=customer,
            invoice_date=due,
            invoice_date_due=due,
            invoice_payment_term_id=False,
            post=True,
        )
        self._create_reminder(invoice, due + timedelta(days=7))
        self._register_payment(invoice, payment_date=due + timedelta(days=9))
        new_test_user(
            self.env,
            login="dunning_biller",
            groups="base.group_user,account.group_account_invoice",
            company_id=self.env.company.id,
            company_ids=[Command.set(self.env.company.ids)],
        )
        self.start_tour("/odoo", "dunning_analysis_is_read", login="dunning_biller")

    def _create_reminder(self, invoice, day):
        line = {
            "move_id": invoice.id,
            "move_name": invoice.name,
            "due_date": invoice.invoice_date_due,
            "step_name": "S1",
            "amount": invoice.amount_total,
            "currency_id": invoice.currency_id.id,
        }
        self.env["dunning.reminder"].sudo().create(
            {
                "partner_id": invoice.partner_id.id,
                "company_id": invoice.company_id.id,
                "origin": "auto",
                "channel": "email",
                "state": "sent",
                "date": day,
                "sent_on": day,
                "subject": f"S1 {invoice.name}",
                "line_ids": [Command.create(line)],
            }
        )
