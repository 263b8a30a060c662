from odoo import Command
from odoo.exceptions import AccessError, UserError
from odoo.tests import Form

from ..tools import typed_text
from .common import DunningCommon


class TestSequenceForm(DunningCommon):
    """What the form of a sequence makes easy: see test_tours for the web client."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.manager = cls._create_user("former", "account.group_account_manager")

    def _create_step(self, **vals):
        step = {"delay": 7, **vals}
        return self._create_sequence((step,), start=False).step_ids

    # ------------------------------------------------------------------------
    # WHEN
    # ------------------------------------------------------------------------

    def test_days_and_moment_say_the_delay(self):
        step = self._create_step(delay=-3)
        self.assertEqual((step.days, step.moment), (3, "before"))
        step.delay = 0
        self.assertEqual((step.days, step.moment), (0, "on"))
        step.moment = "after"
        step.days = 5
        self.assertEqual((step.trigger, step.delay), ("due_date", 5))
        step.write({"days": 2, "moment": "before"})
        self.assertEqual(step.delay, -2)
        self.assertEqual(step.timing, "2 days before the due date")

    def test_days_are_typed_in_the_form(self):
        view = "dunning_sequences.dunning_sequence_step_view_form"
        with Form(self._create_step(delay=7), view=view) as form:
            form.moment = "before"
            self.assertEqual(form.timing, "7 days before the due date")
            form.days = 0
            self.assertEqual((form.moment, form.timing), ("on", "on the due date"))
            form.moment = "after"
            self.assertEqual(form.timing, "1 day after the due date")
            form.days = -3
            self.assertEqual((form.days, form.moment), (3, "before"))
        self.assertEqual(form.record.delay, -3)

    def test_a_step_counts_from_the_previous_reminder(self):
        sequence = self._create_sequence(((7,), (14,)), start=False)
        sequence.step_ids[1].write({"days": 4, "moment": "previous"})
        self.assertEqual(sequence.step_ids[1].trigger, "previous")
        self.assertEqual(sequence.step_ids[1].delay, 4)

    # ------------------------------------------------------------------------
    # TEXTS
    # ------------------------------------------------------------------------

    def test_merge_fields_have_names_in_the_users_language(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        field = self.env["ir.model.fields"]._get("dunning.reminder", "amount_due")
        field.with_context(lang="fr_FR").field_description = "Montant dû"
        step = self._create_step()
        english = {field["name"]: field["label"] for field in step.merge_fields}
        self.assertEqual(tuple(english), typed_text.FIELDS)
        self.assertEqual(english["amount_due"], "Amount Due")
        french = step.with_context(lang="fr_FR").merge_fields
        self.assertIn({"name": "amount_due", "label": "Montant dû"}, french)

    def test_a_new_template_begins_with_a_text(self):
        """Also for those who are no template editors, with fields but no condition."""
        Template = self.env["mail.template"].with_user(self.manager)
        Template = Template.with_context(
            default_model="dunning.reminder", dunning_new_template=True
        )
        template = Template.create({"name": "Mine"})
        self.assertEqual(template.model, "dunning.reminder")
        self.assertIn("object.amount_due", template.body_html)
        self.assertNotIn("t-if", template.body_html)
        step = self._create_step(content="template", template_id=template.id)
        self._create_invoice_due("01-10")
        preview = step._prepare_preview_vals(step._create_sample())
        self.assertIn("100.00", preview["body"])

    def test_preview_shows_real_figures_and_leaves_nothing(self):
        invoice = self._create_invoice_due("01-10")
        step = self._create_step(subject="About {{ invoice_number }}")
        before = self.Reminder.search_count([])
        action = step.with_user(self.manager).action_preview()
        preview = self.env[action["res_model"]].browse(action["res_id"])
        self.assertEqual(preview.subject, f"About {invoice.name}")
        self.assertEqual(self.Reminder.search_count([]), before)
        self.assertFalse(self.sink.mails)

    # ------------------------------------------------------------------------
    # CUSTOMERS
    # ------------------------------------------------------------------------

    def _enroll(self, partners, **vals):
        return (
            self.env["dunning.partner.enroll"]
            .with_user(self.manager)
            .with_context(active_model="res.partner", active_ids=partners.ids)
            .create(vals)
        )

    def test_many_customers_get_a_sequence_at_once(self):
        old = self._create_sequence(prefix="A")
        new = self._create_sequence(prefix="B")
        moving = self._create_customer("Moving")
        moving.dunning_sequence_id = old
        contact = self._create_contact(self.customer, "Contact")
        wizard = self._enroll(contact + moving, sequence_id=new.id, catch_up="first")
        self.assertEqual(wizard.customers_count, 2)
        self.assertEqual(wizard.moving_count, 1)
        wizard.action_confirm()
        for customer in self.customer + moving:
            self.assertEqual(customer.dunning_sequence_id, new)
            self.assertEqual(customer.dunning_catch_up, "first")
            self.assertEqual(customer.dunning_since, self.today())
        listed = self.env["res.partner"].search(new.action_view_partners()["domain"])
        self.assertEqual(listed, self.customer + moving)

    def test_many_customers_go_back_to_the_default_or_to_none(self):
        sequence = self._create_sequence()
        self.customer.dunning_sequence_id = sequence
        self._enroll(self.customer, policy="default").action_confirm()
        self.assertFalse(self.customer.dunning_policy)
        self.assertFalse(self.customer.dunning_sequence_id)
        wizard = self._enroll(self.customer, policy="none")
        wizard.action_confirm()
        self.assertEqual(self.customer.dunning_policy, "none")
        again = self._enroll(self.customer, policy="none")
        self.assertEqual((again.same_count, again.moving_count), (1, 0))

    def test_only_billing_sets_sequences(self):
        user = self._create_user("anybody")
        Wizard = self.env["dunning.partner.enroll"].with_user(user)
        with self.assertRaises(AccessError):
            Wizard.create({"partner_ids": self.customer.ids, "policy": "none"})

    def test_an_accounting_manager_adds_customers_without_editing_contacts(self):
        sequence = self._create_sequence().with_user(self.manager)
        sequence.write({"partner_ids": [Command.link(self.customer.id)]})
        self.assertEqual(self.customer.dunning_sequence_id.id, sequence.id)
        sequence.write({"partner_ids": [Command.unlink(self.customer.id)]})
        self.assertFalse(self.customer.dunning_policy)

    # ------------------------------------------------------------------------
    # DELETE
    # ------------------------------------------------------------------------

    def test_deleting_says_what_it_stops_and_keeps_the_history(self):
        steps = ({"delay": 7}, {"delay": 14, "mode": "approval"})
        sequence = self._create_sequence(steps)
        self.customer.dunning_sequence_id = sequence
        invoice = self._create_invoice_due("01-10")
        self.run_on("01-06..01-25")
        sent, waiting = self.Reminder.search(
            [("move_ids", "in", invoice.ids)], order="id"
        )
        self.assertEqual((sent.state, waiting.state), ("sent", "to_approve"))
        own = self._create_invoice_due("02-10")
        own.dunning_sequence_id = sequence
        wizard = self.env["dunning.sequence.delete"].with_user(self.manager)
        wizard = wizard.create({"sequence_ids": sequence.ids})
        self.assertEqual(wizard.running_count, 1)
        self.assertEqual(wizard.moves_count, 2)
        self.assertEqual(wizard.waiting_count, 1)
        self.assertEqual(wizard.customers_count, 1)
        wizard.action_delete()
        self.assertFalse(sequence.exists())
        self.assertEqual((sent.state, waiting.state), ("sent", "cancelled"))
        self.assertEqual(sent.sequence_name, "Sequence")
        self.assertFalse(self.customer.dunning_policy)
        self.assertFalse(own.dunning_policy)

    def test_customers_of_a_deleted_sequence_follow_the_default(self):
        self._create_sequence(((3,),), default=True, prefix="D")
        sequence = self._create_sequence(((7,),))
        self.customer.dunning_sequence_id = sequence
        invoice = self._create_invoice_due("01-20")
        self.run_on("01-06")
        sequence.action_stop()
        sequence.unlink()
        self.run_on("01-07..01-24")
        reminder = self.Reminder.search([("move_ids", "in", invoice.ids)])
        self.assertEqual(reminder.mapped("step_name"), ["D1"])

    def test_a_running_sequence_is_not_deleted_by_the_way(self):
        sequence = self._create_sequence()
        self.customer.dunning_sequence_id = sequence
        with self.assertRaisesRegex(UserError, "Stop it before"):
            sequence.unlink()
        self.assertEqual(self.customer.dunning_sequence_id, sequence)

    def test_only_accounting_managers_delete(self):
        sequence = self._create_sequence(start=False)
        user = self._create_user("biller", "account.group_account_invoice")
        with self.assertRaises(AccessError):
            sequence.with_user(user).unlink()
