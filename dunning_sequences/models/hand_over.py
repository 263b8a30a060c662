"""Hand over: the one SMTP transaction of a reminder, and what the server answers."""

import contextlib
import logging
import smtplib
from datetime import timedelta

import psycopg2

from odoo import api, models
from odoo.exceptions import UserError
from odoo.tools.mail import email_normalize_all

from odoo.addons.base.models.ir_mail_server import MailDeliveryException

from ..tools.plain_text import to_plain_text
from ..tools.smtp_journal import AlreadyJournalled, collect_refusals, journal_data

_logger = logging.getLogger(__name__)

#: Minutes to wait after a first, second, third… try in vain.
BACK_OFF = (1, 5, 15, 60, 240)


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    @api.model
    def _connect_all(self, run):
        """Before anything is looked at: a slow server makes nothing old."""
        for reminder in self.sudo().browse(run.get_waiting()):
            try:
                reminder._get_session(run)
            except psycopg2.Error:
                raise
            except Exception:
                _logger.debug("No connection", exc_info=True)  # told at its own turn

    def _get_session(self, run):
        """Return a connection to the reminder's mail server, kept for the run.

        None in tests without a mail server.
        """
        server = self.sequence_id.mail_server_id
        key = self._get_server_key()
        if key in run.errors:
            raise run.errors[key]
        if key not in run.connections:
            try:
                session = self.env["ir.mail_server"]._connect__(
                    mail_server_id=server.id or None, smtp_from=self.email_from
                )
            except psycopg2.Error:
                raise
            except Exception as error:
                run.errors[key] = error
                raise
            run.connections[key] = session
            if session:
                run.sessions.callback(self._quit, session)
        return run.connections[key]

    def _get_server_key(self):
        """Which mail server: the sequence's, else the one that Odoo finds for the
        sender. See `_get_leasable_sql`.
        """
        return f"{self.sequence_id.mail_server_id.id or 0} {self.email_from or ''}"

    @staticmethod
    def _quit(session):
        with contextlib.suppress(OSError):
            session.quit()

    def _hand_over(self, message, session, now):
        """Do the one SMTP transaction of this reminder.

        :return: False when the server should not be asked again in this run
        """
        attempt, refusals, journalled = self.attempt + 1, {}, []

        def write_ahead():
            fresh = self.env["dunning.attempt"]._write_ahead(self.message_id, attempt)
            journalled.append(fresh)
            return fresh

        collect_refusals(session, refusals)
        at_the_dot = journal_data(session, write_ahead)
        try:
            if not at_the_dot and not write_ahead():
                raise AlreadyJournalled
            self.env["ir.mail_server"].send_email(
                message,
                mail_server_id=self.sequence_id.mail_server_id.id or None,
                smtp_session=session,
            )
        except AlreadyJournalled:
            return True  # somebody else's hand-over: `_recover` looks after it
        except AssertionError as error:  # Odoo's: no valid address, no sender
            self._fail(self._get_failure_reason(error))
            return True
        except psycopg2.Error:
            raise  # nothing can be written down: the journal knows the rest
        except Exception as error:  # senders of other modules raise what they like
            cause = error
            if isinstance(error, MailDeliveryException):  # Odoo's wrapping
                cause = error.__context__ or error
            return self._register_answer(now, attempt, cause, any(journalled))
        self._register_sent(now, attempt, refusals)
        return True

    def _build_message(self):
        """Build the MIME message with Odoo's own means: one, for all recipients."""
        # Never stored: it only serves to build the message, and Odoo's own queue
        # must not see it.
        mail = self.env["mail.mail"].sudo().new(self._prepare_mail_vals())
        server = self.sequence_id.mail_server_id
        (email,) = mail._prepare_outgoing_list(mail_server=server)
        MailServer = self.env["ir.mail_server"]
        if not email["headers"].get("Return-Path"):
            # Odoo looks for it when it sends, which is anew for each mail.
            bounces_to = MailServer._get_default_bounce_address() or self.email_from
            email["headers"]["Return-Path"] = bounces_to
        return MailServer._build_email__(
            email_from=self.email_from,
            email_to=email["email_to"],
            email_cc=email["email_cc"],
            # Odoo's mails know no blind copy, its messages do: they are in the
            # envelope, and the header is taken off before anything leaves.
            email_bcc=self._split(self.email_bcc),
            subject=email["subject"],
            body=email["body"],
            body_alternative=to_plain_text(email["body"]),
            reply_to=email["reply_to"],
            attachments=email["attachments"],
            message_id=self.message_id,
            references=email["references"],
            object_id=email["object_id"],
            subtype="html",
            subtype_alternative="plain",
            headers=email["headers"],
        )

    @api.model
    def _split(self, emails):
        return self.env["account.move"]._split_dunning_emails(emails)

    def _prepare_mail_vals(self):
        self.ensure_one()
        return {
            "mail_message_id": self.mail_message_id.id,
            "body_html": self._get_mail_body(),
            "email_to": self.email_to,
            "email_cc": self.email_cc,
            "references": self.message_id,
            "is_notification": True,
            "auto_delete": True,
            "headers": repr(
                {
                    "Auto-Submitted": "auto-generated",
                    # Not "All": that keeps reports about the delivery back, too.
                    "X-Auto-Response-Suppress": "OOF, AutoReply",
                    "X-Odoo-Objects": f"account.move-{self.move_id.id}",
                }
            ),
        }

    def _get_mail_body(self):
        """The text inside the company's layout."""
        return self.env["ir.qweb"]._render(
            "dunning_sequences.reminder_mail_layout",
            {"body": self.body, "company": self.company_id, "reminder": self},
            lang=self.lang,
            minimal_qcontext=True,
        )

    # ------------------------------------------------------------------------
    # ANSWER
    # ------------------------------------------------------------------------

    def _register_sent(self, now, attempt, refusals):
        """The server took it, at least for some of the addresses."""
        answer = {"attempt": attempt, "refused": self._format_refusals(refusals)}
        if self._get_to_addresses() <= set(refusals):
            # Only copies were taken: the customer knows nothing of it.
            self.write(answer)
            self._fail(self.refused)
            return
        self.write(
            {
                **answer,
                "state": "sent",
                "sent_on": self._get_day(now),
                "next_try": False,
                "failure_reason": False,
            }
        )
        self._set_notifications("sent")
        self._mark_moves(wake=False)  # the run looks at them when it ends

    def _get_to_addresses(self):
        """The bare addresses of To."""
        return set(email_normalize_all(self.email_to or ""))

    def _register_answer(self, now, attempt, error, journalled):
        """Sort a failed hand-over: again later, never again, or unknown.

        :return: False when the server should not be asked again in this run
        """
        reason = self._get_failure_reason(error)
        if isinstance(error, AlreadyJournalled):
            return True  # `_recover` looks after it
        if journalled and not self._is_answer(error):
            self._doubt(attempt)
            return False
        if self._is_connection_lost(error):
            self._postpone(now, reason)
            return False
        self.attempt = attempt if journalled else self.attempt
        codes, reason = self._get_answer(error)
        if codes and min(codes) < 500:
            self._postpone(now, reason)
        else:
            self._fail(reason)
        return True

    @api.model
    def _is_answer(self, error):
        """Did somebody say no? Anything else after the journal is a doubt."""
        return not self._is_connection_lost(error) and isinstance(
            error, (smtplib.SMTPException, MailDeliveryException, UserError)
        )

    @api.model
    def _is_connection_lost(self, error):
        """To the mail server, or to the database that keeps the journal."""
        if isinstance(error, smtplib.SMTPException):  # each of them is an OSError, too
            return isinstance(error, smtplib.SMTPServerDisconnected)
        return isinstance(error, (OSError, psycopg2.Error))

    @api.model
    def _get_answer(self, error):
        """Return (codes, text) of what the server answered; no code: not a server."""
        if isinstance(error, smtplib.SMTPRecipientsRefused):
            codes = {code for code, _answer in error.recipients.values()}
            return codes, self._format_refusals(error.recipients)
        if isinstance(error, smtplib.SMTPResponseException):
            return {error.smtp_code}, self._format_answer(error)
        return set(), self._get_failure_reason(error)

    @api.model
    def _format_answer(self, error):
        answer = error.smtp_error
        text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
        return f"{error.smtp_code} {text}".strip()

    @api.model
    def _format_refusals(self, refusals):
        lines = (
            f"{address}: {code} {answer.decode(errors='replace')}"
            for address, (code, answer) in refusals.items()
        )
        return "\n".join(lines) or False

    def _postpone(self, now, reason):
        """Try again later: each time a little later, and never give up."""
        for reminder in self:
            minutes = BACK_OFF[min(reminder.tries, len(BACK_OFF) - 1)]
            reminder.write(
                {
                    "tries": reminder.tries + 1,
                    "next_try": now + timedelta(minutes=minutes),
                    "failure_reason": reason,
                }
            )
            self._trigger_later(reminder.next_try)
        self._mark_moves()  # their status says that it did not leave

    def _fail(self, reason):
        """It reached nobody: it does not count, and a person is asked."""
        self.write({"state": "failed", "failure_reason": reason, "next_try": False})
        self._set_notifications("exception", reason)
        self._mark_moves()

    def _doubt(self, attempt):
        """The answer was lost: it may have arrived. It counts, and is listed."""
        self.write(
            {
                "state": "doubtful",
                "attempt": attempt,
                "sent_on": self.date,
                "failure_reason": self.env._(
                    "The mail server's answer was lost: ask the customer whether it "
                    "arrived."
                ),
            }
        )
        self._mark_moves()

    def _set_notifications(self, status, reason=False):
        """Colour the envelope on the invoice."""
        # Not by the message's own field: that would read the whole message.
        notifications = self.env["mail.notification"].sudo()
        notifications.search(
            [("mail_message_id", "in", self.mail_message_id.ids)]
        ).write(
            {
                "notification_status": status,
                "failure_type": "unknown" if reason else False,
                "failure_reason": reason,
            }
        )

    def _mark_moves(self, wake=True):
        self.env["dunning.mark"]._mark("move", self.line_ids.move_id.ids, wake=wake)
