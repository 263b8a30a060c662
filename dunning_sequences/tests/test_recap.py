from datetime import timedelta
from unittest.mock import patch

from odoo import Command
from odoo.exceptions import AccessError
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import DunningCommon
from .test_i18n import get_text

RECAP = "odoo.addons.dunning_sequences.models.dunning_recap"


class RecapCommon(DunningCommon):
    """START is a Monday: the day of recaps, unless somebody chose another."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cron = cls.env.ref("dunning_sequences.ir_cron_dunning_recap").sudo()
        cls.queue = cls.env.ref("mail.ir_cron_mail_scheduler_action").sudo()
        cls.env["mail.mail"].sudo().search([]).unlink()
        cls.env.ref("base.user_root").email = "odoobot@test.example.com"
        cls.reader = cls._create_user(
            "reader", "account.group_account_invoice", lang="en_US"
        )

    def run_recap(self, day=None, hour=10.0):
        """Run the cron and Odoo's own mail queue; return the mails that arrived."""
        if day:
            self.travel(day, hour)
        self.commit()
        self.sink.clear()
        self.cron.method_direct_trigger()
        self.queue.method_direct_trigger()
        self.env.invalidate_all()
        return self.sink.mails

    def get_recap(self, day=None, hour=10.0):
        """Run, and return what the only mail says, in one line."""
        mails = self.run_recap(day, hour)
        self.assertEqual(len(mails), 1)
        return get_text(mails[0].html).replace("\N{NO-BREAK SPACE}", " ")


@tagged("post_install", "-at_install")
class TestRecap(RecapCommon):
    """A mail a week: what is open, what waits, what comes."""

    def test_a_mail_says_what_is_open_for_how_long_and_what_comes(self):
        self._create_default((7,), (14,), user_id=self.reader.id)
        for due, amount in (
            ("06-10", 1000),  # not due
            ("06-01", 200),  # 7 days late on Monday 8 June
            ("05-09", 30),  # 30
            ("05-08", 4),  # 31
            ("03-01", 500),  # 99
        ):
            self._create_invoice_due(due, amount)
        paid = self._create_invoice_due("06-01", 90)
        self.pay(paid, 40)
        self.run_day("06-05")
        mails = self.run_recap("06-08")
        self.assertEqual(
            [mail["To"] for mail in mails], ["Reader <reader@test.example.com>"]
        )
        self.assertIn("Test Company", mails[0].subject)
        self.assertIn("company@test.example.com", mails[0]["From"])
        text = get_text(mails[0].html)
        self.assertIn("Open $ 1,784.00", text.replace("\N{NO-BREAK SPACE}", " "))
        for piece in (
            "Overdue $ 784.00",
            "1 to 30 days $ 280.00",
            "31 to 60 days $ 4.00",
            "61 to 90 days $ 0.00",
            "over 90 days $ 500.00",
            "Nothing: all reminders go their way.",
            "Monday 8 June 2 $ 250.00",
        ):
            self.assertIn(piece, text.replace("\N{NO-BREAK SPACE}", " "))

    def test_once_a_week_whatever_the_cron_does(self):
        self._create_default((7,), user_id=self.reader.id)
        self.assertEqual(len(self.run_recap("03-02")), 1)
        for day in range(2, 9):
            self.assertFalse(self.run_recap(f"03-0{day}"))
        self.assertEqual(len(self.run_recap("03-09")), 1)
        recaps = self.env["dunning.recap"].search([("user_id", "=", self.reader.id)])
        self.assertEqual(len(recaps), 2)
        self.assertFalse(
            recaps._claim(self.reader, self.today(), {}), "the database says once"
        )

    def test_the_change_is_that_from_what_was_told_last(self):
        self._create_default((7,), user_id=self.reader.id)
        invoice = self._create_invoice_due("02-01", 300)
        self.assertNotIn(" than on ", self.get_recap("03-02"))
        self.assertIn("Open $ 300.00 as on 03/02/2026", self.get_recap("03-09"))
        self.pay(invoice, 100, payment_date="2026-02-20")  # loaded late
        text = self.get_recap("03-16")
        self.assertIn("Overdue $ 200.00 $ 100.00 less than on 03/09/2026", text)
        self._create_invoice_due("05-01", 50)
        text = self.get_recap("03-23")
        self.assertIn("Open $ 250.00 $ 50.00 more than on 03/16/2026", text)

    def test_counts_are_those_of_the_lists_behind_the_links(self):
        self._create_default({"delay": 7, "mode": "approval"}, user_id=self.reader.id)
        approve = self._create_invoice_due("02-25")
        nobody = self._create_customer("Nobody", email=False)
        self._create_invoice_due("02-25", customer=nobody)
        held = {
            name: self._create_invoice_due(
                "02-25", customer=self._create_customer(name)
            )
            for name in ("Pause", "Promise", "Dispute")
        }
        self.travel("02-03")
        held["Pause"].dunning_paused = True
        held["Dispute"].write({"dunning_disputed": True, "dunning_disputed_amount": 40})
        held["Promise"].write({"dunning_promise_date": "2026-03-05"})
        self.run_on("03-04..03-09")
        self.assertNext(approve, "todo", reason="approval")
        mail = self.run_recap("03-09")[0]
        text = get_text(mail.html)
        for piece in (
            "Instalments that need somebody 3",
            "Reminders to approve 2",
            "Failed or without address 1",
            "Promises broken in 7 days 1",
            "Open disputes (the oldest since 02/03/2026) $ 40.00 1",
            "Disputes open for more than 14 days (the oldest since 02/03/2026) $ 40.00",
            "Disputes open for more than 30 days (the oldest since 02/03/2026) $ 40.00",
            "Paused over 30 days, without an end (the oldest since 02/03/2026) 1",
        ):
            self.assertIn(piece, text)
        self.assertIn(
            "/odoo/action-dunning_sequences.dunning_hold_action_broken", mail.html
        )

    def test_each_reader_gets_his_companies_in_his_language(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        there = self.setup_other_company(
            name="There", email="there@test.example.com", dunning_tz="UTC"
        )["company"]
        both = self.company + there
        group = "account.group_account_readonly"
        claire = self._create_user(
            "claire", group, lang="fr_FR", company_ids=[Command.set(both.ids)]
        )
        self._create_default((7,), user_id=claire.id)
        self._create_sequence(
            ((7,),), company_id=there.id, default=True, user_id=self.reader.id
        )
        there.dunning_recap_user_ids = claire + self.reader
        there.dunning_recap_day = "4"
        self.company.dunning_recap_user_ids = claire + self.reader
        self._create_invoice_due("02-01", 1234.5)
        self._create_invoice_due("02-01", 99, company_id=there)
        mails = {
            mail["To"].addresses[0].username: mail for mail in self.run_recap("03-02")
        }
        self.assertEqual(set(mails), {"claire", "reader"})
        english = get_text(mails["reader"].html).replace("\N{NO-BREAK SPACE}", " ")
        self.assertIn("$ 1,234.50", english)
        self.assertNotIn("There", english)
        french = get_text(mails["claire"].html).replace("\N{NO-BREAK SPACE}", " ")
        self.assertIn("1 234,50", french.replace("\N{NARROW NO-BREAK SPACE}", " "))
        self.assertIn("There", french)
        self.assertIn("99,00", french)
        self.assertIn('lang="fr-FR"', mails["claire"].html)
        self.assertFalse(
            self.run_recap("03-06"), "both companies were in the first mail"
        )

    def test_who_reads_it(self):
        boss = self._create_user("boss", "account.group_account_manager")
        clerk = self._create_user("clerk")  # sees no invoices
        sequence = self._create_default((7,), user_id=boss.id)
        readers = self.env["dunning.recap"]._get_readers
        self.assertEqual(set(readers()), {boss})
        self.company.dunning_recap_user_ids = self.reader + clerk
        self.assertEqual(set(readers()), {self.reader})
        self.reader.email = False
        self.assertFalse(readers())
        self.company.dunning_recap_user_ids = False
        boss.active = False
        self.env.invalidate_all()
        self.assertFalse(readers())
        boss.active = True
        self.company.dunning_recap = False
        self.assertFalse(readers())
        self.company.dunning_recap = True
        self.assertTrue(readers())
        sequence.action_stop()
        self.assertFalse(readers(), "no sequence runs, nothing to say")

    def test_on_its_day_in_its_hours_or_late(self):
        self._create_default((7,), user_id=self.reader.id)
        self.company.dunning_recap_day = "2"
        self.assertFalse(self.run_recap("03-02"))
        self.assertFalse(self.run_recap("03-05"), "the first one waits for its day")
        self.assertFalse(self.run_recap("03-11", 7))
        self.assertTrue(self.run_recap("03-11", 8))
        self.assertFalse(self.run_recap("03-16"))
        self.assertTrue(self.run_recap("03-20"), "the server was down on Wednesday")
        self.assertTrue(self.run_recap("03-25"))

    def test_jobs_that_do_not_run_are_said_first(self):
        self._create_default((7,), user_id=self.reader.id)
        self.env.ref("dunning_sequences.ir_cron_dunning_send").sudo().active = False
        text = self.get_recap("03-02")
        self.assertIn("Payment Reminders: send” is switched off.", text)

    def test_a_recap_that_fails_does_not_stop_the_others(self):
        other = self._create_user("other", "account.group_account_invoice")
        self._create_default((7,), user_id=self.reader.id)
        self.company.dunning_recap_user_ids = self.reader + other
        Recap = self.env.registry["dunning.recap"]
        get_block = Recap._get_block

        def fail_for_one(recap, company, last):
            if recap.env.user == self.reader:
                raise ValueError("a customisation that fails")
            return get_block(recap, company, last)

        with (
            patch.object(Recap, "_get_block", fail_for_one),
            mute_logger(RECAP),
        ):
            mails = self.run_recap("03-02")
        self.assertEqual([m["To"].addresses[0].username for m in mails], ["other"])
        mails = self.run_recap("03-03")
        self.assertFalse(mails, "the very first one waits for its day")
        self.assertEqual(len(self.run_recap("03-09")), 2)


@tagged("post_install", "-at_install")
class TestDigest(RecapCommon):
    """Figures in the digest that Odoo sends."""

    def _get_kpis(self, user, day):
        self.travel(day)
        names = ("sent", "customers", "overdue")
        end = self.now()
        digest = self.env["digest.digest"].create(
            {"name": "Digest", "company_id": self.company.id}
        )
        digest = digest.with_user(user).with_context(
            start_datetime=end - timedelta(days=7), end_datetime=end
        )
        return [digest[f"kpi_dunning_{name}_value"] for name in names]

    def test_reminders_customers_and_what_was_overdue(self):
        self._create_default((7,), grouping="invoice")
        first = self._create_invoice_due("03-01", 100)
        self._create_invoice_due("03-01", 50)
        other = self._create_customer("Other")
        self._create_invoice_due("03-02", 25, customer=other)
        self._create_invoice_due("03-20", 7, customer=other)
        self.run_on("03-05..03-09")
        self.travel("03-12")
        self.pay(first, 60)
        self.assertEqual(self._get_kpis(self.reader, "03-11"), [3, 2, 175])
        self.assertEqual(self._get_kpis(self.reader, "03-14"), [3, 2, 115])
        self.assertEqual(self._get_kpis(self.reader, "03-21"), [0, 0, 122])

    def test_not_for_those_who_see_no_invoices(self):
        clerk = self._create_user("clerk")
        with self.assertRaises(AccessError):
            self._get_kpis(clerk, "03-11")
        digest = self.env["digest.digest"].create(
            {"name": "Digest", "kpi_dunning_sent": True}
        )
        self.assertFalse(digest._compute_kpis(self.company, clerk))
        (kpi,) = digest._compute_kpis(self.company, self.reader)
        self.assertEqual(kpi["kpi_name"], "kpi_dunning_sent")
        self.assertIn("dunning_reminder_action", kpi["kpi_action"])
        self.assertEqual(kpi["kpi_col3"]["value"], 0)

    def test_switched_on_in_the_digest_that_odoo_comes_with(self):
        digest = self.env.ref("digest.digest_digest_default")
        digest.write({"kpi_dunning_sent": False, "kpi_dunning_overdue": False})
        digest._switch_on_dunning_kpis()
        self.assertTrue(digest.kpi_dunning_sent and digest.kpi_dunning_overdue)
        self.assertFalse(digest.kpi_dunning_customers)
