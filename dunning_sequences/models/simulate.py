"""Simulate: what the engine would do in the days to come, with nothing written.

Instalments are read once, as `reconcile` reads them. Day after day, `_decide` and
`_guard_due` judge them as in a real run, and what would be said is added to the rows
in memory. Supposed is that each reminder leaves on its date: approved, printed and
done at once where a person has to; that nobody does manual steps; that nothing is paid,
though bank statements are loaded every day from tomorrow on.
"""

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta
from functools import partial

from odoo import api, fields, models
from odoo.tools import SQL
from odoo.tools.gc import disabling_gc

from .dunning_enrollment import CHUNK
from .reconcile import COLUMNS, OLD_COLUMNS, PENDING_REASONS, Kept, KeptSteps

#: Why an instalment waits when its reminder is about to leave by itself.
QUEUED = ("leaving", "delayed")

#: Reminders in these standings are written already.
WRITTEN = (*PENDING_REASONS.values(), *QUEUED)

#: …and these are told of by themselves, or by a person.
LISTED = {*WRITTEN, "manual"}

#: Reasons that only end when something happens, which nothing does in a simulation.
#: What waits for another one, such as an extension's, is looked at every day.
LASTING = {
    "collection",
    "dispute",
    "pause",
    "reply",
    "blocked",
    "no_followup",
    "in_payment",
    "transaction",
    "payment_method",
    "not_sent",
    "sequence_off",
    "older",
    "no_recipient",
    "no_address",
    "failed",
}

#: Above, the effect of a change is not counted while somebody types.
CHANGE_LIMIT = 20_000

#: What decides who gets a reminder: the rest, which is a lot, need not be read.
INVOICE_FIELDS = (
    "commercial_partner_id",
    "partner_id",
    "dunning_recipient_ids",
    "dunning_email_to",
    "dunning_email_cc",
    "dunning_email_bcc",
)
PARTNER_FIELDS = ("email", "name", "type", "is_company", "parent_id", "child_ids")

ONE_DAY = timedelta(days=1)


class AssumedSteps(KeptSteps):
    """Steps as they are on a form that is not saved; a new one has no id yet."""

    def __init__(self, steps):
        super().__init__(steps)
        self._steps = steps
        self._by_id = {step._origin.id or step.id: step for step in steps}

    def get_facts(self):
        """What decides about dates."""
        modes = {step._origin.id or step.id: step.mode for step in self._steps}
        return self.get_rhythm(), modes

    def get_rhythm(self):
        """Return the steps as the plan reads them."""
        steps = self._steps.sorted(
            lambda step: (step.sequence, not step._origin, step._origin.id)
        )
        return tuple(
            replace(step._prepare_plan_step(), id=step._origin.id or step.id)
            for step in steps
        )

    def is_earlier(self, step_id, other_id):
        """Does a step come before another, or come no more?"""
        order = [step.id for step in self.get_rhythm()]
        if step_id not in order:
            return True
        return order.index(step_id) < order.index(other_id)


class Memory:
    """What a simulation knows beside the database."""

    def __init__(self, today):
        self.today = today
        #: {(company id, customer id): day of the last reminder to him}
        self.contacts = {}
        #: {invoice id: recipients}: they are the same every day
        self.recipients = {}
        self.credits = {}


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    @api.model
    def _simulate(self, company, days, sequence=None, as_default=False):
        """Yield what would become of each open instalment of a company.

        One dict per reminder to come in the window, or one for an instalment that
        gets none: ``row`` (see `_read_instalments`), ``day``, ``step_id``,
        ``occurrence``, ``by_hand``, ``first`` (of the instalment), ``reason`` and
        ``until`` (why there is none).

        :param days: after today
        :param sequence: only what follows this one, which is supposed to run
        :param as_default: suppose that the sequence is the company's default
        """
        today = company._dunning_today()
        for move_ids in self._read_simulated_chunks(company):
            rows = self._read_instalments(move_ids, today, {})
            rows = [row for row in rows if row["residual"] and row["residual"] > 0]
            if sequence:
                rows = self._assume_sequence(rows, sequence, as_default)
            chunk = self.sudo().with_context(dunning_memory=Memory(today))
            yield from chunk._simulate_rows(rows, company, days, sequence)

    @api.model
    def _read_simulated_chunks(self, company):
        """Return lists of open invoices; those of a customer stay together."""
        self.env.flush_all()
        chunks, customer = [[]], None
        for move_id, partner_id in self.env.execute_query(
            SQL(
                """
                SELECT id, commercial_partner_id FROM account_move
                 WHERE company_id = %s AND state = 'posted'
                   AND move_type IN ('out_invoice', 'out_receipt')
                   AND payment_state IN
                       ('not_paid', 'partial', 'in_payment', 'blocked')
              ORDER BY commercial_partner_id, id
                """,
                company.id,
            )
        ):
            if len(chunks[-1]) >= CHUNK and partner_id != customer:
                chunks.append([])
            chunks[-1].append(move_id)
            customer = partner_id
        return chunks if chunks[0] else []

    @api.model
    def _assume_sequence(self, rows, sequence, as_default):
        """Return the rows of the customers whom the sequence concerns.

        With all their instalments: a reminder of another sequence can make those
        of this one wait.
        """
        for row in rows:
            if as_default and row["level"] == "company" and not row["wanted_id"]:
                row.update(wanted_id=sequence.id, since=row["today"])
        customers = {
            row["commercial_partner_id"]
            for row in rows
            if row["wanted_id"] == sequence.id
        }
        return [row for row in rows if row["commercial_partner_id"] in customers]

    @api.model
    def _read_assumed_rhythms(self, rows, sequence, today):
        """As `_read_rhythms`; the simulated sequence is started today."""
        started = {"state": "running", "active": True, "started_on": today}
        rhythms = {}
        for key, (own, *rest) in self._read_rhythms(rows).items():
            starts = sequence and own.id == sequence.id and own.state != "running"
            rhythms[key] = (Kept(own, **(started if starts else {})), *rest)
        return rhythms

    # ------------------------------------------------------------------------
    # DAY BY DAY
    # ------------------------------------------------------------------------

    @api.model
    def _simulate_rows(self, rows, company, days, sequence):
        """Let the days pass for some customers; see `_simulate`."""
        # Python would look again and again for what refers to itself, among so many
        # rows of which none does: a tenth of the time.
        with disabling_gc():
            rhythms = self._pass_days(rows, company, days, sequence)
        for row in rows:
            if not sequence or row["wanted_id"] == sequence.id:
                yield from self._get_simulated(row, rhythms)

    @api.model
    def _pass_days(self, rows, company, days, sequence):
        """Note on the rows what becomes of them, day after day.

        :return: see `_read_rhythms`
        """
        today = company._dunning_today()
        end = today + timedelta(days=days)
        rhythms = self._read_assumed_rhythms(rows, sequence, today)
        decide = partial(self._decide, rhythms=rhythms, planned={})
        holds = self._read_coming_holds(rows, company, today, end)
        agenda = defaultdict(list, {today: rows})
        for day in map(today.__add__, map(timedelta, range(days + 1))):
            awake = agenda.pop(day, [])
            for row in awake:
                self._wake(row, day, holds.get(row["move_id"], ()))
                row["decision"] = decide(row)
            self._guard_due(awake)
            for row in self._get_reminded(awake, company, today):
                self._remind(row, day)
                row["decision"] = decide(row)
            for row in awake:
                coming = self._get_next_look(row, day, holds.get(row["move_id"], ()))
                if coming and coming <= end:
                    agenda[coming].append(row)
        return rhythms

    @api.model
    def _wake(self, row, day, holds):
        """Bring a row to a day: what was decided last is what is written now."""
        decision = row.get("decision")
        if decision:
            values = map(decision.__getitem__, COLUMNS)
            row.update(zip(OLD_COLUMNS, values, strict=True))
            row["enrollment_id"] = row["enrollment_id"] or -1
            row["posted_on"] = None
        row["today"] = day
        for since, kind, last_day in holds:
            if since <= day:
                row.update(hold_kind=kind, hold_last_day=last_day)

    @api.model
    def _get_reminded(self, rows, company, today):
        """Return those for which a reminder leaves, or is listed as to do by hand."""
        listed = [row for row in rows if self._is_listed(row)]
        due = [row for row in rows if self._is_due(row)]
        if due and due[0]["today"] == today:
            due = self._filter_first_day(due, company, today)
        return listed + due

    @api.model
    def _is_listed(self, row):
        decision = row["decision"]
        return decision and decision["hold_reason"] in LISTED

    @api.model
    def _filter_first_day(self, rows, company, today):
        """Leave out what waits for tomorrow: a day has begun already.

        The company's hours may be over, or the customer had his mail of the day.
        """
        clock = company._dunning_now()
        if clock.hour + clock.minute / 60 >= company.dunning_hour_to:
            return []
        told = self.env["dunning.reminder"].search_fetch(
            [("company_id", "=", company.id), ("date", "=", today)], ["partner_id"]
        )
        asked = {
            self.new(
                {
                    **row["decision"],
                    "move_id": row["move_id"],
                    "due_date": row["due_date"],
                }
            ): row
            for row in rows
            if row["commercial_partner_id"] in told.partner_id.ids
        }
        groups = self.union(*asked)._get_groups(today) if asked else {}
        free = self.union(*(members for _whom, _lang, members in groups.values()))
        waiting = [id(row) for new, row in asked.items() if new not in free]
        return [row for row in rows if id(row) not in waiting]

    @api.model
    def _remind(self, row, day):
        """Note a reminder, and what it changes for those to come."""
        decision = row["decision"]
        reminders = row.setdefault("reminders", [])
        if decision["hold_reason"] == "manual":
            step = (decision["next_step_id"], decision["occurrence"])
            if step not in [reminder[1:3] for reminder in reminders]:
                reminders.append((day, *step, True))
            return
        said = self._get_last(row).said if row["last_day"] else ()
        if decision["hold_reason"] in WRITTEN:
            step_id = row["last_step_id"]
            step = (step_id, max(occurrence for s, occurrence in said if s == step_id))
        else:
            step = (decision["next_step_id"], decision["occurrence"])
            said = (*said, step)
        reminders.append((day, *step, False))
        row.update(
            last_day=day,
            last_step_id=step[0],
            last_state="sent",
            said_step_ids=[step_id for step_id, _occurrence in said],
            said_occurrences=[occurrence for _step_id, occurrence in said],
        )
        if self._is_contact(row, step[0]):
            customer = (row["move_company_id"], row["commercial_partner_id"])
            self.env.context["dunning_memory"].contacts[customer] = day

    @api.model
    def _is_contact(self, row, step_id):
        """Does it count for the days between reminders? See `_get_last_contacts`.

        What is queued is there already.
        """
        if row["decision"]["hold_reason"] in QUEUED or self._is_notice(row):
            return False
        step = self.env["dunning.sequence.step"].browse(step_id)
        return step.channel != "activity"

    @api.model
    def _get_next_look(self, row, day, holds):
        """Return the day on which something can change, None for never."""
        decision = row["decision"]
        if not decision:
            return None
        days = [since for since, _kind, _last_day in holds if since > day]
        if decision["state"] == "running":
            days.append(max(decision["next_date"], day + ONE_DAY))
        elif decision["hold_until"]:
            days.append(max(decision["hold_until"], day) + ONE_DAY)
        elif decision["hold_reason"] and decision["hold_reason"] not in LASTING:
            days.append(day + ONE_DAY)
        return min(days, default=None)

    @api.model
    def _get_simulated(self, row, rhythms):
        """Yield what became of an instalment; see `_simulate`."""
        first = True
        for day, step_id, occurrence, by_hand in row.get("reminders", ()):
            yield {
                "row": row,
                "day": day,
                "step_id": step_id,
                "occurrence": occurrence,
                "by_hand": by_hand,
                "first": first,
                "reason": None,
                "until": None,
            }
            first = False
        if first:
            reason, until = self._get_silence(row)
            yield {
                "row": row,
                "day": None,
                "step_id": None,
                "occurrence": 0,
                "by_hand": False,
                "first": True,
                "reason": reason,
                "until": until,
            }

    @api.model
    def _get_silence(self, row):
        """Return (reason, date) why an instalment gets no reminder in the window."""
        decision = row["decision"]
        over = self._get_over_reason(row)
        if over or not decision:
            return over or "sequence_off", None
        if decision["state"] == "running":
            return "later", decision["next_date"]
        if decision["state"] == "done":
            return "done", None
        return decision["hold_reason"], decision["hold_until"]

    # ------------------------------------------------------------------------
    # WHAT THE DATABASE DOES NOT KNOW
    # ------------------------------------------------------------------------

    @api.model
    def _read_coming_holds(self, rows, company, today, end):
        """Return {invoice id: [(from day, kind, its last day)…]}, by day.

        Only for invoices with a hold, and only for days on which one begins or is
        over. Kind None: none.
        """
        held = self.env["dunning.hold"].search_fetch(
            [
                ("closed_on", "=", False),
                ("company_id", "parent_of", company.id),
                ("since", "<=", end),
                "|",
                ("last_day", "=", False),
                ("last_day", ">=", today),
            ],
            ["since", "last_day", "partner_id"],
        )
        days = {hold.since for hold in held}
        days |= {hold.last_day + ONE_DAY for hold in held if hold.last_day}
        days = sorted(day for day in days if today < day <= end)
        if not days:
            return {}
        holds = defaultdict(list)
        for move_id, day, kind, last_day in self._read_holds_of_days(
            [row["move_id"] for row in rows], held, company, days
        ):
            holds[move_id].append((day, kind, last_day))
        return holds

    @api.model
    def _read_holds_of_days(self, move_ids, held, company, days):
        chain = [str(parent.id) for parent in company.parent_ids]
        return self.env.execute_query(
            SQL(
                """
                WITH company AS (
                    SELECT %(chain)s::text[] AS chain, today
                      FROM unnest(%(days)s::date[]) AS today
                )
                SELECT move.id, company.today, hold.kind, hold.last_day
                  FROM account_move move CROSS JOIN company
             LEFT JOIN LATERAL (%(hold)s) hold ON TRUE
                 WHERE move.id = ANY(%(ids)s)
                   AND (move.commercial_partner_id = ANY(%(partners)s) OR move.id IN (
                        SELECT move_id FROM dunning_hold_move_rel
                         WHERE hold_id = ANY(%(holds)s)))
              ORDER BY move.id, company.today
                """,
                chain=chain,
                days=days,
                hold=self._get_hold_sql(),
                ids=move_ids,
                partners=held.partner_id.ids,
                holds=held.ids,
            )
        )

    @api.model
    def _read_statements(self, rows):
        memory = self.env.context.get("dunning_memory")
        if not memory:
            return super()._read_statements(rows)
        for row in rows:
            row["old_statements"] = False
        super()._read_statements([row for row in rows if row["today"] == memory.today])
        return None

    @api.model
    def _read_credits(self, company_id, partner_ids):
        """Nobody knows what is allocated tomorrow: they are read once."""
        memory = self.env.context.get("dunning_memory")
        if not memory:
            return super()._read_credits(company_id, partner_ids)
        if company_id not in memory.credits:
            lines = self._search_credits(company_id)
            memory.credits[company_id] = self._group_credits(lines)
        found, nothing = memory.credits[company_id], self.env["account.move.line"]
        return {id_: found.get(id_, nothing) for id_ in partner_ids}

    @api.model
    def _get_last_contacts(self, rows, sequences):
        contacts = super()._get_last_contacts(rows, sequences)
        memory = self.env.context.get("dunning_memory")
        return {**contacts, **memory.contacts} if memory else contacts

    @api.model
    def _get_recipients(self, rows):
        memory = self.env.context.get("dunning_memory")
        if not memory:
            return super()._get_recipients(rows)
        new = [row for row in rows if row["move_id"] not in memory.recipients]
        if new:
            moves = self.env["account.move"].browse({row["move_id"] for row in new})
            moves.fetch(INVOICE_FIELDS)
            moves.dunning_enrollment_ids.fetch(["sequence_id"])
            (moves.partner_id | moves.commercial_partner_id).fetch(PARTNER_FIELDS)
            memory.recipients.update(super()._get_recipients(new))
        return memory.recipients

    # ------------------------------------------------------------------------
    # BEFORE A CHANGE IS SAVED
    # ------------------------------------------------------------------------

    @api.model
    def _simulate_change(self, sequence, steps):
        """Count the instalments to which a change of the steps would matter.

        :param steps: as they would be, see `AssumedSteps`
        :return: {"enter", "stop", "skip", "move": number}; None when there are too
            many instalments to count them at once
        """
        self = self.sudo()
        enrolled = [("sequence_id", "=", sequence.id), ("state", "!=", "stopped")]
        if self.search_count(enrolled, limit=CHANGE_LIMIT + 1) > CHANGE_LIMIT:
            return None
        moves = self.search_fetch(enrolled, ["move_id"]).move_id
        rows = self._read_instalments(moves.ids, None, {})
        rows = [row for row in rows if row["wanted_id"] == sequence.id]
        now = self._read_assumed_rhythms(rows, None, None)
        then = self._read_changed_rhythms(rows, steps)
        decide_now = partial(self._decide, rhythms=now, planned={})
        decide_then = partial(self._decide, rhythms=then, planned={})
        counts = dict.fromkeys(("enter", "stop", "skip", "move"), 0)
        for row in rows:
            if self._get_over_reason(row):
                continue
            effect = self._get_effect(decide_now(row), decide_then(row), steps)
            if effect:
                counts[effect] += 1
        return counts

    @api.model
    def _read_changed_rhythms(self, rows, steps):
        """As `_read_rhythms` of one sequence, with other steps."""
        return {
            key: (Kept(own, step_ids=steps), steps.get_rhythm(), *rest)
            for key, (own, _rhythm, *rest) in self._read_rhythms(rows).items()
        }

    @api.model
    def _get_effect(self, before, after, steps):
        """Return what changes for an instalment, None for nothing."""
        if not before["next_date"]:
            return "enter" if after["next_date"] else None
        if not after["next_date"]:
            return "stop"
        if steps.is_earlier(before["next_step_id"], after["next_step_id"]):
            return "skip"
        stays = before["next_step_id"] == after["next_step_id"]
        return None if stays and before["next_date"] == after["next_date"] else "move"


class DunningSequence(models.Model):
    _inherit = "dunning.sequence"

    change_preview = fields.Char(
        compute="_compute_change_preview",
        help="What a change of the steps does to the invoices that follow.",
    )

    @api.depends(
        "step_ids.sequence",
        "step_ids.trigger",
        "step_ids.delay",
        "step_ids.repeat_every",
        "step_ids.repeat_max",
        "step_ids.mode",
    )
    def _compute_change_preview(self):
        """Only on a form with changes of a running sequence."""
        for sequence in self:
            saved = sequence._origin
            edited = saved and not sequence.id and saved.state == "running"
            sequence.change_preview = edited and sequence._get_change_preview(saved)

    def _get_change_preview(self, saved):
        """Say how many invoices the unsaved steps concern."""
        steps = AssumedSteps(self.step_ids)
        if steps.get_facts() == AssumedSteps(saved.step_ids).get_facts():
            return False
        counts = self.env["dunning.enrollment"]._simulate_change(saved, steps)
        if counts is None:
            return self.env._("This change concerns more invoices than are counted.")
        words = {
            "enter": self.env._("%(count)s entering", count=counts["enter"]),
            "skip": self.env._("%(count)s skipping a step", count=counts["skip"]),
            "move": self.env._("%(count)s with another date", count=counts["move"]),
            "stop": self.env._("%(count)s with no more reminder", count=counts["stop"]),
        }
        effects = [words[effect] for effect, count in counts.items() if count]
        if not effects:
            return self.env._("This change concerns no invoice that is followed now.")
        return self.env._(
            "When you save this change, of the instalments followed now: %(effects)s.",
            effects=", ".join(effects),
        )

    def action_simulate(self):
        """Show what would be sent, before the start or meanwhile.

        :raise UserError: when there is no step
        """
        self.ensure_one()
        self._check_steps()
        company = self.company_id
        if company not in self.env.companies:
            company = self.env.company
        simulation = self.env["dunning.simulation"].create(
            {"sequence_id": self.id, "company_id": company.id}
        )
        return simulation._open()
