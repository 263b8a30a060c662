"""Activity: steps that somebody does, by phone or on a visit."""

from odoo import api, fields, models


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    activity_id = fields.Many2one(
        comodel_name="mail.activity",
        readonly=True,
        copy=False,
        index="btree_not_null",
        ondelete="set null",
    )

    def _schedule_activities(self):
        """Put an activity on the invoice of each reminder."""
        activities = (
            self.env["mail.activity"]
            .sudo()
            .with_context(mail_activity_quick_update=True)
            .create([reminder._prepare_activity_vals() for reminder in self])
        )
        for reminder, activity in zip(self, activities, strict=True):
            reminder.activity_id = activity

    def _prepare_activity_vals(self):
        """Hook: override to ask for something else."""
        self.ensure_one()
        step = self.step_id
        user = step.activity_user_id or self._get_responsible()
        step = step.with_context(lang=user.lang or self.company_id.partner_id.lang)
        default = self.env.ref("mail.mail_activity_data_todo")
        return {
            "res_model_id": self.env["ir.model"]._get_id("account.move"),
            "res_id": self.move_id.id,
            "activity_type_id": (step.activity_type_id or default).id,
            "summary": step.activity_summary or step.name,
            "note": self._render_invoice_table(self._get_current_lines()),
            "date_deadline": self.date,
            "user_id": user.id,
            "automated": True,
        }

    def _get_responsible(self):
        """Who looks after the customer: his collector, else the sequence's."""
        self.ensure_one()
        customer = self.partner_id.with_company(self.company_id)
        return customer.dunning_user_id or self.sequence_id._get_responsible()

    def _drop_activities(self):
        self.activity_id.sudo().unlink()

    @api.model
    def _register_activities(self, activities, state):
        """Somebody did what a step asked for, or decided not to."""
        reminders = self.search(
            [("activity_id", "in", activities.ids), ("state", "=", "to_do")]
        )
        for company, group in reminders.grouped("company_id").items():
            group.write({"state": state, "sent_on": company._dunning_today()})
        reminders._after_decision()


class MailActivity(models.Model):
    _inherit = "mail.activity"

    def _action_done(self, feedback=False, attachment_ids=None):
        """Done is done: the step counts as reminded."""
        res = super()._action_done(feedback=feedback, attachment_ids=attachment_ids)
        Reminder = self.env["dunning.reminder"].sudo()
        Reminder._register_activities(self.exists(), "recorded")
        return res

    def unlink(self):
        """Cancelled by the one whom it asks: the step is skipped.

        Whatever else deletes it (its user leaves, say) decides nothing: the step waits
        in the work list.
        """
        own = self.filtered(lambda a: a.user_id == self.env.user and not self.env.su)
        self.env["dunning.reminder"].sudo()._register_activities(own, "skipped")
        return super().unlink()
