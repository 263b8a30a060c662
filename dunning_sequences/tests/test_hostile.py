"""What a hostile reader tried."""

from unittest.mock import patch

from odoo import Command
from odoo.exceptions import AccessError, UserError
from odoo.tests import new_test_user

from ..models import safety
from .common import DunningCommon
from .test_channels import ChannelCommon


class TestInformationNow(DunningCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        table = "<p>{{ amount_due }}</p>{{ invoice_table }}"
        cls.sequence = cls._create_default({"delay": 7, "body": table}, (30,))

    def test_who_paid_a_moment_ago_is_not_named_as_overdue(self):
        self._create_invoice_due("03-01", 100)
        other = self._create_invoice_due("03-05", 40)
        self.compose_day("03-08")
        self.pay(other)
        self.deliver()
        (mail,) = self.sink.mails
        self.assertNotIn(other.name, self.get_text(mail))

    def test_a_copy_tells_nothing_of_invoices_without_that_copy(self):
        first = self._create_invoice_due("03-01", 100)
        first.dunning_email_cc = "project@partner.example.com"
        secret = self._create_invoice_due("03-05", 40)
        self.run_day("03-08")
        (mail,) = self.sink.mails
        self.assertNotIn(secret.name, self.get_text(mail))

    def test_test_message_with_attached_invoice(self):
        self.sequence.attach_invoice = True
        self._create_invoice_due("03-01", 100)
        self.sequence.step_ids[0].action_send_test()
        self.assertEqual(len(self.sink.mails), 1)

    def test_a_simulation_does_not_let_statements_grow_old(self):
        self.company.dunning_statement_days = 3
        invoice = self._create_invoice_due("03-01", 100)
        self.travel("03-02")
        self.env["account.bank.statement.line"].create(
            {
                "journal_id": self.company_data["default_journal_bank"].id,
                "date": self.today(),
                "payment_ref": "A payment",
                "amount": 1,
            }
        )
        self.drain()
        simulation = self.env["dunning.simulation"].create({"days": 20})
        simulation.action_simulate()
        line = simulation.line_ids.filtered(lambda r: r.move_id == invoice)
        self.assertEqual(line.outcome, "reminded", line.reason)


class TestStatementsNow(DunningCommon):
    def test_statements_loaded_today_release_today(self):
        self.company.dunning_statement_days = 3
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-08", 8)
        self.assertNext(invoice, "held", "03-08 S1", "statements")
        self.travel("03-08", 9)
        self.env["account.bank.statement.line"].create(
            {
                "journal_id": self.company_data["default_journal_bank"].id,
                "date": self.today(),
                "payment_ref": "A payment",
                "amount": 1,
            }
        )
        self.drain()
        self.assertNext(invoice, "running", "03-08 S1")

    def test_the_limit_switched_off_releases(self):
        self.company.dunning_statement_days = 3
        self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-08", 8)
        self.company.dunning_statement_days = 0
        self.drain()
        self.assertNext(invoice, "running", "03-08 S1")


class TestOffices(ChannelCommon):
    def _create_office(self, name, city):
        return self._create_contact(
            self.customer, name, type="invoice", street=f"{city} 1", city=city
        )

    def test_letters_of_two_offices_are_two(self):
        self._create_default({"delay": 7, "channel": "letter"})
        lyon, paris = (
            self._create_office("Lyon", "Lyon"),
            self._create_office("Paris", "Paris"),
        )
        self._create_invoice_due("03-01", customer=lyon)
        self._create_invoice_due("03-01", customer=paris)
        letters = self.run_day("03-08")
        self.assertEqual(len(letters), 2)

    def test_letter_tells_only_its_office(self):
        table = "<p>x</p>{{ invoice_table }}"
        self._create_default({"delay": 7, "channel": "letter", "body": table})
        lyon, paris = (
            self._create_office("Lyon", "Lyon"),
            self._create_office("Paris", "Paris"),
        )
        self._create_invoice_due("03-01", customer=lyon)
        other = self._create_invoice_due("03-05", customer=paris)
        letter = self.run_day("03-08")
        self.assertNotIn(other.name, letter.body)

    def test_a_letter_goes_to_the_address_of_the_day_it_is_printed(self):
        self._create_default({"delay": 7, "channel": "letter"})
        lyon = self._create_office("Lyon", "Lyon")
        invoice = self._create_invoice_due("03-01", customer=lyon)
        letter = self.run_day("03-08")
        lyon.type = "contact"
        self._create_office("Paris", "Paris")
        self.env.invalidate_all()
        expected = invoice._get_dunning_postal_partner()
        self.travel("03-09")
        letter.action_print()
        self.assertEqual(letter._get_letter_address(), expected)


class TestCallers(ChannelCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.clerk = cls._create_user("clerk", "account.group_account_invoice")

    def _create_calls(self, **vals):
        call = {"delay": 7, "channel": "activity", "content": "template"}
        call.update(subject=False, body=False, template_id=False)
        return self._create_default(call, (14,), **vals)

    def test_a_call_whose_user_left_does_not_count(self):
        self._create_calls(user_id=self.clerk.id)
        self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        self.clerk.action_archive()
        self.env.invalidate_all()
        self.assertNotEqual(reminder.state, "skipped")

    def test_without_a_responsible_who_started_it_calls(self):
        self._create_calls()
        self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        self.assertTrue(reminder.activity_id.user_id)

    def test_a_call_that_was_archived_waits_for_somebody(self):
        self._create_calls(user_id=self.clerk.id)
        self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        self.assertFalse(self.root["dunning.sequence"]._get_todo_activities())
        reminder.activity_id.with_user(self.clerk).action_archive()
        self.run_day("03-09")
        told = self.root["dunning.sequence"]._get_todo_activities()
        self.assertEqual(told.user_id, self.clerk)


class TestRights(DunningCommon):
    def test_nobody_enrolls_customers_in_a_company_not_his(self):
        other = self.setup_other_company()["company"]
        clerk = self._create_user("clerk", "account.group_account_invoice")
        Wizard = self.env["dunning.partner.enroll"].with_user(clerk)
        self.env["res.partner"].invalidate_model()
        vals = {
            "company_id": other.id,
            "partner_ids": [Command.set(self.customer.ids)],
            "policy": "none",
        }
        with self.assertRaises(AccessError):
            Wizard.create(vals).action_confirm()
        self.env.invalidate_all()
        self.assertFalse(self.customer.with_company(other).dunning_policy)

    def test_previews_are_ones_own(self):
        sequence = self._create_default((7,))
        self._create_invoice_due("03-01")
        other = self.setup_other_company()["company"]
        stranger = new_test_user(
            self.env,
            login="stranger",
            groups="base.group_user,account.group_account_invoice",
            company_id=other.id,
            company_ids=[Command.set(other.ids)],
        )
        sequence.step_ids.action_preview()
        found = self.env["dunning.step.preview"].with_user(stranger).search([])
        self.assertFalse(found.mapped("subject"))

    def test_catch_up_and_collector_are_accountings(self):
        sequence = self._create_sequence([(7,), (14,)])
        self.customer.dunning_sequence_id = sequence
        seller = self._create_user("seller", "base.group_partner_manager")
        with self.assertRaises(AccessError):
            self.customer.with_user(seller).write({"dunning_catch_up": "latest"})

    def test_who_edits_contacts_does_not_start_old_invoices(self):
        sequence = self._create_sequence([(7,), (14,)])
        invoice = self._create_invoice_due(
            "01-01", invoice_date="2025-06-01", invoice_date_due="2025-07-01"
        )
        self.customer.dunning_sequence_id = sequence
        self.run_day("01-06")
        seller = self._create_user("seller", "base.group_partner_manager")
        with self.assertRaises(AccessError):
            self.customer.with_user(seller).write({"dunning_catch_up": "latest"})
        self.run_day("01-07")
        self.assertReminders(invoice)


class TestPdf(DunningCommon):
    def test_a_queued_sending_survives(self):
        self._create_default((7,), attach_invoice=True)
        invoice = self._create_invoice_due("03-01")
        invoice.sending_data = {"author_partner_id": 1, "author_user_id": 2}
        self.assertFalse(invoice.is_move_sent)
        self.run_day("03-08")
        self.env.invalidate_all()
        self.assertTrue(invoice.sending_data)

    def test_a_missing_pdf_does_not_mark_the_invoice_as_sent(self):
        self._create_default((7,), attach_invoice=True)
        invoice = self._create_invoice_due("03-01")
        self.compose_day("03-08")
        self.env.invalidate_all()
        self.assertFalse(invoice.is_move_sent)


class TestBrakeNow(DunningCommon):
    def test_approvals_do_not_leave_by_themselves(self):
        with patch.object(safety, "SMALL_DAY", 3):
            self.company.dunning_day_limit = 3
            self._create_default(
                {"delay": 7, "mode": "approval"}, (20,), grouping="invoice"
            )
            for _n in range(5):
                self._create_invoice_due("03-01")
            self.run_day("03-08", 9)
            auto = self._create_sequence([(7,)], prefix="A")
            single = self._create_customer("Single")
            single.dunning_sequence_id = auto
            invoice = self._create_invoice_due("03-01", customer=single)
            self.run_day("03-08", 10)
            self.assertEqual(self.get_last_reminder(invoice).state, "sent")

    def test_somebody_is_told_of_the_brake(self):
        with patch.object(safety, "SMALL_DAY", 3):
            self.company.dunning_day_limit = 3
            self._create_default((7,), grouping="invoice")
            for _n in range(5):
                self._create_invoice_due("03-01")
            self.run_day("03-08", 9)
            self.assertTrue(self.root["dunning.sequence"]._get_todo_activities())


class TestMore(ChannelCommon):
    def test_last_step_letter_can_be_recorded(self):
        self._create_default({"delay": 7, "channel": "letter"})
        invoice = self._create_invoice_due("03-01")
        self.run_day("03-08")
        self.get_enrollment(invoice).action_record()
        self.assertEqual(self.get_last_reminder(invoice).state, "recorded")

    def test_remind_now_does_not_skip_the_letter(self):
        self._create_default({"delay": 7, "channel": "letter"}, (30,))
        invoice = self._create_invoice_due("03-01")
        letter = self.run_day("03-08")
        self.travel("03-09")
        with self.assertRaisesRegex(UserError, "no reminder to send now"):
            invoice.action_dunning_remind()
        self.assertEqual(letter.state, "to_print")

    def test_what_was_never_sent_is_not_named_as_overdue(self):
        table = "<p>{{ amount_due }}</p>{{ invoice_table }}"
        self._create_default({"delay": 7, "body": table}, require_sent=True)
        first = self._create_invoice_due("03-01", 100)
        first.is_move_sent = True
        other = self._create_invoice_due("03-02", 40)
        self.run_day("03-08")
        (mail,) = self.sink.mails
        self.assertNotIn(other.name, self.get_text(mail))

    def test_a_branch_has_its_parents_statements(self):
        self._create_default((7,))
        self.company.dunning_statement_days = 3
        branch = self.env["res.company"].create(
            {
                "name": "Branch",
                "parent_id": self.company.id,
                "email": "branch@test.example.com",
            }
        )
        self.commit()
        self.env.user.company_ids += branch
        invoice = self._create_invoice_due("03-01", company_id=branch)
        self.run_day("03-08")
        self.assertNext(invoice, "held", "03-08 S1", "statements")

    def test_what_was_restarted_is_not_sent_again(self):
        self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        first = self.run_day("03-08")
        self.travel("03-09")
        self.get_enrollment(invoice).action_restart()
        self.run_on("03-09")
        self.assertEqual(self.get_subjects(), ["S1", "S1"])
        first.with_env(self.root)._register_bounce({})
        self.env.invalidate_all()
        self.assertEqual(first.state, "bounced")
        with self.assertRaisesRegex(UserError, "can be sent again"):
            first.action_retry()

    def test_brake_speaks_the_companys_language(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        self.company.partner_id.lang = "fr_FR"
        with patch.object(safety, "SMALL_DAY", 3):
            self.company.dunning_day_limit = 3
            self._create_default((7,), grouping="invoice")
            for _n in range(5):
                self._create_invoice_due("03-01")
            with patch.object(
                type(self.Enrollment),
                "_get_brake_reason",
                lambda self, company, today: self.env.lang or "none",
            ):
                reminders = self.run_day("03-08", 9)
        self.assertEqual(set(reminders.mapped("failure_reason")), {"fr_FR"})
