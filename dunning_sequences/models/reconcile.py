"""Reconcile: keep enrollments equal to what invoices, settings and reminders say.

One set-based query reads, for each instalment, all that decides about it; the
decisions are taken in Python on plain rows, dates once per distinct tuple; only
differences are written. Idempotent, and the only writer of enrollments.
"""

import json
from collections import defaultdict
from datetime import date, timedelta
from functools import partial

from odoo import api, models
from odoo.tools import SQL, split_every

from ..tools import plan
from .dunning_enrollment import CHUNK
from .dunning_reminder import PENDING_REASONS

#: Days around today for which a working calendar is read.
CALENDAR_WINDOW = (120, 400)

#: Days in which each open invoice is looked at, whether or not anything happened.
WEEK = 7

#: Ids that are read at once. Finding the next ones reads the whole table of invoices,
#: when only a share of them is wanted.
PAGE = 20 * CHUNK

#: What reconcile writes, in the order of the SQL statements below.
COLUMNS = (
    "move_line_id",
    "partner_id",
    "company_id",
    "sequence_id",
    "entered_on",
    "first_step_id",
    "catch_up",
    "next_step_id",
    "next_date",
    "occurrence",
    "state",
    "hold_reason",
    "hold_until",
    "comparison",
)

#: The names of the same in a row, as they are in the database.
OLD_COLUMNS = tuple(f"old_{name}" for name in COLUMNS)


class Kept:
    """A record whose values are read once: they are asked for each instalment and day.

    Some of them can be supposed to be others.
    """

    def __init__(self, record, **values):
        self.__dict__.update(values, _record=record)

    def __getattr__(self, name):
        value = self.__dict__[name] = getattr(self._record, name)
        return value


class KeptSteps:
    """The steps of a sequence, to be found by their ids."""

    def __init__(self, steps):
        self._by_id = {step.id: Kept(step) for step in steps}
        self._none = steps.browse()

    def browse(self, step_id=None):
        """Return a step, as `sequence.step_ids.browse` does."""
        return self._by_id.get(step_id, self._none)


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    @api.model
    def _reconcile(self, moves=None, today=None, posted=None):
        """Make the enrollments of some invoices, or of all, true again.

        :param moves: invoices; None for all
        :param today: default: each company's own day
        :param posted: {invoice id: day of posting}, as far as it is known
        """
        if moves is None:
            companies = self._get_companies(today or date.max)
            for company in companies:
                self._reconcile_company(company, today)
            return
        for ids in split_every(CHUNK, moves.ids):
            self.sudo()._reconcile_moves(ids, today, posted or {})

    @api.model
    def _reconcile_company(self, company, today=None, share=0):
        """All invoices of a company: those still open, and those enrolled.

        However many there are, only a chunk of them is in memory.

        :param share: only every so manieth, another one each day; 0: all
        """
        last_id = 0
        while found := self._read_open_ids(company, last_id, share, today, PAGE):
            for move_ids in split_every(CHUNK, found, list):
                self._reconcile_chunk(move_ids, today)
            last_id = found[-1]

    @api.model
    def _reconcile_chunk(self, move_ids, today):
        self.sudo()._reconcile_moves(move_ids, today, {})
        self._commit_progress()
        self.env.invalidate_all()  # what was read is of no use to the next chunk

    @api.model
    def _read_open_ids(self, company, last_id, share, today, limit=CHUNK):
        """The next invoices after ``last_id``, in order."""
        self.env.flush_all()
        mine = SQL("TRUE")
        if share:
            mine = SQL("id %% %s = %s", share, (today.toordinal() % share))
        rows = self.env.execute_query(
            SQL(
                """
                (SELECT id FROM account_move
                  WHERE company_id = %(company)s AND state = 'posted'
                    AND move_type IN ('out_invoice', 'out_receipt')
                    AND payment_state IN
                        ('not_paid', 'partial', 'in_payment', 'blocked')
                    AND id > %(last_id)s AND %(mine)s
               ORDER BY id LIMIT %(limit)s)
                UNION
                (SELECT id FROM (
                        SELECT move_id AS id FROM dunning_enrollment
                         WHERE company_id = %(company)s AND state != 'stopped'
                           AND move_id > %(last_id)s) AS enrolled
                  WHERE %(mine)s ORDER BY id LIMIT %(limit)s)
               ORDER BY id LIMIT %(limit)s
                """,
                company=company.id,
                last_id=last_id,
                mine=mine,
                limit=limit,
            )
        )
        return [move_id for (move_id,) in rows]

    @api.model
    def _reconcile_day(self, company, today):
        """What the day itself changes: what is due, and what has waited for a date.

        All other changes are told by marks. What was written past the ORM marks
        nothing: in a week, each open invoice is looked at once anyway.
        """
        move_ids = self._read_ids_of_the_day(company, today)
        for ids in split_every(CHUNK, move_ids):
            self._reconcile_chunk(list(ids), today)
        self._reconcile_company(company, today, share=WEEK)

    @api.model
    def _read_ids_of_the_day(self, company, today):
        self.env.flush_all()
        rows = self.env.execute_query(
            SQL(
                """
                SELECT move_id FROM dunning_enrollment
                 WHERE company_id = %(company)s
                   AND state IN ('running', 'todo', 'held')
                   AND (next_date <= %(today)s OR hold_until < %(today)s)
                UNION
                SELECT enrollment.move_id FROM dunning_enrollment enrollment
                  JOIN dunning_hold_move_rel rel ON rel.move_id = enrollment.move_id
                  JOIN dunning_hold hold ON hold.id = rel.hold_id
                 WHERE enrollment.company_id = %(company)s
                   AND hold.closed_on IS NULL AND hold.since <= %(today)s
                UNION
                SELECT enrollment.move_id FROM dunning_enrollment enrollment
                  JOIN dunning_hold hold USING (partner_id)
                 WHERE enrollment.company_id = %(company)s
                   AND enrollment.state != 'stopped'
                   AND hold.closed_on IS NULL AND hold.since <= %(today)s
              ORDER BY 1
                """,
                company=company.id,
                today=today,
            )
        )
        return [move_id for (move_id,) in rows]

    def _reconcile_moves(self, move_ids, today, posted):
        self.env.flush_all()
        self._follow_due_dates(move_ids)
        rows = self._read_instalments(list(move_ids), today, posted)
        rhythms = self._read_rhythms(rows)
        decide = partial(self._decide, rhythms=rhythms, planned={})
        for row in rows:
            row["decision"] = decide(row)
        self._guard_due(rows)
        self._apply(rows)

    # ------------------------------------------------------------------------
    # READ
    # ------------------------------------------------------------------------

    def _read_instalments(self, move_ids, today, posted):
        """Return one dict per instalment, with all that decides about it."""
        cr = self.env.cr
        cr.execute(self._get_instalments_sql(move_ids, today, posted))
        names = [column.name for column in cr.description]
        return [dict(zip(names, row, strict=True)) for row in cr.fetchall()]

    def _get_instalments_sql(self, move_ids, today, posted):
        return SQL(
            """
            WITH company (id, today, sequence_id, since, from_date, chain) AS (
                VALUES %(companies)s
            ), posted (move_id, day) AS (%(posted)s), instalment AS (%(instalments)s)
            SELECT COALESCE(instalment.move_id, enrolled.move_id) AS move_id,
                   COALESCE(instalment.due_date, enrolled.due_date) AS due_date,
                   instalment.move_line_id, instalment.residual,
                   instalment.residual_currency, instalment.no_followup,
                   enrolled.id AS enrollment_id, %(enrolled)s,
                   move.state AS move_state, move.payment_state,
                   move.company_id AS move_company_id, move.is_move_sent,
                   move.commercial_partner_id, move.invoice_date,
                   method.payment_method_id, company.today, company.from_date,
                   wanted.level, wanted.sequence_id AS wanted_id, wanted.since,
                   wanted.catch_up AS partner_catch_up,
                   posted.day AS posted_on,
                   last.day AS last_day, last.step_id AS last_step_id,
                   last.state AS last_state, last.tries AS last_tries,
                   last.step_ids AS said_step_ids,
                   last.occurrences AS said_occurrences,
                   failure.step_id AS failed_step_id,
                   failure.occurrence AS failed_occurrence,
                   hold.kind AS hold_kind, hold.last_day AS hold_last_day,
                   transaction.id IS NOT NULL AS has_transaction
              FROM instalment
         FULL JOIN (SELECT * FROM dunning_enrollment WHERE move_id = ANY(%(ids)s))
                   AS enrolled USING (move_id, due_date)
              JOIN account_move move
                ON move.id = COALESCE(instalment.move_id, enrolled.move_id)
              JOIN company ON company.id = move.company_id
              JOIN res_partner partner ON partner.id = move.commercial_partner_id
         LEFT JOIN account_payment_method_line method
                ON method.id = move.preferred_payment_method_line_id
         LEFT JOIN posted ON posted.move_id = move.id
         LEFT JOIN LATERAL (%(wanted)s) wanted ON TRUE
         LEFT JOIN LATERAL (%(last)s) last ON TRUE
         LEFT JOIN LATERAL (%(failure)s) failure ON TRUE
         LEFT JOIN LATERAL (%(hold)s) hold ON TRUE
         LEFT JOIN LATERAL (%(transaction)s) transaction ON TRUE
             WHERE enrolled.id IS NOT NULL OR instalment.residual > 0
          ORDER BY move.id, due_date
            """,
            companies=self._get_companies_sql(today),
            instalments=self._get_posted_sql(move_ids),
            ids=list(move_ids),
            posted=self._get_posting_sql(move_ids, posted),
            enrolled=self._get_old_columns_sql(),
            wanted=self._get_wanted_sql(),
            last=self._get_last_sql(),
            failure=self._get_failure_sql(),
            hold=self._get_hold_sql(),
            transaction=self._get_transaction_sql(),
        )

    def _get_posting_sql(self, move_ids, posted):
        """When the invoices were posted, as far as marks, or the caller, know."""
        return SQL(
            """
            SELECT move_id, MIN(day) FROM (
                SELECT res_id, day FROM dunning_mark
                 WHERE kind = 'posted' AND res_id = ANY(%s)
                UNION ALL
                SELECT key::int, value::date FROM jsonb_each_text(%s::jsonb)
            ) AS known (move_id, day) GROUP BY move_id
            """,
            list(move_ids),
            json.dumps({key: str(day) for key, day in posted.items()}),
        )

    def _get_old_columns_sql(self):
        """What the enrollment says now, to be compared with the decision."""
        return SQL(", ").join(
            SQL(
                "%s AS %s",
                SQL.identifier("enrolled", name),
                SQL.identifier(old),
            )
            for name, old in zip(COLUMNS, OLD_COLUMNS, strict=True)
        )

    def _get_transaction_sql(self):
        """An online payment of the invoice that is under way."""
        return SQL(
            """
            SELECT t.id FROM payment_transaction t
              JOIN account_invoice_transaction_rel rel ON rel.transaction_id = t.id
             WHERE rel.invoice_id = move.id
               AND t.state IN ('pending', 'authorized') LIMIT 1
            """
        )

    def _get_posted_sql(self, move_ids):
        """The instalments of posted invoices: several lines of a date are one."""
        return SQL(
            """
            SELECT line.move_id,
                   COALESCE(line.date_maturity, move.invoice_date_due,
                            move.invoice_date, move.date) AS due_date,
                   MIN(line.id) AS move_line_id,
                   SUM(line.amount_residual) AS residual,
                   SUM(line.amount_residual_currency) AS residual_currency,
                   BOOL_OR(line.no_followup) AS no_followup
              FROM account_move_line line
              JOIN account_move move ON move.id = line.move_id
             WHERE move.id = ANY(%s) AND move.state = 'posted'
               AND move.move_type IN ('out_invoice', 'out_receipt')
               AND line.display_type = 'payment_term'
          GROUP BY 1, 2
            """,
            list(move_ids),
        )

    def _get_companies_sql(self, today):
        """Each company's day and default; a branch follows its parent's."""
        companies = self.env["res.company"].sudo().search([])
        rows = []
        for company in companies:
            parents = company.parent_ids.sorted("parent_path", reverse=True)
            default = next((c for c in parents if c.dunning_sequence_id), company)
            rows.append(
                SQL(
                    "(%s::int, %s::date, %s::int, %s::date, %s::date, %s::text[])",
                    company.id,
                    today or company._dunning_today(),
                    default.dunning_sequence_id.id or None,
                    default.dunning_since or None,
                    default.dunning_from_date or None,
                    [str(parent.id) for parent in parents],
                )
            )
        return SQL(", ").join(rows)

    def _get_wanted_sql(self):
        """Whose sequence: the invoice's, else the customer's, else the company's.

        The customer's is company-dependent: {"company id": value}. A sequence of a
        company that is no parent is no sequence.
        """
        return SQL(
            """
            SELECT wanted.level, sequence.id AS sequence_id, wanted.since,
                   wanted.catch_up
              FROM (
            SELECT CASE WHEN move.dunning_policy IS NOT NULL THEN 'move'
                        WHEN own.policy IS NOT NULL THEN 'partner'
                        ELSE 'company' END AS level,
                   CASE WHEN move.dunning_policy = 'none' THEN NULL
                        WHEN move.dunning_policy = 'own' THEN move.dunning_sequence_id
                        WHEN own.policy = 'none' THEN NULL
                        WHEN own.policy = 'own' THEN own.sequence_id
                        ELSE company.sequence_id END AS sequence_id,
                   CASE WHEN move.dunning_policy IS NOT NULL THEN move.dunning_since
                        WHEN own.policy IS NOT NULL THEN own.since
                        ELSE company.since END AS since,
                   own.catch_up AS catch_up
              FROM (SELECT 1) AS one
         LEFT JOIN LATERAL (
                SELECT partner.dunning_policy->>key AS policy,
                       (partner.dunning_sequence_id->>key)::int AS sequence_id,
                       (partner.dunning_since->>key)::date AS since,
                       partner.dunning_catch_up->>key AS catch_up
                  FROM unnest(company.chain) WITH ORDINALITY AS chain (key, rank)
                 WHERE partner.dunning_policy->>key IS NOT NULL
              ORDER BY rank LIMIT 1
                ) own ON TRUE
                ) AS wanted
         LEFT JOIN dunning_sequence sequence
                ON sequence.id = wanted.sequence_id
               AND sequence.company_id::text = ANY(company.chain)
            """
        )

    def _get_last_sql(self):
        """The reminders of the instalment that count; the newest one apart."""
        return SQL(
            """
            SELECT MAX(said.day) AS day,
                   (ARRAY_AGG(said.step_id ORDER BY said.day DESC, said.id DESC))[1]
                       AS step_id,
                   (ARRAY_AGG(said.state ORDER BY said.day DESC, said.id DESC))[1]
                       AS state,
                   (ARRAY_AGG(said.tries ORDER BY said.day DESC, said.id DESC))[1]
                       AS tries,
                   ARRAY_AGG(said.step_id ORDER BY said.id) AS step_ids,
                   ARRAY_AGG(said.occurrence ORDER BY said.id) AS occurrences
              FROM (
                SELECT line.id, line.step_id, line.occurrence, reminder.state,
                       reminder.tries,
                       COALESCE(reminder.sent_on, reminder.date) AS day
                  FROM dunning_reminder_line line
                  JOIN dunning_reminder reminder ON reminder.id = line.reminder_id
                 WHERE line.move_id = COALESCE(instalment.move_id, enrolled.move_id)
                   AND line.due_date
                       = COALESCE(instalment.due_date, enrolled.due_date)
                   AND line.counts
                ) said
            """
        )

    def _get_failure_sql(self):
        """The newest reminder of the instalment, if it failed for good."""
        return SQL(
            """
            SELECT newest.step_id, newest.occurrence FROM (
                SELECT line.step_id, line.occurrence, reminder.state
                  FROM dunning_reminder_line line
                  JOIN dunning_reminder reminder ON reminder.id = line.reminder_id
                 WHERE line.move_id = COALESCE(instalment.move_id, enrolled.move_id)
                   AND line.due_date
                       = COALESCE(instalment.due_date, enrolled.due_date)
              ORDER BY line.id DESC LIMIT 1
                ) newest WHERE newest.state IN ('failed', 'bounced')
            """
        )

    def _get_hold_sql(self):
        """The hold that is shown: collection, dispute, then pause, promise, reply."""
        return SQL(
            """
            SELECT h.kind, h.last_day FROM dunning_hold h
             WHERE h.id IN (
                       SELECT hold_id FROM dunning_hold_move_rel
                        WHERE move_id = move.id
                    UNION ALL
                       SELECT id FROM dunning_hold
                        WHERE closed_on IS NULL
                          AND partner_id = move.commercial_partner_id
                          AND company_id::text = ANY(company.chain))
               AND h.closed_on IS NULL AND h.since <= company.today
               AND (h.last_day IS NULL OR h.last_day >= company.today)
          ORDER BY array_position(
                       ARRAY['collection', 'dispute', 'pause', 'promise', 'reply'],
                       h.kind::text),
                   h.last_day DESC NULLS FIRST LIMIT 1
            """
        )

    def _read_rhythms(self, rows):
        """Return {sequence id: sequence, its steps, its days off} of all rows.

        The sequence as it is read by hooks: see `Kept`.
        """
        ids = {row["wanted_id"] for row in rows if row["wanted_id"]}
        sequences = self.env["dunning.sequence"].browse(ids)
        if not sequences:
            return {}
        before, after = CALENDAR_WINDOW
        days = [row["today"] for row in rows]
        window = (
            min(days) - timedelta(days=before),
            max(days) + timedelta(days=after),
        )
        return {
            sequence.id: (
                Kept(sequence, step_ids=KeptSteps(sequence.step_ids)),
                sequence._get_rhythm(),
                sequence._get_days_off(*window),
            )
            for sequence in sequences
        }

    # ------------------------------------------------------------------------
    # DECIDE
    # ------------------------------------------------------------------------

    @api.model
    def _decide(self, row, rhythms, planned):
        """Return what the enrollment of a row must be, None for no enrollment.

        :param planned: memory of the plan, shared by the rows of a chunk
        """
        over = self._get_over_reason(row)
        if over:
            return self._get_over_decision(row, over)
        sequence, steps, off = rhythms[row["wanted_id"]]
        if sequence.state != "running" and not row["enrollment_id"]:
            return None
        entry, since = self._get_entry(row, sequence, steps)
        last = self._get_last(row)
        key = (sequence.id, row["due_date"], entry, last)
        if key not in planned:
            planned[key] = plan.following(steps, row["due_date"], entry, last, off)
        coming = self._overtake(row, rhythms[sequence.id], entry, planned[key])
        coming = plan.not_on(coming, row["today"], off)
        decision = {
            "move_line_id": row["move_line_id"],
            "partner_id": row["commercial_partner_id"],
            "company_id": row["move_company_id"],
            "sequence_id": sequence.id,
            "entered_on": since,
            "first_step_id": entry.step_id if entry else None,
            "catch_up": entry.catch_up if entry else row["old_catch_up"],
            "next_step_id": coming.step_id if coming else None,
            "next_date": coming.date if coming else None,
            "occurrence": coming.occurrence if coming else 0,
        }
        state, reason, until = self._get_standing(row, sequence, entry, coming)
        decision.update(state=state, hold_reason=reason, hold_until=until)
        decision["comparison"] = self._get_comparison(row, sequence, entry)
        return decision

    @api.model
    def _get_over_reason(self, row):
        """Why nothing more is to be done about an instalment, None if it is open.

        Hook: override to leave out other invoices.
        """
        if row["move_state"] != "posted":
            return "cancelled"
        if row["payment_state"] in ("paid", "reversed"):
            return row["payment_state"]
        if row["residual"] is None:
            return "gone"
        if row["residual"] <= 0:
            return "paid"
        if row["payment_state"] == "invoicing_legacy" or not row["wanted_id"]:
            return "no_sequence"
        if (
            row["level"] == "company"
            and row["from_date"]
            and (row["invoice_date"] or row["due_date"]) < row["from_date"]
        ):
            return "from_date"
        return None

    @api.model
    def _get_over_decision(self, row, reason):
        """An instalment that was enrolled stays, stopped; another gets no row."""
        if not row["enrollment_id"]:
            return None
        written = map(row.__getitem__, OLD_COLUMNS)
        decision = dict(zip(COLUMNS, written, strict=True))
        decision.update(
            state="stopped",
            hold_reason=reason,
            hold_until=None,
            next_step_id=None,
            next_date=None,
            occurrence=0,
        )
        return decision

    @api.model
    def _get_entry(self, row, sequence, steps):
        """Return (entry, the day by which it was judged); entry None: it stays out.

        An instalment that was reminded keeps its entry while it keeps its
        sequence. One that never was is judged anew when its sequence was
        started, or joined, later than it entered.
        """
        since = self._get_since(row, sequence)
        catch_up = self._get_catch_up(row, sequence)
        if row["old_entered_on"] and row["old_sequence_id"] != sequence.id:
            since = row["today"]
            if row["last_day"]:
                return plan.Entry(None, since, catch_up), since
        elif row["old_entered_on"] and (
            row["last_day"] or row["old_entered_on"] >= since
        ):
            since = row["old_entered_on"]
            catch_up = row["old_catch_up"] or catch_up
            if row["last_day"] or row["old_first_step_id"]:
                return plan.Entry(row["old_first_step_id"], since, catch_up), since
        return plan.enter(steps, row["due_date"], since, catch_up), since

    @api.model
    def _get_catch_up(self, row, sequence):
        """How it enters: the customer's choice, else the sequence's."""
        if row["level"] == "partner" and row["partner_catch_up"]:
            return row["partner_catch_up"]
        return sequence.catch_up

    @api.model
    def _get_since(self, row, sequence):
        """The later of start, joining and posting; never after today.

        Invoices whose posting nobody noticed were there before the sequence; one
        that has entered was posted by then, whatever its date.
        """
        today = row["today"]
        posted = row["posted_on"]
        if not posted and not row["old_entered_on"]:
            posted = row["invoice_date"]
        if posted and posted > today + timedelta(days=1):
            posted = row["invoice_date"]  # the run is for a day in the past
        days = [sequence.started_on, row["since"], posted]
        return min(max((day for day in days if day), default=today), today)

    @api.model
    def _get_last(self, row):
        if not row["last_day"]:
            return None
        said = zip(row["said_step_ids"], row["said_occurrences"], strict=True)
        return plan.Last(row["last_day"], row["last_step_id"], tuple(said))

    @api.model
    def _get_standing(self, row, sequence, entry, coming):
        """Return (state, reason, until): does the instalment go on or wait?

        Here: what the database says at once. What is only asked about those
        that are due comes in `_guard_due`. Hook: override to hold for reasons of
        your own.
        """
        if entry is None:
            return "held", "older", None
        if row["hold_kind"] == "collection":  # also when nothing more was to come
            return "held", "collection", row["hold_last_day"]
        pending = PENDING_REASONS.get(row["last_state"])
        if coming is None and not pending:
            stuck = row["last_state"] == "queued" and row["last_tries"]
            return ("held", "delayed", None) if stuck else ("done", None, None)
        if row["hold_kind"]:
            return "held", row["hold_kind"], row["hold_last_day"]
        reason = self._get_hold_reason(row, sequence)
        if reason:
            return "held", reason, self._get_hold_until(row, sequence, reason)
        step = sequence.step_ids.browse(coming.step_id if coming else None)
        if pending and not self._is_overtaking(row, coming, step):
            return "todo", pending, None
        if step.mode == "manual" and coming.date <= row["today"]:
            return "todo", "manual", None
        failed = (row["failed_step_id"], row["failed_occurrence"] or 0)
        if failed == (coming.step_id, coming.occurrence):
            return "todo", "failed", None
        return "running", None, None

    @api.model
    def _is_overtaking(self, row, coming, step):
        """Has the date of this step come while the one before was not done?

        A step that counts from a reminder that really left cannot overtake it.
        """
        return (
            coming is not None
            and coming.date <= row["today"]
            and step.trigger == plan.DUE_DATE
        )

    @api.model
    def _overtake(self, row, rhythm, entry, coming):
        """A manual step that nobody did gives way when the next one's date comes."""
        sequence, steps, off = rhythm
        while coming and sequence.step_ids.browse(coming.step_id).mode == "manual":
            last = self._get_last(row)
            said = (*(last.said if last else ()), (coming.step_id, coming.occurrence))
            undone = plan.Last(coming.date, coming.step_id, said)
            later = plan.following(steps, row["due_date"], entry, undone, off)
            if not later or later.step_id == coming.step_id:
                break
            step = sequence.step_ids.browse(later.step_id)
            if not self._is_overtaking(row, later, step):
                break
            row = dict(
                row,
                last_day=undone.sent_on,
                last_step_id=undone.step_id,
                said_step_ids=[step_id for step_id, _occurrence in said],
                said_occurrences=[occurrence for _step_id, occurrence in said],
            )
            coming = later
        return coming

    @api.model
    def _get_hold_reason(self, row, sequence):
        if row["payment_state"] in ("blocked", "in_payment"):
            return row["payment_state"]
        if row["no_followup"]:
            return "no_followup"
        if row["has_transaction"]:
            return "transaction"
        method_id = row["payment_method_id"]
        if method_id and method_id in sequence.excluded_payment_method_ids.ids:
            return "payment_method"
        if sequence.state != "running" or not sequence.active:
            return "sequence_off"
        if sequence.require_sent and not row["is_move_sent"]:
            return "not_sent"
        if row["last_state"] == "queued":
            return "delayed" if row["last_tries"] else "leaving"
        return None

    @api.model
    def _get_hold_until(self, row, sequence, reason):
        """The last day for which a reason holds, None when that is not known. Hook."""
        return None

    # ------------------------------------------------------------------------
    # APPLY
    # ------------------------------------------------------------------------

    def _apply(self, rows):
        """Write the differences, and nothing else."""
        new, changed = [], []
        for row in rows:
            decision = row["decision"]
            if decision is None:
                continue
            values = tuple(decision[name] for name in COLUMNS)
            if not row["enrollment_id"]:
                new.append((row["move_id"], row["due_date"], *values))
            elif values != tuple(row[old] for old in OLD_COLUMNS):
                changed.append((row["enrollment_id"], *values))
        self._insert(new)
        self._update(changed)
        self._cancel_pointless_approvals(rows)
        if new or changed:
            self.invalidate_model()
            self.env["account.move"].invalidate_model(
                self.env["account.move"]._get_dunning_fields()
            )

    def _cancel_pointless_approvals(self, rows):
        """An approval that is no longer needed disappears by itself."""
        over = [
            row["move_id"]
            for row in rows
            if row["last_state"] in PENDING_REASONS
            and row["decision"]
            and row["decision"]["state"] == "stopped"
        ]
        if over:
            self.env["dunning.reminder"].sudo()._cancel_over(over)

    def _insert(self, rows):
        if not rows:
            return
        columns = ("move_id", "due_date", *COLUMNS)
        names = ", ".join(columns)
        self.env.cr.execute(
            f"""
            INSERT INTO dunning_enrollment
                   ({names}, create_uid, create_date, write_uid, write_date)
            SELECT {names}, %(uid)s, now(), %(uid)s, now()
              FROM jsonb_populate_recordset(NULL::dunning_enrollment, %(rows)s)
                ON CONFLICT (move_id, due_date) DO NOTHING
            """,
            {"uid": self.env.uid, "rows": self._get_json(columns, rows)},
        )

    def _update(self, rows):
        if not rows:
            return
        assignments = ", ".join(f"{name} = new.{name}" for name in COLUMNS)
        self.env.cr.execute(
            f"""
            UPDATE dunning_enrollment SET {assignments}, write_date = now()
              FROM jsonb_populate_recordset(NULL::dunning_enrollment, %s) AS new
             WHERE dunning_enrollment.id = new.id
            """,
            [self._get_json(("id", *COLUMNS), rows)],
        )

    def _get_json(self, columns, rows):
        """One value for all rows, typed by the table: a third less than VALUES."""
        rows = [dict(zip(columns, row, strict=True)) for row in rows]
        return json.dumps(rows, default=str)

    # ------------------------------------------------------------------------
    # DUE DATES
    # ------------------------------------------------------------------------

    def _follow_due_dates(self, move_ids):
        """When due dates change, history follows to the new ones, in order.

        Nothing is sent again; an instalment never reminded enters anew.
        """
        moved = self._read_moved_due_dates(move_ids)
        if not moved:
            return
        self.env.cr.execute(
            """
            DELETE FROM dunning_enrollment e
             WHERE e.id = ANY(%s) AND NOT EXISTS (
                   SELECT 1 FROM dunning_reminder_line l WHERE l.counts
                      AND l.move_id = e.move_id AND l.due_date = e.due_date)
            """,
            [[enrollment_id for enrollment_id, *_ in moved]],
        )
        pairs = [(move_id, old, new) for _id, move_id, old, new in moved]
        # By way of a far date: a new date can be the old one of another instalment.
        steps = [(m, old, self._get_far_date(old)) for m, old, new in pairs]
        steps_back = [(m, self._get_far_date(old), new) for m, old, new in pairs]
        for table in ("dunning_enrollment", "dunning_reminder_line"):
            for values in (steps, steps_back):
                self.env.cr.execute_values(
                    f"""
                    UPDATE {table} SET due_date = new.due_date
                      FROM (VALUES %s) AS new (move_id, old_date, due_date)
                     WHERE {table}.move_id = new.move_id
                       AND {table}.due_date = new.old_date
                    """,
                    values,
                    template="(%s::int, %s::date, %s::date)",
                )
        self.env["dunning.reminder.line"].invalidate_model(["due_date"])

    @api.model
    def _get_far_date(self, day):
        """A date that no instalment has, another one for each day."""
        far = timedelta(days=400_000)
        return day - far if day > date.max - far else day + far

    def _read_moved_due_dates(self, move_ids):
        """Return (enrollment id, invoice id, old date, new date) of what moved.

        Of an invoice that lost a due date, all follow, in order: a new date can be
        the old one of another instalment.
        """
        rows = self.env.execute_query(
            SQL(
                """
                WITH instalment AS (%(instalments)s), enrolled AS (
                    SELECT id, move_id, due_date FROM dunning_enrollment
                     WHERE move_id = ANY(%(ids)s)
                       AND hold_reason IS DISTINCT FROM 'gone'
                ), moved AS (
                    SELECT DISTINCT move_id FROM enrolled
                     WHERE (move_id, due_date) NOT IN (
                           SELECT move_id, due_date FROM instalment)
                )
                SELECT id, move_id, due_date FROM enrolled
                  JOIN moved USING (move_id)
                UNION ALL
                SELECT NULL, move_id, due_date FROM instalment
                  JOIN moved USING (move_id)
              ORDER BY move_id, due_date
                """,
                instalments=self._get_posted_sql(move_ids),
                ids=list(move_ids),
            )
        )
        old, new = defaultdict(list), defaultdict(list)
        for enrollment_id, move_id, due_date in rows:
            if enrollment_id:
                old[move_id].append((enrollment_id, due_date))
            else:
                new[move_id].append(due_date)
        moved = []
        for move_id, enrolled in old.items():
            dates = new[move_id]
            # Early instalments may be paid and never have been enrolled: then the
            # latest ones belong together.
            if len(dates) > len(enrolled):
                dates = dates[-len(enrolled) :]
            moved += [
                (enrollment_id, move_id, due_date, new_date)
                for (enrollment_id, due_date), new_date in zip(
                    enrolled, dates, strict=False
                )
                if due_date != new_date
            ]
        return moved
