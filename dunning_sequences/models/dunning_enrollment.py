import logging

from psycopg2.errors import DeadlockDetected, SerializationFailure

from odoo import SUPERUSER_ID, api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.http import request
from odoo.tools import SQL, format_date, split_every

from .dunning_reminder import PENDING_REASONS

_logger = logging.getLogger(__name__)

#: Invoices per query and transaction: bounds memory and time, however many there are.
CHUNK = 5000

#: Days by which a reminder is postponed when nobody says a day.
POSTPONE = 7

STATE_RUNNING = "running"
STATE_HELD = "held"
STATE_TODO = "todo"
STATE_DONE = "done"
STATE_STOPPED = "stopped"


#: What only spares the customer: a person may remind him all the same.
SPARING_REASONS = (
    "comparison",
    "contact_delay",
    "credits",
    "min_amount",
    "not_sent",
    "statements",
)


class DunningEnrollment(models.Model):
    """One open instalment followed by one sequence.

    Says which reminder comes next and when, or why it waits. Derived from the
    invoice, the settings and the past reminders: only `_reconcile` writes it.
    An instalment is an invoice and a due date; `move_line_id` is only a cache.
    """

    _name = "dunning.enrollment"
    _description = "Reminder Enrollment"
    _order = "next_date, due_date, id"
    _rec_name = "move_id"

    move_id = fields.Many2one(
        comodel_name="account.move",
        string="Invoice",
        required=True,
        readonly=True,
        ondelete="cascade",
    )
    due_date = fields.Date(required=True, readonly=True)
    move_line_id = fields.Many2one(
        comodel_name="account.move.line",
        readonly=True,
        ondelete="set null",
        index="btree_not_null",
    )
    partner_id = fields.Many2one(
        comodel_name="res.partner",
        string="Customer",
        readonly=True,
        index=True,
        ondelete="cascade",
    )
    company_id = fields.Many2one(
        comodel_name="res.company", readonly=True, required=True, index=True
    )
    sequence_id = fields.Many2one(
        comodel_name="dunning.sequence",
        string="Reminder Sequence",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
    )

    # === Entry === #
    entered_on = fields.Date(readonly=True)
    first_step_id = fields.Many2one(
        comodel_name="dunning.sequence.step",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
    )
    catch_up = fields.Char(readonly=True, help="How it entered: see the sequence.")

    # === Next === #
    next_step_id = fields.Many2one(
        comodel_name="dunning.sequence.step",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
    )
    next_date = fields.Date(string="Next Reminder", readonly=True)
    occurrence = fields.Integer(
        readonly=True, help="How often the next step was sent before."
    )
    state = fields.Selection(
        selection=[
            (STATE_RUNNING, "Running"),
            (STATE_HELD, "Held"),
            (STATE_TODO, "To Do"),
            (STATE_DONE, "Done"),
            (STATE_STOPPED, "Stopped"),
        ],
        required=True,
        readonly=True,
    )
    hold_reason = fields.Selection(
        selection="_selection_hold_reason", string="Why", readonly=True
    )
    hold_until = fields.Date(readonly=True)
    explanation = fields.Char(string="What Comes Next", compute="_compute_explanation")

    # === Invoice === #
    amount_residual = fields.Monetary(
        related="move_line_id.amount_residual_currency",
        string="Amount Due",
        currency_field="currency_id",
    )
    currency_id = fields.Many2one(related="move_id.currency_id")
    company_currency_id = fields.Many2one(
        related="company_id.currency_id", string="Company Currency"
    )
    amount_residual_company = fields.Monetary(
        related="move_line_id.amount_residual",
        string="Amount Due (Company)",
        currency_field="company_currency_id",
    )
    reminder_id = fields.Many2one(
        comodel_name="dunning.reminder",
        string="Last Reminder",
        compute="_compute_reminder_id",
        help="The newest one about this instalment: the one to approve, to print, "
        "doubtful or failed, if there is one.",
    )
    responsible_id = fields.Many2one(
        comodel_name="res.users",
        compute="_compute_responsible_id",
        search="_search_responsible_id",
        help="The customer's collector, else the responsible of the sequence.",
    )

    _instalment_uniq = models.UniqueIndex("(move_id, due_date)")
    _due_idx = models.Index(
        "(company_id, next_date) WHERE state IN ('running', 'todo', 'held')"
    )
    _done_idx = models.Index("(company_id) WHERE state = 'done'")

    @api.model
    def _selection_hold_reason(self):
        """Why an instalment waits, or waits no more. Hook: add your own."""
        words = {
            # A person or the customer wants it
            "dispute": self.env._("Dispute"),
            "pause": self.env._("Paused"),
            "promise": self.env._("Promise to pay"),
            "reply": self.env._("Reply to answer"),
            "collection": self.env._("Handed to collection"),
            # The invoice or its payment says so
            "blocked": self.env._("Payment blocked"),
            "no_followup": self.env._("Excluded from follow-up"),
            "in_payment": self.env._("Payment under way"),
            "transaction": self.env._("Online payment under way"),
            "payment_method": self.env._("Paid by an excluded payment method"),
            "not_sent": self.env._("Invoice not sent yet"),
            # The sequence says so
            "sequence_off": self.env._("Sequence not running"),
            "older": self.env._("Older than the start"),
            "min_amount": self.env._("Below the minimum amount"),
            "contact_delay": self.env._("Reminded a short time ago"),
            "leaving": self.env._("Previous reminder about to leave"),
            "statements": self.env._("Bank statements too old"),
            "credits": self.env._("Credits to allocate"),
            "delayed": self.env._("The mail server does not take the reminder"),
            # A person must act
            "approval": self.env._("Waiting for approval"),
            "letter": self.env._("Letter to print"),
            "activity": self.env._("Activity to do"),
            "manual": self.env._("To be done by hand"),
            "no_recipient": self.env._("No e-mail address"),
            "no_address": self.env._("No postal address"),
            "failed": self.env._("Reminder failed"),
            # It is over
            "paid": self.env._("Paid"),
            "reversed": self.env._("Reversed"),
            "cancelled": self.env._("Invoice not posted"),
            "gone": self.env._("Due date changed"),
            "no_sequence": self.env._("No sequence"),
            "from_date": self.env._("Before the first invoice date"),
        }
        return list(words.items())

    @api.depends("state", "hold_reason", "hold_until", "next_date", "next_step_id")
    @api.depends_context("lang")
    def _compute_explanation(self):
        reasons = dict(self._fields["hold_reason"]._description_selection(self.env))
        for enrollment in self:
            enrollment.explanation = enrollment._get_explanation(
                reasons.get(enrollment.hold_reason, "")
            )

    @api.depends("move_id.dunning_reminder_line_ids")
    def _compute_reminder_id(self):
        lines = self.env["dunning.reminder.line"].search_fetch(
            [("move_id", "in", self.move_id.ids)],
            ["move_id", "due_date", "reminder_id"],
            order="id",
        )
        newest = {(line.move_id, line.due_date): line.reminder_id for line in lines}
        for enrollment in self:
            key = (enrollment.move_id, enrollment.due_date)
            enrollment.reminder_id = newest.get(key, False)

    @api.depends("partner_id", "sequence_id.user_id")
    def _compute_responsible_id(self):
        for company, enrollments in self.sudo().grouped("company_id").items():
            for enrollment in enrollments.with_company(company):
                collector = enrollment.partner_id.dunning_user_id
                user = collector or enrollment.sequence_id.user_id
                enrollment.responsible_id = user

    def _search_responsible_id(self, operator, value):
        """In each company its own collectors: the field is company-dependent."""
        if operator != "in":
            return NotImplemented
        domains = []
        for company in self.env.companies:
            Partner = self.env["res.partner"].with_company(company)
            collected = Partner._search([("dunning_user_id", "!=", False)])
            mine = Partner._search([("dunning_user_id", operator, value)])
            domains.append(
                Domain("company_id", "=", company.id)
                & (
                    Domain("partner_id", "in", mine)
                    | Domain("sequence_id.user_id", operator, value)
                    & Domain("partner_id", "not in", collected)
                )
            )
        return Domain.OR(domains)

    def _get_explanation(self, reason):
        """Say in one line what happens next, or why nothing does."""
        self.ensure_one()
        if self.state == STATE_RUNNING and self.next_step_id.mode == "manual":
            return self.env._(
                "“%(step)s” is to be done by hand on %(date)s",
                step=self.next_step_id.name,
                date=format_date(self.env, self.next_date),
            )
        if self.state == STATE_RUNNING:
            return self.env._(
                "“%(step)s” leaves on %(date)s",
                step=self.next_step_id.name,
                date=format_date(self.env, self.next_date),
            )
        if self.state == STATE_DONE:
            return self.env._("The last step has been sent")
        if self.hold_until:
            return self.env._(
                "%(reason)s, until %(date)s",
                reason=reason,
                date=format_date(self.env, self.hold_until),
            )
        return reason

    @api.model
    def _get_reason_labels(self, reasons):
        """Say several reasons in one line."""
        labels = dict(self._fields["hold_reason"]._description_selection(self.env))
        return ", ".join(dict.fromkeys(labels[reason] for reason in reasons))

    def _prefetch_amounts(self):
        """Read at once what `_get_amount` reads of each."""
        self.env["account.move.line"].search_fetch(
            [("move_id", "in", self.move_id.ids)],
            ["move_id", "display_type", "date_maturity", "amount_residual_currency"],
        )
        self.move_id.fetch(["line_ids"])

    def _get_amount(self):
        """What is open of the instalment now, in the invoice's currency."""
        self.ensure_one()
        move = self.move_id
        lines = move.line_ids.filtered(
            lambda line: (
                line.display_type == "payment_term"
                and self.due_date
                == (
                    line.date_maturity
                    or move.invoice_date_due
                    or move.invoice_date
                    or move.date
                )
            )
        )
        return sum(lines.mapped("amount_residual_currency"))

    # ------------------------------------------------------------------------
    # ACTIONS
    # ------------------------------------------------------------------------

    def action_postpone(self, day=None):
        """Let the coming reminders of these instalments wait until a day.

        As a pause of their invoices, which ends by itself: see `dunning.hold`.

        :param day: the first day on which they may leave; default: in a week
        :raise UserError: when the day has passed
        """
        self.env["dunning.hold"].check_access("create")
        self.check_access("read")
        for company, enrollments in self.grouped("company_id").items():
            today = company._dunning_today()
            until = fields.Date.to_date(day) or fields.Date.add(today, days=POSTPONE)
            if until <= today:
                raise UserError(
                    self.env._("Choose a day after today to postpone reminders to.")
                )
            self.env["dunning.hold"].create(
                {
                    "kind": "pause",
                    "move_ids": [(6, 0, enrollments.move_id.ids)],
                    "company_id": company.id,
                    "until": fields.Date.subtract(until, days=1),
                    "reason": self.env._("Postponed"),
                }
            )
        return True

    def action_start_anyway(self):
        """Let instalments that are older than the start begin today.

        With the latest step that their age has reached.
        """
        self.check_access("read")
        self.env["dunning.hold"].check_access("create")
        older = self.filtered(lambda e: e.hold_reason == "older")
        if not older:
            raise UserError(
                self.env._("Only instalments older than the start can be started.")
            )
        for company, enrollments in older.grouped("company_id").items():
            enrollments.sudo()._start(company._dunning_today(), "latest")
        return True

    def action_restart(self):
        """Begin again with the first step: what was said so far counts no more.

        For a new due date that was agreed on, for instance. The history stays.
        """
        self.check_access("read")
        self.env["dunning.hold"].check_access("create")
        again = self.filtered(lambda e: e.state != STATE_STOPPED)
        if not again:
            raise UserError(self.env._("What is paid or left out cannot be restarted."))
        for company, enrollments in again.sudo().grouped("company_id").items():
            enrollments._forget_reminders()
            enrollments._start(company._dunning_today(), "first")
        return True

    def _forget_reminders(self):
        """Past reminders stay, and count no more; those that wait are cancelled.

        :raise UserError: while one is about to leave
        """
        keys = {(e.move_id, e.due_date) for e in self}
        lines = self.move_id.dunning_reminder_line_ids.filtered(
            lambda line: line.counts and (line.move_id, line.due_date) in keys
        )
        if "queued" in lines.mapped("state"):
            raise UserError(
                self.env._("A reminder is about to leave: cancel it, or wait for it.")
            )
        self.env["dunning.reminder"]._get_pending_lines(self)._drop(
            self.env._("Restarted by %(user)s.", user=self.env.user.name)
        )
        lines.replaced = True

    def _start(self, today, catch_up):
        """Enter anew, today. See `plan.enter` for ``catch_up``."""
        self.write({"entered_on": today, "catch_up": catch_up, "first_step_id": False})
        self._reconcile(self.move_id, today)

    def action_remind(self):
        """Send the coming reminder of these instalments now, whatever its date."""
        self.env["dunning.hold"].check_access("create")
        self.check_access("read")
        self._take_by_hand()
        ready = self._filter_remindable()
        if ready != self:
            raise UserError(
                self.env._(
                    "There is no reminder to send now. %(why)s",
                    why=", ".join((self - ready).mapped("explanation")),
                )
            )
        ready._check_first_today()
        ready._remind_by_hand()
        return True

    def _filter_remindable(self):
        """Those that a person may remind: what only spares the customer is his call."""
        return self.filtered(
            lambda e: (
                e.next_step_id
                and (
                    (
                        e.state in ("running", "todo")
                        and e.hold_reason not in PENDING_REASONS.values()
                    )
                    or e.hold_reason in SPARING_REASONS
                )
            )
        )

    def _remind_by_hand(self):
        for company, enrollments in self.grouped("company_id").items():
            self._compose_by_hand(
                company,
                enrollments.sudo().with_company(company),
                company._dunning_today(),
            )

    def action_record(self):
        """Mark as reminded: by phone, on a visit (E07, G13)."""
        self._do_by_hand("recorded")
        return True

    def action_skip(self):
        """Leave the coming step out; the next one follows."""
        self._do_by_hand("skipped")
        return True

    def _do_by_hand(self, state):
        """Note the coming step as done, without any message."""
        self.env["dunning.hold"].check_access("create")
        self.check_access("read")
        self._take_by_hand()
        coming = self.filtered(
            lambda e: (
                e.state != STATE_STOPPED
                and (e.next_step_id or e.hold_reason in PENDING_REASONS.values())
            )
        )
        if not coming:
            raise UserError(self.env._("There is no coming reminder to mark as done."))
        for company, enrollments in coming.grouped("company_id").items():
            today = company._dunning_today()
            Reminder = self.env["dunning.reminder"].sudo().with_company(company)
            Reminder._record(enrollments.sudo(), today, state)
            self._reconcile(enrollments.move_id, today)

    # ------------------------------------------------------------------------
    # RUN
    # ------------------------------------------------------------------------

    @api.model
    def _cron_reconcile(self):
        """Keep the state true within a minute of each change."""
        self._drain_marks()

    @api.model
    def _cron_run(self):
        self._run()

    @api.model
    def _run(self, today=None):
        """Do the day's work: drain, reconcile, guard, compose, for all companies.

        Can run any number of times and anywhere at once. Called by the cron
        without ``today``, it only looks at companies inside their hours.

        :param today: the day, for all companies; default: each company's own
        :return: the reminders composed
        """
        self._check_indexes()
        self._drain_marks(today)
        work = []
        for company in self._get_companies(today):
            day = today or company._dunning_today()
            chunks = self._in_own_transaction(self._prepare_company, company, day)
            self._tell_in_time(company, day)
            if chunks:
                in_lang = self.sudo().with_context(lang=company._get_dunning_lang())
                brake = in_lang._get_brake_reason(company, day)
                work += [(company, day, partner_ids, brake) for partner_ids in chunks]
        return self._dispatch_chunks(work)

    @api.model
    def _dispatch_chunks(self, work):
        """Do the chunks of the day's work; tell who is responsible once all are done.

        Hook: hand them to other workers.

        :param work: what `_run_chunk` takes, for each
        """
        reminders = self.env["dunning.reminder"]
        for left, chunk in zip(reversed(range(len(work))), work, strict=True):
            reminders += self._run_chunk(*chunk)
            if not self._commit_progress(1, remaining=left) and left:
                break
        else:
            self._in_own_transaction(self._notify_responsibles)
        return reminders

    @api.model
    def _run_chunk(self, company, today, partner_ids, brake):
        """Write what is due to some customers.

        :param brake: why nothing leaves by itself today, None if it does
        """
        for prepare in (self._ensure_portal_tokens, self._ensure_pdfs):
            self._in_own_transaction(prepare, company, partner_ids, today)
        composed = self._in_own_transaction(
            self.with_context(dunning_brake=brake)._compose_partners,
            company,
            partner_ids,
            today,
        )
        return composed or self.env["dunning.reminder"]

    @api.model
    def _prepare_company(self, company, today):
        """Make the state of a company true; return what there is to compose.

        :return: lists of customers, one for each transaction
        """
        self.env["dunning.hold"].sudo()._close_promises(company, today)
        Day = self.env["dunning.day"].sudo()
        if not self._is_in_cron() or not Day._is_done(company, today):
            self._reconcile_day(company, today)
            Day._set_done(company, today)
        return self._get_due_chunks(company, today)

    @api.model
    def _in_own_transaction(self, function, *args):
        """Do a chunk of work in a transaction that begins with it.

        Another worker, or a person, can change the same rows at the same moment:
        the database then asks to repeat. In a cron the chunk is left to the next
        run, and the others go on; called from code, the transaction is the
        caller's to repeat.

        :return: what the function returns; None when it is left for later
        """
        self._commit_progress()
        return self._in_this_transaction(function, *args)

    @api.model
    def _in_this_transaction(self, function, *args):
        """The same, right after a commit."""
        in_cron = self._is_in_cron()
        try:
            result = function(*args)
            if in_cron:
                self.env.cr.flush()  # what is still to be written can collide, too
            return result
        except (SerializationFailure, DeadlockDetected):
            if not in_cron:
                raise
            self.env.cr.rollback()
            _logger.info("%s waits for the next run", function.__name__)
            return None

    @api.model
    def _check_indexes(self):
        """Refuse to work without the indexes that make a reminder leave once.

        Odoo only logs when it cannot create one.

        :raise UserError: with the index that is missing
        """
        wanted = [
            self._instalment_uniq.full_name(self),
            self.env["dunning.reminder.line"]._once.full_name(
                self.env["dunning.reminder.line"]
            ),
            self.env["dunning.reminder.line"]._once_by_hand.full_name(
                self.env["dunning.reminder.line"]
            ),
            self.env["dunning.attempt"]._attempt_uniq.full_name(
                self.env["dunning.attempt"]
            ),
        ]
        rows = self.env.execute_query(
            SQL("SELECT indexname FROM pg_indexes WHERE indexname = ANY(%s)", wanted)
        )
        missing = set(wanted) - {name for (name,) in rows}
        if missing:
            raise UserError(
                self.env._(
                    "The database lacks the index %(index)s: reminders could leave "
                    "twice. Update the module Payment Reminder Sequences, and read "
                    "in the log why it cannot be created.",
                    index=", ".join(sorted(missing)),
                )
            )

    @api.model
    def _get_companies(self, today=None):
        """Companies with something to follow, inside their hours."""
        queued = (
            self.env["dunning.reminder"]
            .sudo()
            ._read_group([("state", "=", "queued")], ["company_id"])
        )  # by hand, nobody needs a sequence
        companies = (
            self.env["res.company"]
            .sudo()
            .search([("dunning_sequence_ids", "!=", False)])
        ).union(*(company for (company,) in queued))
        companies = (
            self.env["res.company"].sudo().search([("id", "child_of", companies.ids)])
        )
        if today:
            return companies
        return companies.filtered(lambda company: company._is_dunning_time())

    @api.model
    def _drain_marks(self, today=None, limit=1000):
        """Look again at the invoices that something happened to."""
        while True:
            count = self._in_own_transaction(self._drain_chunk, today, limit)
            if count is None:  # their marks are still there
                self.env["dunning.mark"]._trigger_drain()
                return
            more = count == limit
            if not self._commit_progress(count, remaining=int(more)) or not more:
                return

    @api.model
    def _drain_chunk(self, today, limit):
        Mark = self.env["dunning.mark"].sudo()
        mark_ids, move_ids, posted = Mark._read_marks(limit)
        for ids in split_every(CHUNK, move_ids):
            moves = self.env["account.move"].browse(ids)
            self._reconcile(moves, today, posted)
            self._commit_progress()
        Mark._forget(mark_ids)
        return len(mark_ids)

    @api.model
    def _commit_progress(self, processed=0, remaining=None):
        """Commit a chunk when a cron runs us; return the seconds that are left.

        Called from code, the transaction is the caller's.
        """
        if not self._is_in_cron():
            return float("inf")
        return self.env["ir.cron"]._commit_progress(processed, remaining=remaining)

    @api.model
    def _is_in_cron(self):
        """Only a scheduled action commits by itself.

        A browser can put anything into the context: half of what its user asked for
        would be kept when the other half is refused.
        """
        by_user = request and self.env.uid != SUPERUSER_ID
        return bool(self.env.context.get("ir_cron_progress_id")) and not by_user
