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

from psycopg2.errors import SerializationFailure

from odoo import api, fields, models
from odoo.tools import SQL

from .deliver import get_version_sql

_logger = logging.getLogger(__name__)

#: Reminders that a worker takes at once.
BATCH = 25

#: Seconds after which a mail that was made ahead is old: settings may have changed.
FRESH = 5

#: Seconds for which the others leave them alone. Only a hint: what makes a reminder
#: leave once is the lock on its row, and the journal.
LEASE = 30

#: A mail made ahead, when that was, and the versions of what it rests on.
ReadAhead = namedtuple("ReadAhead", "message since reminder moves last_mark marked")


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    leased_until = fields.Datetime(
        readonly=True,
        copy=False,
        help="A worker is about to send it, and the others take other ones.",
    )

    @api.model
    def _take(self, run):
        """Take the next queued reminders; return False when there are none."""
        self.env.flush_all()
        rows = self.env.execute_query(
            SQL(
                """
                UPDATE dunning_reminder
                   SET leased_until = %s + %s * INTERVAL '1 second'
                 WHERE id IN (%s AND (reminder.leased_until IS NULL
                                      OR reminder.leased_until < %s)
                    ORDER BY reminder.id LIMIT %s
                         FOR NO KEY UPDATE OF reminder SKIP LOCKED)
             RETURNING id
                """,
                self._get_clock_sql(),
                LEASE,
                self._get_leasable_sql(run, SQL("reminder.id")),
                self._get_clock_sql(),
                BATCH,
            )
        )
        run.taken = sorted(reminder_id for (reminder_id,) in rows)
        run.all_taken += run.taken
        run.ahead = {}
        self.env.invalidate_all(flush=False)
        return bool(run.taken)

    @api.model
    def _get_clock_sql(self):
        """The database's clock: hosts have clocks of their own."""
        return SQL("(clock_timestamp() AT TIME ZONE 'UTC')")

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
        except SerializationFailure:
            raise
        except Exception:
            _logger.info("Reminders are sent one by one", exc_info=True)

    def _make_ahead(self, run):
        """Keep mail and versions of those that need no change."""
        today = self.company_id._dunning_today(run.now)
        versions = self._read_versions()
        facts = self._read_facts(today)
        for reminder in self:
            if reminder._is_unchanged(run, today, facts):
                with self._alone(), self.env.cr.savepoint(flush=False):
                    run.ahead[reminder.id] = reminder._prepare_ahead(versions)

    def _prepare_ahead(self, versions):
        moves = self._get_current_lines().move_id
        return ReadAhead(
            message=self._build_message(),
            since=time.monotonic(),
            reminder=versions["reminder"][self.id],
            moves={move.id: versions["move"][move.id] for move in moves},
            last_mark=versions["mark"],
            marked=self._get_marked(moves),
        )

    def _is_unchanged(self, run, today, facts):
        """May it leave today, with the text that was written? Hook."""
        self.ensure_one()
        objections, amounts, recipients = facts
        lines = self._get_current_lines()
        if not lines or self.date != today or self._is_attaching_statement():
            return False
        if self.origin != "manual" and today in run.get_days_off(
            self.sequence_id, today
        ):
            return False
        found = recipients[self.channel]
        return (
            all(
                line.id not in objections
                and line.amount == amounts[line.id]
                and self._is_addressed(self._prepare_recipient_vals(found[move.id]))
                for line in lines
                for move in line.move_id
            )
            and self.fingerprint == self._get_fingerprint()
        )

    # ------------------------------------------------------------------------
    # VERSIONS
    # ------------------------------------------------------------------------

    def _read_versions(self):
        """Read the versions of what these mails rest on, before it is read."""
        lines = self.line_ids
        execute = self.env.execute_query
        return {
            "reminder": dict(
                execute(
                    SQL(
                        "SELECT id, %s FROM dunning_reminder WHERE id = ANY(%s)",
                        get_version_sql("dunning_reminder"),
                        self.ids,
                    )
                )
            ),
            "move": dict(
                execute(
                    SQL(
                        "SELECT id, %s FROM account_move WHERE id = ANY(%s)",
                        get_version_sql("account_move"),
                        lines.move_id.ids,
                    )
                )
            ),
            "mark": execute(SQL("SELECT COALESCE(MAX(id), 0) FROM dunning_mark"))[0][0],
        }

    def _get_marked(self, moves):
        """What gets a mark when something happens that this mail rests on."""
        self.ensure_one()
        partners = moves.partner_id + moves.commercial_partner_id + self.recipient_ids
        return {
            "move": moves.ids,
            "posted": moves.ids,
            "partner": partners.ids,
            "sequence": self.sequence_id.ids,
            "company": self.company_id.parent_ids.ids,
        }

    @api.model
    def _is_still_true(self, ahead, version):
        """Was nothing written since that the mail rests on?

        Payments and edits change the invoices' rows, which is asked where they are
        locked; everything else that decides leaves a mark (`dunning.mark`).

        :param version: of the reminder, as of now
        """
        if version != ahead.reminder or time.monotonic() - ahead.since > FRESH:
            return False
        return not self.env["dunning.mark"]._is_marked(ahead.marked, ahead.last_mark)
