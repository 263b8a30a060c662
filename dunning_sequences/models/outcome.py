"""Outcome: read back what became of a reminder after a mail server took it.

A bounce undoes it; a reply of the customer holds his invoices until somebody has
answered, or a week has passed.
"""

import logging

from odoo import api, fields, models
from odoo.tools import email_normalize
from odoo.tools.mail import email_normalize_all

_logger = logging.getLogger(__name__)

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
    def _message_parse_extract_from_parent(self, parent_message):
        """Reminders show in no portal; what the customer answers is no inner note."""
        vals = super()._message_parse_extract_from_parent(parent_message)
        reminder = self.env.ref("dunning_sequences.mt_dunning_reminder")
        if parent_message and parent_message.subtype_id == reminder:
            vals["is_internal"] = False
        return vals

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
        """A report names the Message-Id that it is about: ours are reminders'.

        Odoo takes all that comes to the return path for a bounce, and one known
        recipient for him whom it is about. For reminders we read the report.
        """
        Reminder = self.env["dunning.reminder"].sudo()
        message_ids = message_dict.get("bounced_msg_ids") or []
        reminders = Reminder._get_handed_over(message_ids)
        report = Reminder._read_report(email_message)
        failures = {
            address: answer
            for address, (action, answer) in report.items()
            if action == "failed"
        }
        if reminders and report and not failures:
            _logger.info("Not a bounce of %s: %s", message_ids, report)
            return None
        if reminders and failures:
            message_dict.update(Reminder._prepare_bounce_vals(failures))
        res = super()._routing_handle_bounce(email_message, message_dict)
        if not failures and message_dict.get("bounced_email"):
            failures = {message_dict["bounced_email"]: ""}
        reminders._register_bounce(failures)
        return res


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    @api.model
    def _get_handed_over(self, message_ids):
        """The reminders of these Message-Ids that a mail server has, or may have.

        A report can be faster than the worker that hands over, or find that it died:
        the journal knows.
        """
        reminders = self.search(
            [
                ("message_id", "in", list(message_ids)),
                ("state", "in", ("queued", "sent", "doubtful")),
            ]
        )
        attempts = self.env["dunning.attempt"].sudo()
        attempts = attempts.search(
            [("message_id", "in", reminders.mapped("message_id"))]
        )
        journal = {(attempt.message_id, attempt.attempt) for attempt in attempts}
        return reminders.filtered(
            lambda reminder: (
                reminder.state != "queued"
                or (reminder.message_id, reminder.attempt + 1) in journal
            )
        )

    @api.model
    def _read_report(self, email_message):
        """What a delivery report says (RFC 3464), or a read receipt (RFC 8098).

        :return: {address: (action, answer of the server)}; the action is "failed",
            "delayed", "delivered", "relayed", "expanded" or "displayed"
        """
        report = {}
        for part in email_message.walk():
            # The address that we wrote to, where another one stands behind it.
            recipient = part.get("Original-Recipient") or part.get("Final-Recipient")
            address = email_normalize(str(recipient or "").rpartition(";")[2])
            if not address:
                continue
            action = "displayed" if part.get("Disposition") else "failed"
            action = str(part.get("Action") or action).strip().lower()
            _kind, _sign, answer = str(part.get("Diagnostic-Code") or "").partition(";")
            report[address] = (action, " ".join(answer.split()))
        return report

    @api.model
    def _prepare_bounce_vals(self, failures):
        """Whom Odoo counts the bounce for: nobody, if it knows no such address."""
        partners = self.env["res.partner"].search(
            [("email_normalized", "in", list(failures))]
        )
        emails = partners.mapped("email_normalized") or list(failures)
        return {"bounced_partner": partners, "bounced_email": emails[0]}

    def _register_bounce(self, failures):
        """What came back reached nobody, so it does not count; a person is asked.

        A copy that comes back is only noted: the customer himself got it.

        :param failures: {address: answer}; empty when the report names nobody
        """
        bounced = self.filtered(
            lambda reminder: (
                not failures or set(failures) - reminder._get_copy_addresses()
            )
        )
        for reminder in self - bounced:
            lines = (f"{address}: {text}" for address, text in failures.items())
            reminder.refused = "\n".join(filter(None, (reminder.refused, *lines)))
        for company, reminders in bounced.grouped("company_id").items():
            env = self._with_company_lang(company).env
            names = ", ".join(sorted(failures))
            reason = env._("The reminder to %(address)s came back.", address=names)
            lines = (reason, *filter(None, failures.values()))
            reason = "\n".join(lines)
            reminders.write({"state": "bounced", "failure_reason": reason})
        bounced._mark_moves()

    def _get_copy_addresses(self):
        """The bare addresses of Cc and Bcc."""
        copies = ", ".join(filter(None, (self.email_cc, self.email_bcc)))
        return set(email_normalize_all(copies)) - self._get_to_addresses()


class AccountMove(models.Model):
    _inherit = "account.move"

    def _dunning_register_reply(self, message):
        """Hold what the customer answers to, and tell the responsible: once, however
        often a machine writes that does not say that it is one.
        """
        reminder = self._get_dunning_answered(
            self.env.context.get("dunning_answered_message_id")
        )
        if not reminder:
            return
        vals = self._prepare_dunning_reply_vals(reminder, message)
        holds = self.dunning_hold_ids.filtered(
            lambda hold: (
                hold.kind == "reply"
                and not hold.closed_on
                and hold.until == vals["until"]
                and set(hold.move_ids.ids) >= set(vals["move_ids"][0][2])
            )
        )
        if not holds:
            self.env["dunning.hold"].create(vals)
        responsible = reminder.sequence_id.user_id
        if responsible:
            self._dunning_tell_of_reply(responsible)

    def _prepare_dunning_reply_vals(self, reminder, message):
        """Hook: override to hold longer."""
        company = reminder.company_id
        today = company._dunning_today()
        return {
            "kind": "reply",
            "move_ids": [(6, 0, reminder._get_current_lines().move_id.ids)],
            "company_id": company.id,
            "since": today,
            "until": fields.Date.add(today, days=REPLY_DAYS),
            "reason": message.subject,
            "user_id": False,
        }

    def _dunning_tell_of_reply(self, responsible):
        """One activity is enough, until it is done."""
        env = self.with_context(lang=responsible.lang).env
        todo = "mail.mail_activity_data_todo"
        summary = env._("The customer answered a reminder")
        same = [("summary", "=", summary)]
        if not self.activity_search([todo], responsible.id, same):
            self.activity_schedule(todo, user_id=responsible.id, summary=summary)

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
        message = new_message.sudo()
        kind = message.message_type
        if kind == "email" and self.env.context.get("dunning_automatic_mail"):
            return res
        if kind == "email" and not self._is_dunning_team(message):
            self.sudo()._dunning_register_reply(message)
        elif (
            kind in ("comment", "email")
            and not message.is_internal
            and not message.subtype_id.internal
            and self._is_dunning_team(message)
        ):
            holds = self.sudo().dunning_hold_ids
            holds.filtered(
                lambda hold: hold.kind == "reply" and not hold.closed_on
            ).action_close()
        return res

    def _is_dunning_team(self, message):
        """Did one of us write it: here, or in his mail program?"""
        if message.message_type == "comment":
            return self.env.user._is_internal()
        email = email_normalize(message.email_from)
        return (
            any(not user.share for user in message.author_id.user_ids)
            or bool(email)
            and email == email_normalize(self.company_id.email)
        )

    def _notify_get_recipients(self, message, msg_vals=False, **kwargs):
        """What answers a reminder is passed on to us, not to the customer who follows
        his invoice: a machine of his would answer that, too, and so on for ever.
        """
        recipients = super()._notify_get_recipients(message, msg_vals, **kwargs)
        if not self._is_dunning_answer(message.sudo()):
            return recipients
        return [recipient for recipient in recipients if not recipient["share"]]

    def _is_dunning_answer(self, message):
        """Is it a mail from outside that answers a reminder?"""
        answered = self.env.context.get("dunning_answered_message_id")
        if message.message_type != "email" or not answered:
            return False
        parent = self.env["mail.message"].sudo().browse(answered)
        reminder = self.env.ref("dunning_sequences.mt_dunning_reminder")
        return parent.subtype_id == reminder and not self._is_dunning_team(message)
