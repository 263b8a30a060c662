"""Deliver: hand reminders over to the mail server, each one once.

Our own queue, because Odoo's gives up for good when the server is down and sends
twice when it is killed at the wrong moment. Any number of workers can deliver: a
reminder is leased by the lock on its row, for one transaction, so that a lease
ends by itself when its worker dies. Who may leave is asked, and the mails are made,
for some at once: see `read_ahead`.

The order of events decides, and each is safe to be the last one:

1. lock the reminder and its invoices, ask again whether it may leave;
2. talk to the server up to the last line of the message;
3. journal the hand-over, durably (`dunning.attempt`);
4. send the dot; the server takes the message;
5. write "sent", commit.

Killed before 3: nothing left, the reminder is still queued. Killed between 3 and
5: the journal has a row that the reminder does not know of. It is never sent
again by itself; `_recover` lists it as doubtful.
"""

import contextlib
import logging
import smtplib
from datetime import timedelta

import psycopg2

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import SQL
from odoo.tools.mail import email_normalize_all

from odoo.addons.base.models.ir_mail_server import MailDeliveryException

from ..tools.plan import LONGEST_BREAK, next_working_day
from ..tools.smtp_journal import AlreadyJournalled, collect_refusals, journal_data
from .compose import CONCURRENCY_ERRORS, READY_STATES
from .dunning_reminder import STATES_PENDING

_logger = logging.getLogger(__name__)

#: Minutes to wait after a first, second, third… try in vain.
BACK_OFF = (1, 5, 15, 60, 240)

#: Days in which a working day is looked for.
LOOK_AHEAD = timedelta(days=LONGEST_BREAK)

#: No hand-over lasts as long: older rows without an answer stay without one.
DOUBT_AFTER = timedelta(minutes=15)


def get_version_sql(table):
    """Tells whether a row was written since: by which transaction, and to where."""
    names = SQL.identifier(table, "xmin"), SQL.identifier(table, "ctid")
    return SQL("%s::text || %s::text", *names)


class _DeliveryRun:
    """What one run of the delivery remembers from reminder to reminder."""

    def __init__(self, now, companies, left):
        self.now = now
        self.companies = companies
        self.left = left  # how many are queued, more or less
        self.has_time = True
        self.taken = []  # ids, of this batch
        self.all_taken = []
        self.ahead = {}  # mails that were made ahead, by reminder id
        self.looked_at = []  # ids: each is tried once a run
        self.down = {}  # why, by id of mail servers that do not answer; 0: the default
        self.langs = {}  # in which reasons are kept, by id of company
        self.days_off = {}
        self.connections = {}
        self.errors = {}  # of those that could not be made
        self.proven = set()  # ids of connections that a mail went through
        self.sessions = contextlib.ExitStack()

    def get_days_off(self, sequence, today):
        key = (sequence.id, today)
        if key not in self.days_off:
            self.days_off[key] = sequence._get_days_off(today, today + LOOK_AHEAD)
        return self.days_off[key]


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    @api.model
    def _cron_deliver(self):
        self._deliver()

    @api.model
    def _deliver(self, now=None):
        """Hand over what is queued, and keep the enrollments true.

        Called by the crons without ``now``, it only looks at companies inside
        their hours: nobody is reminded at night.

        :param now: UTC datetime
        :return: the reminders looked at
        """
        Enrollment = self.env["dunning.enrollment"]
        Enrollment._check_indexes()
        moment = now or fields.Datetime.now()
        companies = Enrollment._get_companies(now)
        left = self._count_queued(moment, companies)
        run = _DeliveryRun(moment, companies, left)
        with run.sessions:
            while run.has_time and (
                Enrollment._in_own_transaction(self._take, run) is not False
            ):
                self._deliver_taken(run)
        for server_id, reason in run.down.items():
            Enrollment._in_own_transaction(self._tell_waiting, run, server_id, reason)
        looked_at = self.browse(run.looked_at)
        Enrollment._in_own_transaction(self._give_back, run)
        Enrollment._in_own_transaction(self._reconcile_delivered, looked_at, moment)
        Enrollment._commit_progress(remaining=0 if run.has_time else max(run.left, 0))
        return looked_at

    @api.model
    def _deliver_taken(self, run):
        """Deliver what this worker has taken, each in a transaction of its own."""
        Enrollment = self.env["dunning.enrollment"]
        Enrollment._in_own_transaction(self._connect_all, run)
        Enrollment._in_own_transaction(self._read_ahead, run)
        Enrollment._commit_progress()
        for reminder_id in run.taken:
            Enrollment._in_this_transaction(self._deliver_one, run, reminder_id)
            run.left -= 1
            if not Enrollment._commit_progress(1, remaining=max(run.left, 1)):
                run.has_time = False
                return

    @api.model
    def _deliver_one(self, run, reminder_id):
        ahead = run.ahead.get(reminder_id)
        reminder, version = self._lease(run, reminder_id)
        if not reminder:
            return
        run.looked_at.append(reminder.id)
        if ahead and not self._is_still_true(ahead, version):
            ahead = None
        if not reminder._deliver_leased(run, ahead):
            server = reminder.sequence_id.mail_server_id
            run.down[server.id or 0] = reminder.failure_reason
            self._trigger_later(run.now + timedelta(minutes=BACK_OFF[0]))

    @api.model
    def _tell_waiting(self, run, server_id, reason):
        """One was tried, many wait behind it: for the same reason, so say so.

        They keep their turn: the first that may leave tries again in a minute.
        """
        rows = self.env.execute_query(
            SQL(
                """
                UPDATE dunning_reminder waiting
                   SET failure_reason = %(reason)s, tries = GREATEST(waiting.tries, 1)
                 WHERE waiting.id IN (
                       SELECT reminder.id FROM dunning_reminder reminder
                    LEFT JOIN dunning_sequence sequence
                           ON sequence.id = reminder.sequence_id
                        WHERE reminder.state = 'queued'
                          AND reminder.failure_reason IS NULL
                          AND reminder.company_id = ANY(%(companies)s)
                          AND COALESCE(sequence.mail_server_id, 0) = %(server)s
                          FOR NO KEY UPDATE OF reminder SKIP LOCKED)
             RETURNING waiting.id
                """,
                reason=reason,
                companies=run.companies.ids,
                server=server_id,
            )
        )
        self.env.invalidate_all(flush=False)
        self.sudo().browse([row[0] for row in rows])._mark_moves()

    @api.model
    def _count_queued(self, now, companies):
        return self.sudo().search_count(
            [
                ("state", "=", "queued"),
                ("company_id", "in", companies.ids),
                "|",
                ("next_try", "=", False),
                ("next_try", "<=", now),
            ]
        )

    @api.model
    def _lease(self, run, reminder_id):
        """Return the reminder, alone among all workers, and the version of its row.

        The lock is the first statement of the transaction: what is read after it
        is what is true.
        """
        self.env.flush_all()
        columns = SQL("%s, reminder.company_id", get_version_sql("reminder"))
        rows = self.env.execute_query(
            SQL(
                "%s AND reminder.id = %s FOR NO KEY UPDATE OF reminder SKIP LOCKED",
                self._get_leasable_sql(run, columns),
                reminder_id,
            )
        )
        self.env.invalidate_all(flush=False)
        if not rows:
            return self.browse(), None
        ((version, company_id),) = rows
        if company_id not in run.langs:
            company = self.env["res.company"].sudo().browse(company_id)
            run.langs[company_id] = company._get_dunning_lang()
        reminder = self.sudo().browse(reminder_id).with_company(company_id)
        return reminder.with_context(lang=run.langs[company_id]), version

    @api.model
    def _get_leasable_sql(self, run, columns):
        """What waits for this run. Hand-overs without an answer are for `_recover`."""
        return SQL(
            """
            SELECT %s FROM dunning_reminder reminder
         LEFT JOIN dunning_sequence sequence ON sequence.id = reminder.sequence_id
             WHERE reminder.state = 'queued'
               AND (reminder.next_try IS NULL OR reminder.next_try <= %s)
               AND reminder.company_id = ANY(%s)
               AND COALESCE(sequence.mail_server_id, 0) != ALL(%s)
               AND reminder.id != ALL(%s)
               AND NOT EXISTS (
                   SELECT 1 FROM dunning_attempt attempt
                    WHERE attempt.message_id = reminder.message_id
                      AND attempt.attempt = reminder.attempt + 1)
            """,
            columns,
            run.now,
            run.companies.ids,
            list(run.down),
            run.looked_at,
        )

    def _deliver_leased(self, run, ahead=None):
        """Deliver one reminder; return False when its server is down.

        :param ahead: its mail, if it was made before and is still true
        """
        now = run.now
        try:
            session = self._get_session(run)
        except psycopg2.Error:
            raise
        except Exception as error:  # a name, a password, a certificate, an outage…
            self._postpone(now, self._get_failure_reason(error))
            return False
        try:
            message = self._get_message(run, ahead)
        except CONCURRENCY_ERRORS:
            raise  # paid or edited at this very moment: the next run decides
        except Exception as error:  # whatever it is, it must not stop the others
            _logger.info("Reminder %s fails", self.id, exc_info=True)
            self._fail(self._get_failure_reason(error))
            return True
        if not message:
            return True
        goes_on = self._hand_over(message, session, now)
        if self.state == "sent":
            run.proven.add(id(session))
            return True
        # Who knows what state the connections are in; and servers count them.
        for connection in filter(None, run.connections.values()):
            self._quit(connection)
        run.connections.clear()
        # Many a server hangs up after some mails: that does not mean it is down.
        return goes_on or (self.state == "queued" and id(session) in run.proven)

    # ------------------------------------------------------------------------
    # RE-CHECK
    # ------------------------------------------------------------------------

    def _get_message(self, run, ahead=None):
        """The mail, if it may leave as of now, made before or made now."""
        if ahead:
            settled = self._are_moves_settled(ahead.moves)
            return ahead.message if settled else self._wait_for_moves(run.now)
        with self.env.cr.savepoint():
            return self._recheck(run) and self._build_message()

    def _recheck(self, run):
        """Ask again, under lock, whether the reminder may leave as it is.

        What was paid or is held since leaves it; when nothing is left it is
        cancelled; when an amount or the day changed it is written anew.
        """
        self.ensure_one()
        self.env.flush_all()
        if self._wait_for_working_day(run):
            return False
        moves = self._get_current_lines().move_id
        if not self._are_moves_settled(dict.fromkeys(moves.ids)):
            return self._wait_for_moves(run.now)
        return self._recheck_content(self._get_day(run.now))

    def _get_day(self, now):
        """The company's day; of two hosts' clocks one may be behind the other, and
        nothing leaves before the day for which it was written.
        """
        return max(self.company_id._dunning_today(now), self.date)

    def _wait_for_moves(self, now):
        self._postpone(now, self.env._("An invoice is being changed."))
        return False

    def _wait_for_working_day(self, run):
        """Written on a working day and not taken on it: not at the week-end either.

        Who sends by hand knows which day it is.

        :return: does it wait?
        """
        if self.origin == "manual":
            return False
        today = self.company_id._dunning_today(run.now)
        off = run.get_days_off(self.sequence_id, today)
        if today not in off:
            return False
        days = (next_working_day(today, off) - today).days
        self.next_try = run.now + timedelta(days=days)
        self.failure_reason = self.env._("Waits for a working day.")
        self._trigger_later(self.next_try)
        return True

    def _read_facts(self, today):
        """Return what decides about these reminders now, read for all at once.

        :return: ({line id: why not}, {line id: amount due}, {channel: recipients})
        """
        lines = self.line_ids.filtered(lambda line: not line.dropped)
        recipients = {
            channel: lines.move_id._get_dunning_recipients_by(channel)
            for channel in set(self.mapped("channel"))
        }
        return (*self._get_objections(lines, today), recipients)

    def _recheck_content(self, today, facts=None):
        """Take out what must not be said, and say the rest as it is today.

        :param facts: see `_read_facts`
        """
        lines = self._get_current_lines()
        objections, amounts, recipients = facts or self._read_facts(today)
        refused = lines.filtered(lambda line: line.id in objections)
        if refused == lines:
            Enrollment = self.env["dunning.enrollment"]
            reasons = [objections[line.id] for line in lines]
            self._cancel(Enrollment._get_reason_labels(reasons))
            return False
        refused += self._refresh_recipients(lines - refused, recipients[self.channel])
        if refused:
            refused.dropped = True
        for line in lines - refused:
            if line.amount != amounts[line.id]:
                line.amount = amounts[line.id]
        self.filtered(lambda reminder: reminder.date != today).date = today
        if self.fingerprint != self._get_fingerprint() or refused:
            self._compose_anew()
        return self.state in ("queued", *STATES_PENDING)

    def _are_moves_settled(self, versions):
        """Does nobody change these invoices now, and has nobody since we look?

        Asked by a lock that is given back at once: a payment must not wait for a
        mail server. What is left is the time of one SMTP transaction.

        :param versions: {invoice id: version that was read, None for any}
        """
        with self.env.cr.savepoint(flush=False) as savepoint:
            rows = self.env.execute_query(
                SQL(
                    "SELECT id, %s FROM account_move WHERE id = ANY(%s) "
                    "FOR SHARE SKIP LOCKED",
                    get_version_sql("account_move"),
                    list(versions),
                )
            )
            savepoint.rollback()
        # Nobody may touch what is written once the mail has left.
        self.env.cr.execute(
            "SELECT id FROM mail_notification WHERE mail_message_id = %s FOR UPDATE",
            [self.mail_message_id.id or None],
        )
        found = dict(rows)
        return found.keys() == versions.keys() and all(
            version in (None, found[move_id]) for move_id, version in versions.items()
        )

    def _get_objections(self, lines, today, only_over=False):
        """Return ({line id: why not}, {line id: amount due}) as of now.

        :param only_over: ask only whether the instalments are over
        """
        Enrollment = self.env["dunning.enrollment"].sudo()
        rows = Enrollment._read_instalments(lines.move_id.ids, today, {})
        by_key = {(row["move_id"], row["due_date"]): row for row in rows}
        objections, amounts = {}, {}
        for line in lines:
            row = by_key.get((line.move_id.id, line.due_date))
            objection = line.reminder_id._get_over_objection(row)
            if not objection and not only_over:
                objection = line.reminder_id._get_objection(row)
                objection = objection or line._get_early_objection(today)
            if objection:
                objections[line.id] = objection
            else:
                amounts[line.id] = float(row["residual_currency"])
        return objections, amounts

    def _get_over_objection(self, row):
        return self.env["dunning.enrollment"]._get_over_reason(row) if row else "paid"

    def _get_objection(self, row):
        """Why an open instalment must not be reminded after all, None if it may.

        Who sends by hand knows what he does: only a hold stops him.
        """
        Enrollment = self.env["dunning.enrollment"]
        if row["wanted_id"] != self.sequence_id.id:
            return "no_sequence"
        if row["hold_kind"]:
            return row["hold_kind"]
        reason = Enrollment._get_hold_reason(row, self.sequence_id)
        ignored = {"leaving", "delayed"}
        if self.origin == "manual":
            ignored.add("not_sent")
        return None if reason in ignored else reason

    def _refresh_recipients(self, lines, found):
        """Follow recipients that changed since; return the lines that do not.

        One mail goes to one set of recipients: an invoice that was given others
        leaves the mail, and enters one of its own on the next run.
        """
        vals = {
            line: self._prepare_recipient_vals(found[line.move_id.id]) for line in lines
        }
        same = lines.filtered(lambda line: self._is_addressed(vals[line]))
        if not same and any(
            self.channel != "email" or found[move.id]["to"] for move in lines.move_id
        ):
            first = lines.sorted(
                lambda line: (
                    not vals[line]["email_to"],
                    *self._get_carrier_key(line.step_id, line.due_date),
                )
            )[:1]
            recipients = found[first.move_id.id]
            lang = first.move_id._get_dunning_lang(recipients)
            self.write({**vals[first], "lang": lang})
            same = lines.filtered(lambda line: self._is_addressed(vals[line]))
        return lines - (same or lines)

    def _is_addressed(self, vals):
        """Does it go to these recipients, and to nobody else?"""
        if self.channel != "email":
            return vals["recipient_ids"] == [(6, 0, self.recipient_ids.ids)]
        return all(
            (self[name] or False) == (vals[name] or False)
            for name in ("email_to", "email_cc", "email_bcc")
        )

    def _compose_anew(self):
        """Never an old text: the same reminder, with what is true today."""
        carrier = self._get_current_lines().sorted(
            lambda line: self._get_carrier_key(line.step_id, line.due_date)
        )[:1]
        self.write(self._prepare_carrier_vals(carrier))
        self.invalidate_recordset()
        self._write_content()
        if self.state not in ("queued", *STATES_PENDING):
            self._drop_message()
        if not self.mail_message_id:
            return
        vals = self._prepare_message_vals()
        names = ("res_id", "record_name", "subject", "body", "partner_ids")
        self.mail_message_id.sudo().write(
            {name: vals[name] for name in (*names, "attachment_ids")}
        )

    def _prepare_carrier_vals(self, line):
        """The instalment that gives the text, and whose invoice carries it."""
        return {
            "move_id": line.move_id.id,
            "step_id": line.step_id.id,
            "step_name": line.step_name,
        }

    # ------------------------------------------------------------------------
    # HAND OVER
    # ------------------------------------------------------------------------

    @api.model
    def _connect_all(self, run):
        """Before anything is looked at: a slow server makes nothing old."""
        for reminder in self.sudo().browse(run.taken):
            with contextlib.suppress(Exception):  # it is raised again where it is told
                reminder._get_session(run)

    def _get_session(self, run):
        """Return a connection to the reminder's mail server, kept for the run.

        None in tests without a mail server.
        """
        server = self.sequence_id.mail_server_id
        key = (server.id, self.email_from)
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
        return self.env["ir.mail_server"]._build_email__(
            email_from=self.email_from,
            email_to=email["email_to"],
            email_cc=email["email_cc"],
            # Odoo's mails know no blind copy, its messages do: they are in the
            # envelope, and the header is taken off before anything leaves.
            email_bcc=self._split(self.email_bcc),
            subject=email["subject"],
            body=email["body"],
            body_alternative=email["body_alternative"],
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
                    "X-Auto-Response-Suppress": "OOF",
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
        self.write({"attempt": attempt, "refused": self._format_refusals(refusals)})
        if self._get_to_addresses() <= set(refusals):
            # Only copies were taken: the customer knows nothing of it.
            self._fail(self.refused)
            return
        self.write(
            {
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

    @api.model
    def _trigger_later(self, moment):
        cron = self.env.ref("dunning_sequences.ir_cron_dunning_send")
        cron.sudo()._trigger(at=moment)

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

    def _cancel(self, reason):
        """It has not left and will not: paid or held since."""
        self.write({"state": "cancelled", "failure_reason": reason})
        self._drop_message()
        self._drop_activities()
        self._mark_moves()

    def _drop_message(self):
        """A mail that never left has nothing to do on the invoice's thread."""
        self.mail_message_id.sudo().unlink()

    def _set_notifications(self, status, reason=False):
        """Colour the envelope on the invoice."""
        notifications = self.mail_message_id.sudo().notification_ids
        notifications.write(
            {
                "notification_status": status,
                "failure_type": "unknown" if reason else False,
                "failure_reason": reason,
            }
        )

    def _mark_moves(self, wake=True):
        self.env["dunning.mark"]._mark("move", self.line_ids.move_id.ids, wake=wake)

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

    def _reconcile_delivered(self, reminders, now):
        """What comes next counts from today: say so at once."""
        for company, group in reminders.grouped("company_id").items():
            self.env["dunning.enrollment"]._reconcile(
                group.line_ids.move_id, company._dunning_today(now)
            )

    # ------------------------------------------------------------------------
    # RECOVER
    # ------------------------------------------------------------------------

    @api.model
    def _cron_recover(self):
        self._recover()

    @api.model
    def _recover(self, now=None):
        """Find the hand-overs whose worker died after the point of no return."""
        now = now or fields.Datetime.now()
        rows = self.env.execute_query(
            SQL(
                """
                SELECT reminder.id FROM dunning_reminder reminder
                  JOIN dunning_attempt attempt
                    ON attempt.message_id = reminder.message_id
                   AND attempt.attempt = reminder.attempt + 1
                 WHERE reminder.state = 'queued' AND attempt.started_at <= %s
                   FOR NO KEY UPDATE OF reminder SKIP LOCKED
                """,
                now - DOUBT_AFTER,
            )
        )
        reminders = self.sudo().browse([reminder_id for (reminder_id,) in rows])
        for reminder in reminders:
            reminder = reminder._with_company_lang(reminder.company_id)
            reminder._doubt(reminder.attempt + 1)
        return reminders
