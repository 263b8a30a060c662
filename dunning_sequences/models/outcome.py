"""Outcome: read back what became of a reminder after a mail server took it.

A bounce undoes it; a reply of the customer holds his invoices until somebody has
answered, or a week has passed.
"""

from odoo import api, fields, models
from odoo.tools import email_normalize

#: Days that a reply holds when nobody answers it.
REPLY_DAYS = 7

#: Headers of mails that no person wrote (RFC 3834, and what is in use).
AUTOMATIC_HEADERS = ("X-Autoreply", "X-Autorespond", "X-Auto-Response-Suppress")


class MailThread(models.AbstractModel):
    _inherit = "mail.thread"

    @api.model
    def _message_route_process(self, message, message_dict, routes):
        """Only the mail itself tells whether a person wrote it: pass that on."""
        automatic = self._is_dunning_automatic(message)
        thread = self.with_context(
            dunning_automatic_mail=automatic,
            dunning_answered_message_id=message_dict.get("parent_id"),
        )
        return super(MailThread, thread)._message_route_process(
            message, message_dict, routes
        )

    @api.model
    def _is_dunning_automatic(self, message):
        """Out of office and the like: they land on the invoice, but hold nothing."""
        submitted = str(message.get("Auto-Submitted") or "no").strip().lower()
        precedence = str(message.get("Precedence") or "").strip().lower()
        return (
            submitted != "no"
            or precedence in ("auto_reply", "bulk", "junk")
            or any(message.get(name) for name in AUTOMATIC_HEADERS)
        )

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
        for company, reminders in bounced.grouped("company_id").items():
            env = self._with_company_lang(company).env
            reason = env._("The reminder to %(address)s came back.", address=names)
            reminders.write({"state": "bounced", "failure_reason": reason})
        bounced._mark_moves()


class AccountMove(models.Model):
    _inherit = "account.move"

    def _dunning_register_reply(self, message):
        """Hold what the customer answers to, and tell the responsible."""
        if any(not user.share for user in message.author_id.user_ids):
            return
        reminder = self._get_dunning_answered(
            self.env.context.get("dunning_answered_message_id")
        )
        if not reminder:
            return
        company = reminder.company_id
        today = company._dunning_today()
        self.env["dunning.hold"].create(
            {
                "kind": "reply",
                "move_ids": [(6, 0, reminder._get_current_lines().move_id.ids)],
                "company_id": company.id,
                "since": today,
                "until": fields.Date.add(today, days=REPLY_DAYS),
                "reason": message.subject,
                "user_id": False,
            }
        )
        responsible = reminder.sequence_id.user_id
        if responsible:
            env = self.with_context(lang=responsible.lang).env
            self.activity_schedule(
                "mail.mail_activity_data_todo",
                user_id=responsible.id,
                summary=env._("The customer answered a reminder"),
            )

    def _get_dunning_answered(self, message_id):
        """The reminder that a message answers, else the invoice's last one."""
        reminders = self.dunning_reminder_line_ids.reminder_id.filtered(
            lambda reminder: reminder.state in ("sent", "doubtful")
        )
        answered = reminders.filtered(lambda r: r.mail_message_id.id == message_id)
        return answered or reminders.sorted("id")[-1:]

    def _message_post_after_hook(self, new_message, message_values):
        """A mail from outside holds; who writes to the customer has answered it.

        Here and not in `message_update`, which anybody can call: whoever posts was
        asked for his rights.
        """
        res = super()._message_post_after_hook(new_message, message_values)
        automatic = self.env.context.get("dunning_automatic_mail")
        if new_message.message_type == "email" and not automatic:
            self.sudo()._dunning_register_reply(new_message.sudo())
        elif (
            new_message.message_type == "comment"
            and not new_message.is_internal
            and not new_message.subtype_id.internal
            and self.env.user._is_internal()
        ):
            holds = self.sudo().dunning_hold_ids
            holds.filtered(
                lambda hold: hold.kind == "reply" and not hold.closed_on
            ).action_close()
        return res
