"""Read ahead: make several mails at once, send each only if nothing has changed.

To look at one reminder costs as much as to look at twenty-five. So a worker takes
some, asks for all at once whether they may leave, and makes their mails. When a
mail's turn comes, one query says whether anything that it rests on was written
since. If so, or if it is not sure, the mail is thrown away and the reminder is
looked at alone, as if nobody had read ahead.
"""

import contextlib
import logging
import time
from collections import namedtuple

from odoo import api, fields, models
from odoo.tools import SQL

from .compose import CONCURRENCY_ERRORS
from .dunning_mark import DRAINED
from .recheck import get_version_sql

_logger = logging.getLogger(__name__)

#: Reminders that a worker takes at once.
BATCH = 25

#: Seconds after which a mail that was made ahead is old: settings may have changed.
FRESH = 5

#: Seconds for which the others leave them alone. Only a hint: what makes a reminder
#: leave once is the lock on its row, and the journal.
LEASE = 30

#: The database's clock: of several hosts each has its own.
CLOCK = SQL("(clock_timestamp() AT TIME ZONE 'UTC')")

#: A mail made ahead, when that was, and the versions of what it rests on.
ReadAhead = namedtuple(
    "ReadAhead", "message since reminder moves enrollments marks marked"
)


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    leased_until = fields.Datetime(
        readonly=True,
        copy=False,
        help="A worker is about to send it, and the others take other ones.",
    )

    @api.model
    def _take(self, run):
        """Take the next queued reminders; return False when there are none.

        Those whose worker died come last, and one by one: the mail that it died of
        must not be in the way of the others.
        """
        run.taken, run.ahead = [], {}
        fresh = SQL("reminder.leased_until IS NULL")
        abandoned = SQL("reminder.leased_until < %s", CLOCK)
        run.taken = self._take_some(run, fresh, BATCH) or self._take_some(
            run, abandoned, 1
        )
        run.all_taken += run.taken
        return bool(run.taken)

    @api.model
    def _take_some(self, run, which, limit):
        """Return the ids of those that this worker has from now on, for a while."""
        self.env.flush_all()
        self.env.cr.execute(
            SQL(
                """
                WITH free AS (
                    %(leasable)s AND %(which)s
                  ORDER BY reminder.leased_until, reminder.id
                     LIMIT %(limit)s FOR NO KEY UPDATE OF reminder SKIP LOCKED)
                UPDATE dunning_reminder
                   SET leased_until = %(clock)s + %(lease)s * INTERVAL '1 second'
                  FROM free WHERE free.id = dunning_reminder.id
             RETURNING free.id
                """,
                leasable=self._get_leasable_sql(run, SQL("reminder.id")),
                which=which,
                clock=CLOCK,
                limit=limit,
                lease=LEASE,
            ),
            log_exceptions=False,  # another worker may take the same: no error
        )
        rows = self.env.cr.fetchall()
        self.env.invalidate_all(flush=False)
        return sorted(reminder_id for (reminder_id,) in rows)

    @api.model
    def _give_back(self, run):
        """What this run has taken and not sent is anybody's again."""
        if run.all_taken:
            self.env.cr.execute(
                """
                UPDATE dunning_reminder SET leased_until = NULL
                 WHERE id IN (SELECT id FROM dunning_reminder
                               WHERE id = ANY(%s) AND leased_until IS NOT NULL
                                 AND state = 'queued'
                                 FOR NO KEY UPDATE SKIP LOCKED)
                """,
                [run.all_taken],
            )

    @api.model
    def _read_ahead(self, run):
        """Make the mails of those taken that can leave as they are."""
        reminders = self.sudo().browse(run.taken)
        for company, group in reminders.grouped("company_id").items():
            with self._alone(), self.env.cr.savepoint():
                group._with_company_lang(company)._make_ahead(run)

    @contextlib.contextmanager
    def _alone(self):
        """What cannot be made ahead is looked at alone: it may fail, alone."""
        try:
            yield
        except CONCURRENCY_ERRORS:
            raise
        except Exception:
            _logger.info("Reminders are sent one by one", exc_info=True)

    def _make_ahead(self, run):
        """Keep mail and versions of those that need no change."""
        today = self.company_id._dunning_today(run.now)
        versions = self._read_versions()
        facts = self._read_facts(today)
        for name in ("record_alias_domain_id", "attachment_ids"):
            self.mail_message_id.sudo().mapped(name)  # reads all there is, at once
        for reminder in self:
            if reminder._can_be_read_ahead(run, today) and reminder._is_as_written(
                today, facts
            ):
                with self._alone(), self.env.cr.savepoint(flush=False):
                    run.ahead[reminder.id] = reminder._prepare_ahead(versions)

    def _prepare_ahead(self, versions):
        moves = self._get_current_lines().move_id
        return ReadAhead(
            message=self._build_message(),
            since=versions["since"],
            reminder=versions["reminder"][self.id],
            moves={move.id: versions["move"][move.id] for move in moves},
            enrollments={id_: versions["enrollment"].get(id_) for id_ in moves.ids},
            marks=versions["mark"],
            marked=self._get_marked(moves),
        )

    def _can_be_read_ahead(self, run, today):
        """Hook: is its mail the same a moment later, and is today a day for it?"""
        self.ensure_one()
        off = run.get_days_off(self.sequence_id, today)
        return self.origin == "manual" or today not in off

    # ------------------------------------------------------------------------
    # VERSIONS
    # ------------------------------------------------------------------------

    def _read_versions(self):
        """Read the versions of what these mails rest on, before it is read."""
        moves = self.line_ids.move_id
        return {
            "since": time.monotonic(),
            "reminder": self._read_rows("dunning_reminder", "id", self.ids),
            "move": self._read_rows("account_move", "id", moves.ids),
            "enrollment": self._read_rows("dunning_enrollment", "move_id", moves.ids),
            "mark": self.env["dunning.mark"]._read_ids(self._get_marked(moves)),
        }

    @api.model
    def _read_rows(self, table, column, ids):
        """Return {id: versions of the rows that have it in a column}."""
        return dict(
            self.env.execute_query(
                SQL(
                    "SELECT %(column)s, STRING_AGG(%(version)s, ' ' ORDER BY id)"
                    " FROM %(table)s WHERE %(column)s = ANY(%(ids)s)"
                    " GROUP BY %(column)s",
                    column=SQL.identifier(column),
                    version=get_version_sql(table),
                    table=SQL.identifier(table),
                    ids=ids,
                )
            )
        )

    def _get_marked(self, moves):
        """What gets a mark when something happens that these mails rest on."""
        partners = moves.partner_id + moves.commercial_partner_id + self.recipient_ids
        return {
            "move": moves.ids,
            "posted": moves.ids,
            "partner": partners.ids,
            "sequence": self.sequence_id.ids,
            "company": self.company_id.parent_ids.ids,
            DRAINED: [0],
        }

    @api.model
    def _is_still_true(self, ahead, version):
        """Was nothing written since that the mail rests on?

        Payments and edits change the invoices' rows, which is asked where they are
        locked. Everything else that decides leaves a mark (which may be gone: then
        marks were drained since), or has changed the enrollments.

        :param version: of the reminder, as of now
        """
        if version != ahead.reminder or time.monotonic() - ahead.since > FRESH:
            return False
        if self.env["dunning.mark"]._is_marked(ahead.marked, ahead.marks):
            return False
        moves = list(ahead.enrollments)
        found = self._read_rows("dunning_enrollment", "move_id", moves)
        return all(found.get(id_) == ahead.enrollments[id_] for id_ in moves)
