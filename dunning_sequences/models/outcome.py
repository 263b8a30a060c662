"""Outcome: read back what became of a reminder after a mail server took it."""

from odoo import api, models


class MailThread(models.AbstractModel):
    _inherit = "mail.thread"

    @api.model
    def _routing_handle_bounce(self, email_message, message_dict):
        """A bounce names the Message-Id that it answers: ours are reminders'."""
        res = super()._routing_handle_bounce(email_message, message_dict)
        self.env["dunning.reminder"].sudo()._register_bounce(
            message_dict.get("bounced_msg_ids") or [],
            message_dict.get("bounced_email") or "",
        )
        return res


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    @api.model
    def _register_bounce(self, message_ids, address):
        """What came back reached nobody, so it does not count; a person is asked.

        A copy that comes back is only noted: the customer himself got it.
        """
        found = self.search(
            [
                ("message_id", "in", list(message_ids)),
                ("state", "in", ("sent", "doubtful")),
            ]
        )
        bounced = found.filtered(
            lambda reminder: not address or address in reminder._get_to_addresses()
        )
        for reminder in found - bounced:
            reminder.refused = "\n".join(filter(None, (reminder.refused, address)))
        bounced.write(
            {
                "state": "bounced",
                "failure_reason": self.env._(
                    "The reminder to %(address)s came back.", address=address
                ),
            }
        )
        bounced._mark_moves()
