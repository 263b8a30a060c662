"""Retry: what failed is written anew, as another reminder which names the first."""

from odoo import models

from .compose import READY_STATES


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    def _retry(self):
        """Write the reminder anew: as another one, which names the first."""
        doubtful = self.filtered(lambda reminder: reminder.state == "doubtful")
        doubtful._fail(self.env._("Doubtful, and sent again."))
        self.env.flush_all()
        reminders = self.browse()
        for reminder in self:
            reminders += reminder.copy(reminder._prepare_retry_vals())
        moves = self.env["account.move"].union(
            *(reminder._get_moves_to_attach() for reminder in reminders)
        )
        moves._dunning_make_pdfs()
        for company, group in reminders.grouped("company_id").items():
            group = group.with_company(company)
            group._write_content()
            group._release()
        self.env["dunning.enrollment"]._reconcile(reminders.line_ids.move_id)
        reminders._trigger_delivery()
        return reminders

    def _prepare_retry_vals(self):
        self.ensure_one()
        today = self.company_id._dunning_today()
        recipients = self.move_id._get_dunning_recipients_by(self.channel)
        recipients = recipients[self.move_id.id]
        lines = self._get_current_lines()
        return {
            **self._prepare_recipient_vals(recipients),
            "retry_of_id": self.id,
            "state": READY_STATES[self.channel],
            "date": today,
            "failure_reason": False,
            "refused": False,
            "sent_on": False,
            "attempt": 0,
            "tries": 0,
            "message_id": self._get_new_message_id(self.move_id),
            "mail_message_id": False,
            "line_ids": [(0, 0, line.copy_data()[0]) for line in lines],
        }
