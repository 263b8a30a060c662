"""Deliver: hand reminders over to the mail server, each one once.

Our own queue, because Odoo's gives up for good when the server is down and sends
twice when it is killed at the wrong moment. Any number of workers can deliver. A
worker takes some for a while (`read_ahead`: who may leave is asked, and the mails are
made, for all of them at once), and hands each over under the lock on its row, in a
transaction of its own, which ends by itself when the worker dies. `recheck` asks for
one, `hand_over` sends it.

The order of events decides, and each is safe to be the last one:

1. lock the reminder, see that nobody is changing its invoices, ask again whether it
   may leave (or see that nothing was written since its mail was made);
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
from datetime import timedelta

import psycopg2

from odoo import api, fields, models
from odoo.tools import SQL

from ..tools.plan import LONGEST_BREAK
from .compose import CONCURRENCY_ERRORS
from .hand_over import BACK_OFF
from .recheck import get_version_sql

_logger = logging.getLogger(__name__)

#: Days in which a working day is looked for.
LOOK_AHEAD = timedelta(days=LONGEST_BREAK)

#: No hand-over lasts as long: older rows without an answer stay without one.
DOUBT_AFTER = timedelta(minutes=15)


#: See `_get_server_key`.
SERVER_KEY = SQL(
    "(COALESCE(sequence.mail_server_id, 0) || ' ' || COALESCE(reminder.email_from, ''))"
)


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
        self.down = {}  # why, by key of the mail servers that do not answer
        self.langs = {}  # in which reasons are kept, by id of company
        self.days_off = {}
        self.connections = {}
        self.errors = {}  # of those that could not be made
        self.proven = set()  # ids of connections that a mail went through
        self.sessions = contextlib.ExitStack()

    def get_waiting(self):
        """Those of this batch that still have to leave."""
        return [id_ for id_ in self.taken if id_ not in self.looked_at]

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
            while run.has_time:
                taken = Enrollment._in_own_transaction(self._take, run)
                if taken:
                    self._deliver_taken(run)
                elif taken is None:  # another worker took the same: once more
                    run.has_time = bool(Enrollment._commit_progress())
                else:
                    break
        for key, reason in run.down.items():
            Enrollment._in_own_transaction(self._tell_waiting, run, key, reason)
        looked_at = self.browse(run.looked_at)
        Enrollment._in_own_transaction(self._give_back, run)
        if not Enrollment._in_own_transaction(
            self._reconcile_delivered, looked_at, moment
        ):
            self.env["dunning.mark"]._trigger_drain()
        Enrollment._commit_progress(remaining=0 if run.has_time else max(run.left, 1))
        return looked_at

    @api.model
    def _deliver_taken(self, run):
        """Deliver what this worker has taken, each in a transaction of its own."""
        Enrollment = self.env["dunning.enrollment"]
        Enrollment._in_own_transaction(self._connect_all, run)
        Enrollment._in_own_transaction(self._read_ahead, run)
        Enrollment._commit_progress()
        for reminder_id in run.taken:
            if not run.connections:  # hung up: not while a reminder is locked either
                Enrollment._in_own_transaction(self._connect_all, run)
                Enrollment._commit_progress()
            self._or_soon(
                run,
                Enrollment._in_this_transaction(self._deliver_one, run, reminder_id),
            )
            run.left -= 1
            if not Enrollment._commit_progress(1, remaining=max(run.left, 1)):
                run.has_time = False
                return

    @api.model
    def _or_soon(self, run, result):
        """What collided with somebody else, and has no result, is tried again soon."""
        if result is None:
            self._trigger_later(run.now + timedelta(minutes=BACK_OFF[0]))
        return result

    @api.model
    def _trigger_later(self, moment):
        cron = self.env.ref("dunning_sequences.ir_cron_dunning_send")
        cron.sudo()._trigger(at=moment)

    @api.model
    def _deliver_one(self, run, reminder_id):
        """Deliver one of those taken, if it is still there to be delivered.

        :return: True
        """
        ahead = run.ahead.get(reminder_id)
        reminder, version = self._lease(run, reminder_id)
        if not reminder:
            return True
        run.looked_at.append(reminder.id)
        if ahead and not self._is_still_true(ahead, version):
            ahead = None
        if not reminder._deliver_leased(run, ahead):
            run.down[reminder._get_server_key()] = reminder.failure_reason
            self._trigger_later(run.now + timedelta(minutes=BACK_OFF[0]))
        return True

    @api.model
    def _tell_waiting(self, run, key, reason):
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
                          AND %(key)s = %(server)s
                          FOR NO KEY UPDATE OF reminder SKIP LOCKED)
             RETURNING waiting.id
                """,
                reason=reason,
                companies=run.companies.ids,
                key=SERVER_KEY,
                server=key,
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
               AND %s != ALL(%s)
               AND reminder.id != ALL(%s)
               AND NOT EXISTS (
                   SELECT 1 FROM dunning_attempt attempt
                    WHERE attempt.message_id = reminder.message_id
                      AND attempt.attempt = reminder.attempt + 1)
            """,
            columns,
            run.now,
            run.companies.ids,
            SERVER_KEY,
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

    def _reconcile_delivered(self, reminders, now):
        """What comes next counts from today: say so at once."""
        for company, group in reminders.grouped("company_id").items():
            self.env["dunning.enrollment"]._reconcile(
                group.line_ids.move_id, company._dunning_today(now)
            )
        return True

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
