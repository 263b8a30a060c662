import inspect

from lxml import etree

from odoo import Command
from odoo.exceptions import AccessError, UserError, ValidationError
from odoo.service.model import get_public_method
from odoo.tests import tagged
from odoo.tools import mute_logger

from .common import DunningCommon

#: What anybody who reads invoices may read, and nobody may write.
HISTORY = (
    "dunning.enrollment",
    "dunning.reminder",
    "dunning.reminder.line",
)
SETTINGS = ("dunning.sequence", "dunning.sequence.step")
INTERNAL = ("dunning.mark", "dunning.attempt")


@tagged("post_install", "-at_install")
class TestSecurity(DunningCommon):
    """Who may see and do what."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.reader = cls._create_user("reader", "account.group_account_readonly")
        contacts = "base.group_partner_manager"
        cls.biller = cls._create_user(
            "biller", f"account.group_account_invoice,{contacts}"
        )
        cls.manager = cls._create_user(
            "manager", f"account.group_account_manager,{contacts}"
        )
        cls.admin = cls._create_user(
            "admin", f"account.group_account_manager,base.group_system,{contacts}"
        )
        cls.employee = cls._create_user("employee", "base.group_partner_manager")
        cls.accountants = cls.reader + cls.biller + cls.manager + cls.admin
        cls.sequence = cls._create_default((7,), (14,))
        cls.invoice = cls._create_invoice_due("03-01")

    def _remind(self):
        """Return a reminder that was sent."""
        return self.run_day("03-08")

    def assertForbidden(self, method, *args):
        with (
            self.assertRaises(AccessError),
            mute_logger("odoo.addons.base.models.ir_rule"),
        ):
            with self.env.cr.savepoint():
                method(*args)
                self.env.flush_all()

    # ------------------------------------------------------------------------
    # READING
    # ------------------------------------------------------------------------

    def test_whoever_sees_invoices_sees_their_reminders(self):
        self._remind()
        self.invoice.dunning_paused = True
        for user in self.accountants:
            env = self.env(user=user)
            for model in (*HISTORY, *SETTINGS, "dunning.hold"):
                records = env[model].search([("company_id", "=", self.company.id)])
                self.assertTrue(records, f"{user.name} reads {model}")
                records.read()

    def test_without_accounting_nothing_is_seen(self):
        self._remind()
        env = self.env(user=self.employee)
        for model in (*HISTORY, *SETTINGS, *INTERNAL, "dunning.hold"):
            self.assertForbidden(env[model].search, [])

    def test_without_accounting_the_contact_form_opens_as_before(self):
        self._remind()
        self.customer.dunning_paused = True
        customer = self.customer.with_user(self.employee)
        form = etree.fromstring(customer.get_view(view_type="form")["arch"])
        fields = customer._fields
        names = {node.get("name") for node in form.iter("field")} & set(fields)
        ours = [name for name in names if fields[name]._module == "dunning_sequences"]
        customer.read(["name", *ours])
        self.assertTrue(customer.copy())

    def test_without_accounting_contacts_are_written_as_before(self):
        contacts = self.env["res.partner"].with_user(self.employee)
        contact = contacts.create({"name": "New", "parent_id": self.customer.id})
        contact.write({"email": "new@customer.example.com", "type": "invoice"})
        contact.active = False
        self.commit()

    def test_the_internals_are_for_administrators(self):
        self._remind()
        for model in INTERNAL:
            self.env[model].with_user(self.admin).search([])
            for user in (self.reader, self.biller, self.manager):
                self.assertForbidden(self.env[model].with_user(user).search, [])

    # ------------------------------------------------------------------------
    # HISTORY IS WRITTEN BY THE ENGINE
    # ------------------------------------------------------------------------

    def test_nobody_writes_history_over_the_orm(self):
        self._remind()
        for user in self.accountants:
            env = self.env(user=user)
            for model in (*HISTORY, *INTERNAL):
                if model in INTERNAL and user != self.admin:
                    continue
                record = env[model].sudo().search([], limit=1).with_user(user)
                for method, args in (
                    ("create", [{}]),
                    ("write", [{"create_date": False}]),
                    ("unlink", []),
                ):
                    with self.subTest(f"{user.name}: {model}.{method}"):
                        self.assertForbidden(getattr(record, method), *args)

    def test_even_the_superuser_deletes_no_reminder(self):
        reminder = self._remind().sudo()
        with self.assertRaisesRegex(UserError, "cannot be deleted"):
            reminder.unlink()

    def test_a_deleted_invoice_leaves_its_history(self):
        reminder = self._remind()
        name = self.invoice.name
        self.invoice.button_draft()
        self.invoice.with_context(force_delete=True).unlink()
        self.commit()
        line = reminder.exists().line_ids
        self.assertFalse(line.move_id)
        self.assertEqual(line.move_name, name)
        self.assertEqual(line.step_name, "S1")

    # ------------------------------------------------------------------------
    # SETTINGS
    # ------------------------------------------------------------------------

    def test_only_accounting_managers_write_sequences(self):
        for user in (self.reader, self.biller):
            sequence = self.sequence.with_user(user)
            for method, args in (
                (sequence.write, [{"name": "Mine"}]),
                (sequence.copy, []),
                (sequence.action_stop, []),
                (sequence.action_start, []),
                (sequence.step_ids.write, [{"name": "Mine"}]),
                (sequence.unlink, []),
            ):
                with self.subTest(f"{user.name}: {method.__name__}"):
                    self.assertForbidden(method, *args)
        sequence = self.sequence.with_user(self.manager)
        sequence.action_stop()
        copy = sequence.copy()
        copy.action_start()
        copy.action_stop()
        copy.unlink()

    def test_an_accounting_manager_adds_customers_to_a_sequence(self):
        sequence = self.sequence.with_user(self.manager)
        sequence.partner_ids = self.customer
        self.assertEqual(self.customer.dunning_policy, "own")
        sequence.partner_ids = False
        self.assertFalse(self.customer.dunning_policy)

    # ------------------------------------------------------------------------
    # BUTTONS
    # ------------------------------------------------------------------------

    def test_who_bills_may_pause_and_resume(self):
        invoice = self.invoice.with_user(self.biller)
        invoice.write({"dunning_paused": True, "dunning_pause_reason": "Call first"})
        hold = self.invoice.dunning_hold_ids
        self.assertEqual((hold.user_id, hold.reason), (self.biller, "Call first"))
        self.assertNext(self.invoice, "held", "03-08 S1", reason="pause")
        invoice.action_dunning_resume()
        self.assertNext(self.invoice, "running", "03-08 S1")
        customer = self.customer.with_user(self.biller)
        customer.dunning_paused = True
        self.assertTrue(self.customer.dunning_paused)
        customer.dunning_paused = False

    def test_who_only_reads_may_not(self):
        hold = {"kind": "pause", "move_ids": [Command.set(self.invoice.ids)]}
        self.assertForbidden(
            self.env["dunning.hold"].with_user(self.reader).create, hold
        )
        invoice = self.invoice.with_user(self.reader)
        self.assertForbidden(invoice.write, {"dunning_paused": True})
        self.invoice.dunning_paused = True
        self.assertForbidden(invoice.action_dunning_resume)
        self.assertForbidden(invoice.action_dunning_remind)
        self.assertForbidden(
            self.customer.with_user(self.reader).write, {"dunning_paused": True}
        )

    def test_who_bills_may_retry_and_cancel(self):
        with self.sink.behaving(answer="554 5.7.1 spam"):
            failed = self._remind()
        self.assertEqual(failed.state, "failed")
        failed.with_user(self.biller).action_retry()
        retry = self.get_last_reminder(self.invoice)
        retry.with_user(self.biller).action_cancel()
        self.assertEqual(retry.state, "cancelled")
        self.assertIn("Biller", retry.failure_reason)
        self.deliver()
        self.assertFalse(self.sink.mails)

    def test_who_only_reads_may_not_decide_about_reminders(self):
        reminder = self.compose_day("03-08")
        self.assertForbidden(reminder.with_user(self.reader).action_cancel)
        with self.sink.behaving(answer="554 5.7.1 spam"):
            self.deliver()
        self.assertForbidden(reminder.with_user(self.reader).action_retry)

    def test_who_only_reads_may_not_start_anyway(self):
        self.travel("04-20")
        invoice = self._create_invoice_due("03-01", customer=self._create_customer("B"))
        self.drain()
        self.assertNext(invoice, "held", reason="older")
        enrollment = self.get_enrollment(invoice)
        self.assertForbidden(enrollment.with_user(self.reader).action_start_anyway)
        enrollment.with_user(self.biller).action_start_anyway()
        self.assertNext(invoice, "running", "04-20 S2")

    def test_only_what_failed_is_retried_only_what_waits_is_cancelled(self):
        reminder = self._remind()
        with self.assertRaisesRegex(UserError, "failed or bounced"):
            reminder.action_retry()
        with self.assertRaisesRegex(UserError, "have not left yet"):
            reminder.action_cancel()

    def test_daily_work_needs_no_more_rights_than_before(self):
        """Billing posts, changes and pays; the marks are written all the same."""
        user = self.env(user=self.biller)
        invoice = self._create_invoice_due("03-01", post=False).with_env(user)
        invoice.action_post()
        invoice.dunning_email_to = "clerk@customer.example.com"
        self.drain()
        self.assertNext(invoice.with_env(self.env), "running", "03-08 S1")
        wizard = user["account.payment.register"].with_context(
            active_model="account.move", active_ids=invoice.ids
        )
        wizard.create({})._create_payments()
        self.drain()
        self.assertNext(invoice.with_env(self.env), "stopped", reason="paid")

    # ------------------------------------------------------------------------
    # RPC
    # ------------------------------------------------------------------------

    def _get_own_methods(self):
        """Yield (model, name) of each method that no other addon knows."""
        for model in self.env.registry.models.values():
            ours, others = set(), set()
            for parent in model.__mro__:
                names = {n for n, v in vars(parent).items() if inspect.isfunction(v)}
                module = parent.__module__
                (ours if ".dunning_sequences." in module else others).update(names)
            for name in ours - others:
                yield model._name, name

    def test_only_buttons_are_called_from_outside(self):
        """A public method is an entry for everybody who has a login."""
        methods = list(self._get_own_methods())
        self.assertIn(("dunning.reminder", "action_retry"), methods)
        public = [
            f"{model}.{name}"
            for model, name in methods
            if not name.startswith(("_", "action_"))
        ]
        self.assertFalse(public)

    def test_methods_with_an_underscore_are_refused(self):
        for model, name in (
            ("dunning.reminder", "_deliver"),
            ("dunning.reminder", "_cron_deliver"),
            ("dunning.reminder", "_retry"),
            ("dunning.enrollment", "_run"),
            ("dunning.enrollment", "_reconcile"),
            ("dunning.enrollment", "_start"),
            ("dunning.mark", "_mark"),
            ("dunning.attempt", "_write_ahead"),
            ("account.move", "_set_dunning_hold"),
        ):
            with self.subTest(name), self.assertRaises(AccessError):
                get_public_method(self.env[model], name)

    # ------------------------------------------------------------------------
    # COMPANIES
    # ------------------------------------------------------------------------

    def _set_up_other_company(self):
        data = self.setup_other_company(name="Other", email="other@test.example.com")
        other = data["company"]
        stranger = self._create_user(
            "stranger",
            "account.group_account_manager,base.group_partner_manager",
            company_id=other.id,
            company_ids=[Command.set(other.ids)],
        )
        return other, stranger

    def test_companies_do_not_see_each_others_reminders(self):
        self.invoice.dunning_paused = True
        self.invoice.dunning_paused = False
        reminder = self._remind()
        _other, stranger = self._set_up_other_company()
        records = {
            "dunning.sequence": self.sequence,
            "dunning.sequence.step": self.sequence.step_ids,
            "dunning.enrollment": self.get_enrollment(self.invoice),
            "dunning.reminder": reminder,
            "dunning.reminder.line": reminder.line_ids,
            "dunning.hold": self.invoice.dunning_hold_ids,
        }
        for model, record in records.items():
            self.assertTrue(record)
            mine = self.env[model].with_user(stranger)
            self.assertFalse(mine.search([("id", "in", record.ids)]), model)
            self.assertForbidden(record.with_user(stranger).read, ["display_name"])
        self.assertForbidden(reminder.with_user(stranger).action_cancel)

    def test_a_customer_is_paused_in_one_company_only(self):
        other, stranger = self._set_up_other_company()
        self.customer.with_user(stranger).dunning_paused = True
        self.assertFalse(self.customer.with_company(self.company).dunning_paused)
        self._create_sequence([(7,)], default=True, company_id=other.id)
        theirs = self._create_invoice_due("03-01", company_id=other)
        self.run_on("03-08")
        self.assertReminders(self.invoice, "03-08 S1")
        self.assertNext(theirs, "held", "03-08 S1", reason="pause")

    def test_a_customer_follows_one_sequence_per_company(self):
        other, _stranger = self._set_up_other_company()
        theirs = self._create_sequence([(7,)], prefix="B", company_id=other.id)
        theirs.partner_ids = self.customer
        self.assertFalse(self.customer.with_company(self.company).dunning_sequence_id)
        invoice = self._create_invoice_due("03-01", company_id=other)
        self.run_on("03-08")
        self.assertReminders(self.invoice, "03-08 S1")
        self.assertReminders(invoice, "03-08 B1")

    def test_a_sequence_of_another_company_is_refused(self):
        other, _stranger = self._set_up_other_company()
        theirs = self._create_sequence([(7,)], company_id=other.id)
        with self.assertRaises(ValidationError):
            self.company.dunning_sequence_id = theirs
        with self.assertRaises(UserError):
            self.invoice.dunning_sequence_id = theirs

    def test_a_branch_follows_its_parents_default(self):
        branch = self.env["res.company"].create(
            {
                "name": "Branch",
                "parent_id": self.company.id,
                "email": "branch@test.example.com",
            }
        )
        self.commit()  # that gives the branch its parent's accounts
        self.env.user.company_ids += branch
        clerk = self._create_user(
            "clerk",
            "account.group_account_invoice",
            company_id=branch.id,
            company_ids=[Command.set(branch.ids)],
        )
        self.assertIn(
            self.sequence, self.env["dunning.sequence"].with_user(clerk).search([])
        )
        invoice = self._create_invoice_due("03-01", company_id=branch)
        self.run_on("03-08")
        self.assertReminders(invoice, "03-08 S1")
        own = self._create_sequence([(9,)], prefix="B", company_id=branch.id)
        branch.dunning_sequence_id = own
        second = self._create_invoice_due("03-03", company_id=branch)
        self.run_on("03-12")
        self.assertReminders(second, "03-12 B1")
