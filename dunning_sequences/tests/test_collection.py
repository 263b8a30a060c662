import base64
import io
from unittest.mock import patch

from odoo.exceptions import AccessError, UserError
from odoo.tests import Form, tagged
from odoo.tools import formatLang, mute_logger
from odoo.tools.pdf import PdfFileReader, PdfFileWriter

from .common import DunningCommon


class CollectionCommon(DunningCommon):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sequence = cls._create_default((7,), (14,))
        cls.invoice = cls._create_invoice_due("03-01")
        cls.collector = cls._create_user("collector", "account.group_account_invoice")
        cls.customer.with_company(cls.company).dunning_user_id = cls.collector

    def get_activities(self, user, customer=None):
        self.env.invalidate_all()
        return self.env["mail.activity"].search(
            [
                ("user_id", "=", user.id),
                ("res_model", "=", "res.partner"),
                ("res_id", "=", (customer or self.customer).id),
            ]
        )


@tagged("post_install", "-at_install")
class TestLastStep(CollectionCommon):
    """Who is told before the last step, and when it has brought nothing."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.seller = cls._create_user("seller")
        cls.invoice.invoice_user_id = cls.seller

    def test_nobody_is_told_unless_the_sequence_says_so(self):
        self.run_on("03-08")
        self.commit()
        self.sequence._is_telling()  # asked once
        before = self.env.cr.sql_log_count
        self.root["dunning.enrollment"]._tell_in_time(self.company, self.today())
        self.assertEqual(self.env.cr.sql_log_count, before, "no query")
        self.run_on("03-14..03-16")
        self.assertFalse(self.get_activities(self.seller))
        self.assertFalse(self.get_activities(self.collector))

    def test_the_salesperson_calls_before_the_last_step(self):
        self.sequence.tell_salesperson = True
        other = self._create_customer("Other", user_id=self.seller.id)
        self._create_invoice_due("03-01", 70, other, invoice_user_id=False)
        second = self._create_invoice_due("03-01", 50, invoice_user_id=self.seller)
        disputed = self._create_invoice_due("03-01", 30, invoice_user_id=self.seller)
        nobodys = self._create_customer("Nobody's")
        self._create_invoice_due("03-01", 20, nobodys, invoice_user_id=False)
        self.run_on("03-08", "03-11")
        disputed.dunning_disputed = True
        self.assertFalse(self.get_activities(self.seller))
        self.run_on("03-12", "03-13")
        (activity,) = self.get_activities(self.seller)
        self.assertIn("leaves on 03/15/2026", activity.summary)
        self.assertEqual(str(activity.date_deadline), "2026-03-15")
        self.assertIn(self.invoice.name, activity.note)
        self.assertIn(second.name, activity.note)
        self.assertNotIn(disputed.name, activity.note)
        self.assertEqual(len(self.get_activities(self.seller, other)), 1)
        self.assertReminders(self.invoice, "03-08 S1")
        # Whoever sells sees it, though he sees no invoice.
        mine = activity.with_user(self.seller)
        self.assertEqual(mine.res_name, "Azure")
        # Nobody calls about what was paid meanwhile.
        self.pay(self.invoice)
        self.run_on("03-14")
        self.assertTrue(activity.exists())
        self.pay(second)
        self.run_on("03-15")
        self.assertFalse(activity.exists())

    def test_in_french_and_never_twice(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        self.seller.lang = "fr_FR"
        self.sequence.write({"tell_salesperson": True, "tell_salesperson_days": 0})
        self.run_on("03-08", "03-14")
        self.assertFalse(self.get_activities(self.seller))
        self.run_on("03-15")
        (activity,) = self.get_activities(self.seller)
        self.assertIn("15/03/2026", activity.summary)
        self.assertReminders(self.invoice, "03-08 S1", "03-15 S2")
        activity.action_feedback("Called")
        self.get_enrollment(self.invoice).action_restart()
        self.run_on("03-16", "03-23")
        self.assertFalse(self.get_activities(self.seller))

    def test_the_collector_hears_when_it_brought_nothing(self):
        self.sequence.write({"tell_when_done": True, "tell_when_done_days": 5})
        paused = self._create_invoice_due("03-01", 50)
        paid = self._create_invoice_due("03-01", 70)
        self.run_on("03-08", "03-15")
        paused.dunning_paused = True
        self.pay(paid)
        self.run_on("03-19")
        self.assertFalse(self.get_activities(self.collector))
        self.run_on("03-20", "03-21")
        (activity,) = self.get_activities(self.collector)
        self.assertIn("still unpaid", activity.summary)
        self.assertIn(self.invoice.name, activity.note)
        self.assertNotIn(paused.name, activity.note)
        self.assertNotIn(paid.name, activity.note)
        paused.dunning_paused = False
        self.run_on("03-22")
        activity = self.get_activities(self.collector) - activity
        self.assertIn(paused.name, activity.note)

    def test_what_fails_here_stops_no_reminder(self):
        self.sequence.tell_salesperson = True
        path = "odoo.addons.dunning_sequences.models.last_step.DunningEnrollment._tell"
        with (
            patch(path, side_effect=ValueError),
            mute_logger("odoo.addons.dunning_sequences.models.last_step"),
        ):
            self.run_on("03-08")
        self.assertReminders(self.invoice, "03-08 S1")

    def test_a_draft_for_him_is_written_with_a_warning(self):
        self.run_on("03-08")
        contact = self._create_contact(self.customer, "Ann")
        draft = self._create_invoice_due("05-01", customer=contact, post=False)
        self.assertRegex(draft.dunning_warning, r"has not paid: 1 invoice, \$\s?100")
        other = self._create_invoice_due("05-01", 10, self._create_customer("Other"))
        self.run_on("03-15")
        self.assertFalse(other.dunning_warning)
        self.assertFalse(self.invoice.dunning_warning, "posted")
        # One query on a draft, none on what is posted, however many.
        for move, queries in ((draft, 1), (self.invoice + other, 0)):
            self.env.flush_all()
            move.invalidate_recordset(["dunning_warning"])
            move.fetch(["partner_id", "company_id", "state", "move_type"])
            move.partner_id.commercial_partner_id.fetch(["name"])
            formatLang(self.env, 1, currency_obj=self.company.currency_id)
            before = self.env.cr.sql_log_count
            move.mapped("dunning_warning")
            self.assertLessEqual(self.env.cr.sql_log_count - before, queries)
        with Form(
            self.env["account.move"].with_context(default_move_type="out_invoice")
        ) as form:
            self.assertFalse(form.dunning_warning)
            form.partner_id = self.customer
            self.assertIn("Azure", form.dunning_warning)
        action = draft.action_view_dunning_overdue()
        self.assertEqual(
            self.env["account.move"].search(action["domain"]), self.invoice
        )
        self.pay(self.invoice)
        self.drain()
        self.assertFalse(draft.dunning_warning)


@tagged("post_install", "-at_install")
class TestCollection(CollectionCommon):
    """What is left when all steps are done."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.other = cls._create_customer("Other")
        cls.second = cls._create_invoice_due("03-01", 50, cls.other)

    def get_listed(self):
        self.env.invalidate_all()
        found = self.Enrollment.search([("to_collect", "=", True)])
        self.assertEqual(found, found.filtered("to_collect"))
        return found.move_id

    def test_what_is_left_when_all_steps_are_done(self):
        running = self._create_invoice_due("03-10")
        paused = self._create_invoice_due("03-01")
        paid = self._create_invoice_due("03-01")
        self.run_on("03-08", "03-15", "03-18")
        self.assertEqual(self.get_listed(), self.invoice + self.second + paused + paid)
        paused.dunning_paused = True
        self.pay(paid)
        self.drain()
        listed = self.get_listed()
        self.assertEqual(listed, self.invoice + self.second)
        self.assertNotIn(running, listed)
        enrollment = self.get_enrollment(self.invoice)
        self.assertEqual(enrollment.days_late, 17)
        self.assertEqual(str(enrollment.last_reminder_date), "2026-03-15")
        self.assertEqual(enrollment.responsible_id, self.collector)
        # The pause of a customer of another company is nobody's business.
        hold = {"partner_id": self.other.id, "since": "2026-03-18"}
        hold = self.env["dunning.hold"].create(hold)
        self.assertEqual(self.get_listed(), self.invoice)
        hold.action_close()
        self.assertEqual(self.get_listed(), self.invoice + self.second)

    def test_handed_over_and_taken_back(self):
        self.sequence.step_ids.body = "<p>You owe</p>{{ invoice_table }}"
        coming = self._create_invoice_due("03-12")
        self.run_on("03-08", "03-15", "03-19")
        self.assertReminders(coming, "03-19 S1")
        mine = (self.invoice + coming).dunning_enrollment_ids
        as_collector = mine.with_user(self.collector)
        as_collector.action_hand_over()
        for move in (self.invoice, coming):
            self.assertEqual(self.get_enrollment(move).hold_reason, "collection")
            self.assertEqual(move.dunning_status, "held")
            self.assertIn("Handed to collection", move.message_ids[0].body)
        (hold,) = self.invoice.dunning_hold_ids
        self.assertEqual((hold.kind, hold.user_id), ("collection", self.collector))
        self.assertEqual((str(hold.since), hold.amount), ("2026-03-19", 200))
        self.assertEqual(self.get_listed(), self.second)
        # Nothing more is sent, and a hand cannot, either.
        self.run_on("03-26")
        self.assertReminders(coming, "03-19 S1")
        with self.assertRaises(UserError):
            coming.action_dunning_remind()
        with self.assertRaisesRegex(UserError, "handed over before"):
            as_collector.action_hand_over()
        # Nor is it named among what else is overdue.
        third = self._create_invoice_due("03-20", 77)
        self.run_on("03-27")
        text = self.get_text(self.sink.mails[-1])
        self.assertIn(third.name, text)
        self.assertNotIn(self.invoice.name, text)
        as_collector.action_take_back()
        self.assertEqual(self.get_listed(), self.invoice + self.second)
        self.assertEqual(hold.outcome, "resumed")
        self.assertIn("Taken back", self.invoice.message_ids[0].body)
        self.run_on("03-28")
        self.assertReminders(coming, "03-19 S1", "03-28 S2")
        with self.assertRaisesRegex(UserError, "None of these"):
            as_collector.action_take_back()

    def test_a_mail_about_to_leave_does_not(self):
        with self.server_down():
            self.run_day("03-08")
        self.invoice.dunning_enrollment_ids.action_hand_over()
        self.travel("03-09")
        self.deliver()
        self.assertEqual(self.get_last_reminder(self.invoice).state, "cancelled")
        self.assertFalse(
            [mail for mail in self.sink.mails if "azure" in str(mail.recipients)]
        )

    def get_page(self, moves, user=None):
        report = self.env["ir.actions.report"].with_user(user or self.env.user)
        page, _kind = report._render_qweb_html(
            "dunning_sequences.action_report_dunning_collection",
            moves.dunning_enrollment_ids.ids,
        )
        return page.decode().replace("\N{NO-BREAK SPACE}", " ")

    def test_the_file_says_what_was_said_and_proves_it(self):
        self.sequence.step_ids[0].body += "{{ payment_link }}"
        euro = self._create_invoice_due(
            "03-01", 30, currency_id=self.setup_other_currency("EUR")
        )
        self.run_on("03-08")
        self.invoice.dunning_promise_date = "2026-03-12"
        self.run_on("03-15")
        self.invoice.dunning_promise_date = False
        self.run_on("03-16", "03-17")
        reminder = self.invoice.dunning_reminder_ids.sorted("id")[0]
        page = self.get_page(self.invoice + euro + self.second)
        for text in (
            "Unpaid invoices of Azure",
            "Unpaid invoices of Other",
            self.invoice.name,
            "03/08/2026",
            "$ 100.00",
            "30.00 €",
            "azure@customer.example.com",
            "Not in this file",
            "S1: ",
            "Promise to pay",
            reminder.message_id.strip("<>"),
            "Handed to the mail server",
            "S1: $ 50.00 since",
        ):
            self.assertIn(text, page)
        self.assertNotIn("access_token", page, "a link is the customer's alone")
        reminder.sudo()._erase_texts(self.company, self.today())
        page = self.get_page(self.invoice)
        self.assertIn("The text was erased on 03/17/2026", page)
        self.assertNotIn("Unpaid invoices of Other", page)

    def test_only_billing_hands_over_and_exports(self):
        self.run_on("03-08", "03-15")
        enrollments = self.invoice.dunning_enrollment_ids
        reader = self._create_user("auditor", "account.group_account_readonly")
        for name in (
            "action_hand_over",
            "action_take_back",
            "action_export_collection",
        ):
            with self.assertRaises(AccessError):
                getattr(enrollments.with_user(reader), name)()
        with self.assertRaises(AccessError):
            self.get_page(self.invoice, reader)
        action = enrollments.with_user(self.collector).action_export_collection()
        self.assertEqual(action["type"], "ir.actions.report")

    def _create_pdf(self, pages):
        writer = PdfFileWriter()
        for _page in range(pages):
            writer.addBlankPage(width=595, height=842)
        with io.BytesIO() as content:
            writer.write(content)
            return content.getvalue()

    def test_the_legal_pdfs_are_behind_the_pages(self):
        """One file, whatever is missing: what cannot be read is named, and left out."""
        self.run_on("03-08", "03-15")
        broken = self._create_invoice_due("03-01")
        self.drain()
        pdf = self._create_pdf(3)
        self.invoice.invoice_pdf_report_file = base64.b64encode(pdf)
        broken.invoice_pdf_report_file = base64.b64encode(b"%PDF-1.4 broken")
        enrollments = (self.invoice + broken + self.second).dunning_enrollment_ids
        seen = []
        cls = self.env.registry["dunning.enrollment"]
        prepare = cls._prepare_collection_file

        def spy(group, missing):
            seen.append(missing)
            return prepare(group, missing)

        report = self.env["ir.actions.report"].with_context(force_report_rendering=1)
        rendered = self._create_pdf(1)
        with (
            patch.object(cls, "_prepare_collection_file", spy),
            patch.object(
                type(report), "_run_wkhtmltopdf", lambda *args, **kwargs: rendered
            ),
            mute_logger("odoo.addons.dunning_sequences.models.collection_file"),
        ):
            content, kind = report._render_qweb_pdf(
                "dunning_sequences.action_report_dunning_collection", enrollments.ids
            )
        self.assertEqual(kind, "pdf")
        self.assertEqual(seen, [[broken.name], [self.second.name]])
        # A page of ours for each customer, and the invoice of three pages.
        self.assertEqual(len(PdfFileReader(io.BytesIO(content)).pages), 1 + 3 + 1)
