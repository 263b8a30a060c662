from odoo import Command
from odoo.tests import tagged

from .common import DunningCommon


@tagged("post_install", "-at_install")
class TestCompanies(DunningCommon):
    """Several companies, branches, currencies, time zones and languages at once."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.crons = [
            cls.env.ref(f"dunning_sequences.ir_cron_dunning_{name}").sudo()
            for name in ("reconcile", "run", "send")
        ]
        cls.company.name = "Here"
        cls.there = cls.setup_other_company(
            name="There", email="there@test.example.com", dunning_tz="UTC"
        )["company"]
        cls.here = cls._create_default((7,), (14,))
        cls.theirs = cls._create_sequence(
            [(5,), (14,)], prefix="T", company_id=cls.there.id, default=True
        )

    def run_crons(self, day, hour):
        """All crons, as the scheduler starts them, at an hour (UTC) of a day."""
        self.travel(day, hour)
        self.commit()
        for cron in self.crons:
            cron.method_direct_trigger()
        self.env.invalidate_all()

    def _create_branch(self, **vals):
        branch = self.env["res.company"].create(
            {
                "name": "Branch",
                "parent_id": self.company.id,
                "email": "branch@test.example.com",
                **vals,
            }
        )
        self.commit()  # that gives the branch its parent's accounts
        self.env.user.company_ids += branch
        return branch

    def _create_clerk(self, company):
        return self._create_user(
            f"clerk {company.id}",
            "account.group_account_invoice",
            company_id=company.id,
            company_ids=[Command.set(company.ids)],
        )

    def get_senders(self):
        return [mail["From"].addresses[0].addr_spec for mail in self.sink.mails]

    # ------------------------------------------------------------------------
    # COMPANIES
    # ------------------------------------------------------------------------

    def test_one_customer_of_two_companies_follows_a_sequence_in_each(self):
        """Moved, paused and paid in one company, nothing changes in the other."""
        invoice = self._create_invoice_due("03-01")
        theirs = self._create_invoice_due("03-01", company_id=self.there)
        self.run_on("03-06..03-08")
        self.assertReminders(theirs, "03-06 T1")
        self.assertReminders(invoice, "03-08 S1")
        self.assertEqual(
            self.get_senders(), ["there@test.example.com", "company@test.example.com"]
        )
        special = self._create_sequence([(10,)], prefix="X")
        self.customer.with_company(self.company).dunning_sequence_id = special
        self.customer.with_company(self.there).dunning_paused = True
        self.run_on("03-11..03-15")
        self.assertReminders(invoice, "03-08 S1", "03-11 X1")
        self.assertReminders(theirs, "03-06 T1")
        self.assertNext(theirs, "held", "03-15 T2", reason="pause")
        self.pay(invoice)
        self.customer.with_company(self.there).dunning_paused = False
        self.run_on("03-16")
        self.assertReminders(theirs, "03-06 T1", "03-16 T2")

    def test_the_same_day_and_customer_make_a_mail_for_each_company(self):
        """No mail tells of another company's invoices, nor its amount due."""
        invoice = self._create_invoice_due("03-01", 100)
        theirs = self._create_invoice_due("03-03", 30, company_id=self.there)
        self.run_on("03-08")
        mails = dict(zip(self.get_senders(), self.sink.mails, strict=True))
        here = self.get_text(mails["company@test.example.com"])
        there = self.get_text(mails["there@test.example.com"])
        self.assertIn("S1: $ 100.00", here)
        self.assertIn("T1: $ 30.00", there)
        self.assertEqual(invoice.dunning_reminder_ids.company_id, self.company)
        self.assertEqual(theirs.dunning_reminder_ids.company_id, self.there)

    def test_limits_of_a_company_do_not_count_the_other_ones_invoices(self):
        self.here.write({"min_amount": 120, "min_contact_days": 10})
        invoice = self._create_invoice_due("03-01", 100)
        self._create_invoice_due("03-01", 100, company_id=self.there)
        self.run_on("03-06..03-08")
        self.assertNext(invoice, "held", "03-08 S1", reason="min_amount")
        self.here.min_amount = 0
        self.run_on("03-09")
        self.assertReminders(invoice, "03-09 S1")

    def test_a_change_of_a_company_concerns_its_own_invoices(self):
        self._create_invoice_due("03-01")
        theirs = self._create_invoice_due("03-01", company_id=self.there)
        self.drain()
        self.there.dunning_sequence_id = False
        self.theirs.step_ids[0].delay = 4
        _ids, move_ids, _posted = self.env["dunning.mark"].sudo()._read_marks(100)
        self.assertEqual(move_ids, theirs.ids)

    def test_one_company_without_sender_holds_up_nobody(self):
        self.there.email = False
        self.env["mail.alias.domain"].search([]).write({"default_from": False})
        self.there.alias_domain_id = False
        self.mail_server.from_filter = False
        theirs = self._create_invoice_due("03-03", company_id=self.there)
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08")
        self.assertReminders(invoice, "03-08 S1")
        self.assertIn(self.get_last_reminder(theirs).state, ("failed", "sent"))

    def test_a_user_of_one_company_sees_what_is_his(self):
        mine = self._create_invoice_due("03-01")
        theirs = self._create_invoice_due("03-01", company_id=self.there)
        self.run_on("03-08")
        for company, invoice in ((self.company, mine), (self.there, theirs)):
            env = self.env(user=self._create_clerk(company))
            reminders = env["dunning.reminder"].search([])
            self.assertEqual(reminders.ids, invoice.dunning_reminder_ids.ids)
            self.assertEqual(env["dunning.enrollment"].search([]).move_id, invoice)
            self.assertEqual(env["dunning.reminder.line"].search([]).move_id, invoice)
            sequences = env["dunning.sequence"].search([("state", "=", "running")])
            self.assertEqual(sequences.company_id, company)
            customer = self.customer.with_user(env.user).with_company(company)
            self.assertEqual(customer.dunning_reminders_count, 1)

    # ------------------------------------------------------------------------
    # BRANCHES
    # ------------------------------------------------------------------------

    def test_a_branch_follows_its_parent_until_it_chooses_itself(self):
        branch = self._create_branch()
        invoice = self._create_invoice_due("03-01", company_id=branch)
        other = self._create_invoice_due("03-01", company_id=self.there)
        self.drain()
        self.assertNext(invoice, "running", "03-08 S1")
        self.company.dunning_sequence_id = self._create_sequence([(9,)], prefix="P")
        self.drain()
        self.assertNext(invoice, "running", "03-10 P1")
        branch.dunning_sequence_id = self._create_sequence(
            [(6,)], prefix="B", company_id=branch.id
        )
        self.drain()
        self.assertNext(invoice, "running", "03-07 B1")
        branch.dunning_sequence_id = False
        self.run_on("03-06..03-10")
        self.assertReminders(invoice, "03-10 P1")
        self.assertReminders(other, "03-06 T1")

    def test_a_customer_of_the_parent_is_one_of_the_branch_until_told_otherwise(self):
        branch = self._create_branch()
        own = self._create_sequence([(9,)], prefix="P")
        self.customer.with_company(self.company).dunning_sequence_id = own
        invoice = self._create_invoice_due("03-01", company_id=branch)
        other = self._create_invoice_due(
            "03-01", customer=self._create_customer("Other"), company_id=branch
        )
        self.drain()
        self.assertNext(invoice, "running", "03-10 P1")
        self.assertNext(other, "running", "03-08 S1")
        self.customer.with_company(branch).dunning_policy = "none"
        self.run_on("03-08..03-10")
        self.assertReminders(invoice)
        self.assertReminders(other, "03-08 S1")

    def test_mails_of_a_branch_and_its_parent_are_two(self):
        branch = self._create_branch()
        self._create_invoice_due("03-01")
        self._create_invoice_due("03-01", company_id=branch)
        self.run_on("03-08")
        self.assertEqual(
            sorted(self.get_senders()),
            ["branch@test.example.com", "company@test.example.com"],
        )

    # ------------------------------------------------------------------------
    # CURRENCIES
    # ------------------------------------------------------------------------

    def test_two_currencies_in_one_mail_have_a_total_each(self):
        """And what was paid is taken off the one that it was paid for."""
        euro = self.setup_other_currency("EUR", rates=[("2020-01-01", 2.0)])
        self.here.step_ids[0].body = "<p>{{ amount_due }}</p>{{ invoice_table }}"
        first = self._create_invoice_due("03-01", 150, currency_id=euro)
        self._create_invoice_due("03-01", 50, currency_id=euro)
        self._create_invoice_due("03-01", 1000)
        self.travel("03-05")
        self.pay(first, 30, currency_id=euro.id)
        self.run_on("03-08")
        (mail,) = self.sink.mails
        text = self.get_text(mail)
        for part in ("120.00 €", "50.00 €", "170.00 €", "$ 1,000.00"):
            self.assertIn(part, text)
        self.assertNotIn("1,170", text)
        self.assertEqual(first.dunning_reminder_line_ids.amount, 120)

    def test_reports_of_two_companies_add_up_in_the_readers_currency(self):
        """The web client asks for a sum in one currency where there are several."""
        euro = self.setup_other_currency("EUR", rates=[("2020-01-01", 2.0)])
        self.there.currency_id = euro
        invoices = self._create_invoice_due("03-01", 100)
        invoices += self._create_invoice_due("03-01", 100, company_id=self.there)
        self.run_on("03-06..03-08")
        for invoice in invoices:
            invoice.with_company(invoice.company_id).dunning_promise_date = self.today()
        self.env.flush_all()
        companies = self.company + self.there
        for name in ("ageing", "analysis", "promise.analysis"):
            report = self.env[f"dunning.{name}"].with_context(
                allowed_company_ids=companies.ids
            )
            ((total, currencies),) = report._read_group(
                [("company_id", "in", companies.ids)],
                [],
                ["amount:sum_currency", "currency_id:array_agg_distinct"],
            )
            self.assertEqual(total, 150, name)
            self.assertEqual(len(currencies), 2, name)

    def test_currencies_and_languages_of_two_companies(self):
        """Each mail in its reader's language and in its invoice's money."""
        self.env["res.lang"]._activate_lang("fr_FR")
        euro = self.setup_other_currency("EUR", rates=[("2020-01-01", 2.0)])
        madeleine = self._create_customer("Madeleine", lang="fr_FR")
        step = self.here.step_ids[0]
        step.with_context(lang="fr_FR").subject = "Rappel {{ invoice_number }}"
        (term,) = step._fields["body"].get_trans_terms(step.body)
        step.update_field_translations("body", {"fr_FR": {term: "Dû {{ amount_due }}"}})
        self._create_invoice_due("03-01", 1234.5, customer=madeleine, currency_id=euro)
        self._create_invoice_due("03-01", 1234.5)
        self._create_invoice_due(
            "03-03", 1234.5, customer=madeleine, company_id=self.there
        )
        self.run_on("03-08")
        texts = {
            mail.subject.split()[0]: self.get_text(mail) for mail in self.sink.mails
        }
        self.assertEqual(set(texts), {"Rappel", "S1", "T1"})
        self.assertIn("Dû 1 234,50 €", texts["Rappel"].replace("\u202f", " "))
        self.assertIn("S1: $ 1,234.50", texts["S1"])
        self.assertIn("T1: $ 1 234,50", texts["T1"].replace("\u202f", " "))

    def test_the_minimum_is_in_the_companys_currency(self):
        euro = self.setup_other_currency("EUR", rates=[("2020-01-01", 2.0)])
        self.here.min_amount = 100
        other = self._create_customer("Other")
        small = self._create_invoice_due("03-01", 150, currency_id=euro)  # $ 75
        enough = self._create_invoice_due(
            "03-01", 220, customer=other, currency_id=euro
        )
        self.run_on("03-08")
        self.assertNext(small, "held", "03-08 S1", reason="min_amount")
        self.assertReminders(enough, "03-08 S1")

    # ------------------------------------------------------------------------
    # TIME ZONES
    # ------------------------------------------------------------------------

    def test_auckland_and_honolulu_at_one_moment(self):
        """The 8th is over in Auckland before it begins in Honolulu."""
        self.company.dunning_tz = "Pacific/Honolulu"
        self.there.write({"dunning_tz": "Pacific/Auckland", "dunning_hour_from": 7.0})
        self.theirs.step_ids[0].delay = 7
        here = self._create_invoice_due("03-01")
        there = self._create_invoice_due("03-01", company_id=self.there)
        self.run_crons("03-07", 19)  # the 8th, 8:00 in Auckland; the 7th, 9:00 here
        self.assertReminders(there, "03-08 T1")
        self.assertReminders(here)
        self.assertNext(here, "running", "03-08 S1")
        self.run_crons("03-08", 19)  # the 9th there; the 8th here
        self.assertReminders(here, "03-08 S1")
        self.assertReminders(there, "03-08 T1")
        self.assertEqual(
            [f"{r.sent_on:%m-%d}" for r in (here + there).dunning_reminder_ids],
            ["03-08", "03-08"],
        )
        self.assertIn("7 days", self.get_text(self.sink.mails[0]))
        self.assertIn("7 days", self.get_text(self.sink.mails[1]))

    def test_posted_and_joined_on_the_companys_day(self):
        """Each step date is judged by the day that it was where the company is."""
        self.company.dunning_tz = "Pacific/Honolulu"
        self.there.dunning_tz = "Pacific/Auckland"
        self.theirs.step_ids[0].delay = 7
        self.travel("03-10", 4)  # still the 9th here; the 10th there
        here = self._create_invoice_due("03-01")
        there = self._create_invoice_due("03-01", company_id=self.there)
        self.commit()
        self.crons[0].method_direct_trigger()
        # One day of grace: the 8th was yesterday here, the day before yesterday there.
        self.assertNext(here, "running", "03-08 S1")
        self.assertNext(there, "running", "03-15 T2")
