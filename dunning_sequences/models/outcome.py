"""Outcome: read back what became of a reminder after a mail server took it."""

from odoo import api, models
from odoo.tools import email_normalize


class MailThread(models.AbstractModel):
    _inherit = "mail.thread"

    @api.model
    def _routing_handle_bounce(self, email_message, message_dict):
        """A bounce names the Message-Id that it answers: ours are reminders'."""
        res = super()._routing_handle_bounce(email_message, message_dict)
        addresses = self.env["dunning.reminder"]._get_bounced_addresses(email_message)
        self.env["dunning.reminder"].sudo()._register_bounce(
            message_dict.get("bounced_msg_ids") or [],
            addresses or {message_dict.get("bounced_email")} - {False, None, ""},
        )
        return res


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    @api.model
    def _get_bounced_addresses(self, email_message):
        """The addresses that a delivery report says it is about (RFC 3464).

        Odoo takes a single known recipient for it where it knows no contact by that
        address: a copy to somebody else would look as if the customer had moved.
        """
        addresses = set()
        for part in email_message.walk():
            recipient = str(part.get("Final-Recipient") or "")
            addresses.add(email_normalize(recipient.rpartition(";")[2]))
        return addresses - {False}

    @api.model
    def _register_bounce(self, message_ids, addresses):
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
            lambda reminder: not addresses or addresses & reminder._get_to_addresses()
        )
        names = ", ".join(sorted(addresses))
        for reminder in found - bounced:
            reminder.refused = "\n".join(filter(None, (reminder.refused, names)))
        bounced.write(
            {
                "state": "bounced",
                "failure_reason": self.env._(
                    "The reminder to %(address)s came back.", address=names
                ),
            }
        )
        bounced._mark_moves()
