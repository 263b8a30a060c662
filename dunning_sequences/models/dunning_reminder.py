from collections import defaultdict

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import format_date, formatLang

from ..tools import typed_text
from ..tools.clean_html import CleanHtml

#: A reminder in one of these states reached nobody: its lines do not count.
STATES_VOID = ("failed", "bounced", "cancelled")

#: …and in one of these it waits for a person: why its instalments wait.
PENDING_REASONS = {"to_approve": "approval", "to_print": "letter", "to_do": "activity"}
STATES_PENDING = tuple(PENDING_REASONS)


class DunningReminder(models.Model):
    """One message to one customer: the log and the outbox.

    Written by the engine only, before anything leaves, and never deleted. What
    it says about each instalment is in its lines. One reminder is one SMTP
    transaction, with a Message-Id of its own, on the thread of the invoice that
    carries it.

    Life: (to approve >) queued > sent; on the way it can be cancelled (paid, held
    or overtaken since), doubtful (the answer of the mail server was lost), failed or
    bounced. A letter: to print > sent. An activity: to do > recorded. Without a
    message: recorded (a phone call) or skipped.
    """

    _name = "dunning.reminder"
    _description = "Payment Reminder"
    _order = "date desc, id desc"
    _rec_name = "subject"
    _rec_names_search = ["subject", "partner_id", "line_ids.move_name"]

    partner_id = fields.Many2one(
        comodel_name="res.partner",
        string="Customer",
        readonly=True,
        index=True,
        ondelete="set null",
    )
    partner_name = fields.Char(readonly=True)
    company_id = fields.Many2one(
        comodel_name="res.company", required=True, readonly=True, index=True
    )
    sequence_id = fields.Many2one(
        comodel_name="dunning.sequence",
        string="Reminder Sequence",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
    )
    sequence_name = fields.Char(readonly=True)
    step_id = fields.Many2one(
        comodel_name="dunning.sequence.step",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
    )
    step_name = fields.Char(readonly=True)
    move_id = fields.Many2one(
        comodel_name="account.move",
        string="Invoice",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        help="The invoice that carries the conversation: the one at the highest "
        "step, then the oldest.",
    )
    line_ids = fields.One2many(
        comodel_name="dunning.reminder.line",
        inverse_name="reminder_id",
        string="Instalments",
        readonly=True,
    )
    move_ids = fields.Many2many(
        comodel_name="account.move",
        string="Invoices",
        compute="_compute_move_ids",
        search="_search_move_ids",
    )

    # === State === #
    origin = fields.Selection(
        selection=[
            ("auto", "Automatic"),
            ("approved", "Approved"),
            ("manual", "By Hand"),
            ("recorded", "Recorded"),
        ],
        required=True,
        readonly=True,
    )
    channel = fields.Selection(
        selection="_selection_channel", required=True, readonly=True
    )
    state = fields.Selection(
        selection=[
            ("to_approve", "To Approve"),
            ("to_print", "To Print"),
            ("to_do", "To Do"),
            ("queued", "About to Leave"),
            ("sent", "Sent"),
            ("doubtful", "Doubtful"),
            ("failed", "Failed"),
            ("bounced", "Bounced"),
            ("recorded", "Recorded"),
            ("skipped", "Skipped"),
            ("cancelled", "Cancelled"),
        ],
        required=True,
        readonly=True,
    )
    failure_reason = fields.Text(string="Reason", readonly=True)
    date = fields.Date(
        required=True, readonly=True, help="The day for which it was written."
    )
    sent_on = fields.Date(
        readonly=True, help="The company's day on which a mail server took it."
    )
    before_due = fields.Boolean(string="Courtesy Notice", readonly=True)
    approved_by = fields.Many2one(comodel_name="res.users", readonly=True)
    can_undo = fields.Boolean(compute="_compute_can_undo")
    retry_of_id = fields.Many2one(
        comodel_name="dunning.reminder",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
    )

    # === Mail === #
    email_from = fields.Char(string="From", readonly=True)
    recipient_ids = fields.Many2many(
        comodel_name="res.partner", string="Recipients", readonly=True
    )
    email_to = fields.Char(string="To", readonly=True)
    email_cc = fields.Char(string="Cc", readonly=True)
    email_bcc = fields.Char(string="Bcc", readonly=True)
    recipient_source = fields.Selection(
        selection="_selection_recipient_source",
        string="Address From",
        readonly=True,
    )
    refused = fields.Text(
        string="Refused Addresses",
        readonly=True,
        help="Addresses that the mail server refused, with its answer. The others "
        "got the reminder.",
    )
    lang = fields.Char(string="Language", readonly=True)
    subject = fields.Char(readonly=True)
    body = CleanHtml(string="Text", readonly=True, sanitize_style=True)
    message_id = fields.Char(string="Message-Id", readonly=True)
    mail_message_id = fields.Many2one(
        comodel_name="mail.message",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
    )
    grouping_key = fields.Char(readonly=True, help="What one mail a day is made of.")

    fingerprint = fields.Char(readonly=True, help="What the text was written from.")

    # === Delivery === #
    attempt = fields.Integer(
        default=0, required=True, readonly=True, help="Hand-overs that were answered."
    )
    tries = fields.Integer(
        default=0, required=True, readonly=True, help="How often it was tried in vain."
    )
    next_try = fields.Datetime(readonly=True)

    # === Merge fields: the same for typed texts and for templates === #
    contact_name = fields.Char(compute="_compute_merge_fields")
    customer_name = fields.Char(compute="_compute_merge_fields")
    company_name = fields.Char(compute="_compute_merge_fields")
    invoice_number = fields.Char(compute="_compute_merge_fields")
    invoice_date = fields.Char(compute="_compute_merge_fields")
    due_date = fields.Char(compute="_compute_merge_fields")
    new_deadline = fields.Char(compute="_compute_merge_fields")
    days_late = fields.Integer(compute="_compute_merge_fields")
    amount_due = fields.Char(compute="_compute_merge_fields")
    amount_total = fields.Char(compute="_compute_merge_fields")
    invoice_table = fields.Html(compute="_compute_merge_fields", sanitize=False)
    payment_link = fields.Html(compute="_compute_merge_fields", sanitize=False)
    payment_reference = fields.Char(compute="_compute_merge_fields")
    bank_account = fields.Char(compute="_compute_merge_fields")
    step_number = fields.Integer(compute="_compute_merge_fields")
    sender_name = fields.Char(compute="_compute_merge_fields")
    sender_phone = fields.Char(compute="_compute_merge_fields")

    _message_uniq = models.UniqueIndex("(message_id) WHERE message_id IS NOT NULL")
    _queued_idx = models.Index("(id) WHERE state = 'queued'")
    _day_idx = models.Index("(date, grouping_key)")

    @api.model
    def _selection_channel(self):
        return self.env["dunning.sequence.step"]._selection_channel()

    @api.model
    def _selection_recipient_source(self):
        words = {
            "invoice": self.env._("The invoice"),
            "last": self.env._("The last mail about the invoice"),
            "contacts": self.env._("The customer's reminder contacts"),
            "address": self.env._("The invoice address"),
            "customer": self.env._("The customer"),
        }
        return list(words.items())

    # ------------------------------------------------------------------------
    # COMPUTE
    # ------------------------------------------------------------------------

    @api.depends("subject", "step_name", "move_id")
    def _compute_display_name(self):
        """A call or a visit has no subject."""
        for reminder in self:
            step, invoice = reminder.step_name or "", reminder.move_id.name or ""
            named = step or invoice
            if step and invoice:
                named = self.env._("%(step)s: %(invoice)s", step=step, invoice=invoice)
            reminder.display_name = reminder.subject or named

    @api.depends("state", "origin", "line_ids")
    def _compute_can_undo(self):
        for reminder in self:
            reminder.can_undo = reminder._is_undoable()

    @api.depends("line_ids.move_id")
    def _compute_move_ids(self):
        for reminder in self:
            reminder.move_ids = reminder.line_ids.move_id

    def _search_move_ids(self, operator, value):
        return Domain("line_ids.move_id", operator, value)

    @api.depends("line_ids", "step_id", "partner_id")
    @api.depends_context("lang")
    def _compute_merge_fields(self):
        for reminder in self:
            values = reminder._get_merge_values()
            for name in typed_text.FIELDS:
                reminder[name] = values[name]

    def _get_merge_values(self):
        """Return the merge fields, formatted in the language of the context.

        Hook: override to change a value. A new field must be added to
        `typed_text.FIELDS` and to this model, too.
        """
        self.ensure_one()
        lines = self._get_current_lines()
        moves, company = lines.move_id, self.company_id
        oldest = min(lines.mapped("due_date"), default=self.date)
        responsible = self.sequence_id.user_id
        return {
            "contact_name": self._get_contact_name(),
            "customer_name": self.partner_id.name or "",
            "company_name": company.name,
            "invoice_number": ", ".join(moves.mapped("name")),
            "invoice_date": self._format_dates(moves.mapped("invoice_date")),
            "due_date": self._format_dates(lines.mapped("due_date")),
            "new_deadline": self._format_dates([self._get_new_deadline()]),
            "days_late": max((self.date - oldest).days, 0) if self.date else 0,
            "amount_due": self._format_amounts(lines, "amount"),
            "amount_total": self._format_amounts(moves, "amount_total"),
            "invoice_table": self._render_invoice_table(lines),
            "payment_link": self._render_payment_link(moves),
            "payment_reference": ", ".join(
                ref for ref in moves.mapped("payment_reference") if ref
            ),
            "bank_account": self._get_bank_account(moves),
            "step_number": self.step_id.number,
            "sender_name": responsible.name or company.name,
            "sender_phone": responsible.phone or company.phone or "",
        }

    def _get_new_deadline(self):
        """The day until which the customer is asked to pay, if the step names one."""
        days = self.step_id.new_deadline_days
        return days and self.date and fields.Date.add(self.date, days=days)

    def _get_current_lines(self):
        """The instalments that the mail is about, oldest first."""
        lines = self.line_ids.filtered(lambda line: not line.dropped)
        return lines.sorted(lambda line: (line.due_date, line.id))

    def _get_contact_name(self):
        """The person to greet; the customer when several people get it."""
        contacts = self.recipient_ids.filtered(lambda c: not c.is_company)
        return (contacts.name if len(contacts) == 1 else self.partner_id.name) or ""

    def _format_dates(self, dates):
        days = sorted({day for day in dates if day})
        return ", ".join(self._format_date(day) for day in days)

    def _format_amounts(self, records, name):
        """One total per currency."""
        return ", ".join(
            self._format_amount(sum(group.mapped(name)), currency)
            for currency, group in records.grouped("currency_id").items()
        )

    @api.model
    def _format_date(self, day):
        """In the language of the context; the many equal ones of a run once."""
        key = ("dunning_date", self.env.lang, day)
        cache = self.env.cr.cache
        if key not in cache:
            cache[key] = format_date(self.env, day)
        return cache[key]

    @api.model
    def _format_amount(self, amount, currency):
        """In the language of the context; each is said several times."""
        key = ("dunning_amount", self.env.lang, amount, currency.id)
        cache = self.env.cr.cache
        if key not in cache:
            cache[key] = formatLang(self.env, amount, currency_obj=currency)
        return cache[key]

    def _get_bank_account(self, moves):
        """The account that the invoices name, else the company's first one."""
        banks = moves.partner_bank_id or self.company_id.partner_id.bank_ids
        bank = banks[:1]
        return " ".join(filter(None, (bank.bank_name, bank.acc_number)))

    def _render_invoice_table(self, lines):
        """What is due; as information, what else is overdue or being clarified."""
        return self.env["ir.qweb"]._render(
            "dunning_sequences.reminder_invoice_table",
            self._prepare_table_values(lines),
            lang=self.env.lang,
        )

    def _prepare_table_values(self, lines):
        """Hook: override to show more."""
        others, apart, coming = self._split_information()
        rows = [self._prepare_table_row(r.move_id, r.due_date, r.amount) for r in lines]
        if len(lines.step_id) > 1:
            for row, line in zip(rows, lines, strict=True):
                row["step"] = line.step_id.with_context(lang=self.env.lang).name
        return {
            "rows": rows,
            "total": len(rows) > 1 and self._format_totals(rows),
            "others": others,
            "overdue": others and self._format_totals(rows + others),
            "apart": apart,
            "coming": coming,
            "coming_total": len(coming) > 1 and self._format_totals(coming),
        }

    def _prepare_table_row(self, move, due_date, amount):
        """Hook: override to show more of an instalment."""
        return {
            "name": move.name,
            "url": self._get_payment_url(move),
            "invoice_date": self._format_date(move.invoice_date),
            "due_date": self._format_date(due_date),
            "amount": self._format_amount(amount, move.currency_id),
            "value": amount,
            "currency": move.currency_id,
        }

    def _format_totals(self, rows):
        """One total per currency."""
        totals = defaultdict(float)
        for row in rows:
            totals[row["currency"]] += row["value"]
        return ", ".join(
            self._format_amount(total, currency) for currency, total in totals.items()
        )

    def _render_payment_link(self, moves):
        """A button that leads to the invoice in the portal, to pay or to see it."""
        if not self._has_payment_link() or len(moves) != 1:
            return ""
        return self.env["ir.qweb"]._render(
            "dunning_sequences.reminder_payment_link",
            {
                "url": self._get_payment_url(moves),
                "can_pay": moves.sudo()._has_to_be_paid(),
                "company": self.company_id,
            },
            lang=self.env.lang,
        )

    def _has_payment_link(self):
        """Hook: override to decide otherwise."""
        return not self.sequence_id or self.sequence_id.payment_link

    def _get_payment_url(self, move):
        """Without an amount: the page shows what is open when it is opened."""
        if not self._has_payment_link() or not move.access_token:
            return ""
        return move.get_base_url() + move.get_portal_url(
            query_string="&payment=True", anchor="portal_pay"
        )

    # ------------------------------------------------------------------------
    # CRUD
    # ------------------------------------------------------------------------

    @api.ondelete(at_uninstall=False)
    def _unlink_except_history(self):
        raise UserError(
            self.env._(
                "Payment reminders are the history of what customers were told: "
                "they cannot be deleted."
            )
        )

    # ------------------------------------------------------------------------
    # ACTIONS
    # ------------------------------------------------------------------------

    def action_approve(self):
        """Let reminders leave that were written for approval (P17).

        All is read again: what was paid since is taken out, and a reminder with
        nothing left is cancelled, with the reason. When the text had to change,
        the approver is shown what leaves.
        """
        self._check_action_access()
        if any(reminder.state != "to_approve" for reminder in self):
            raise UserError(self.env._("Only reminders to approve can be approved."))
        changed = self.sudo()._approve()
        if len(self) == 1 and changed:
            return self._get_records_action(
                name=self.env._("The text has changed: this is what leaves"),
                target="new",
            )
        return True

    def action_skip(self):
        """Do not send these; the next steps follow on their dates."""
        self._check_action_access()
        if any(reminder.state not in STATES_PENDING for reminder in self):
            raise UserError(
                self.env._("Only reminders that wait for a person can be skipped.")
            )
        self.sudo()._skip()
        return True

    def action_cancel(self):
        """Keep reminders that have not left from leaving."""
        self._check_action_access()
        waiting = self.filtered(lambda r: r.state in (*STATES_PENDING, "queued"))
        if waiting != self:
            raise UserError(
                self.env._("Only reminders that have not left yet can be cancelled.")
            )
        waiting.sudo()._lock_for_decision(*STATES_PENDING, "queued")
        waiting.sudo()._check_not_handed_over()
        waiting.sudo()._cancel(
            self.env._("Cancelled by %(user)s.", user=self.env.user.name)
        )
        return True

    def action_print(self):
        """Print letters: those printed for the first time count from today on (E07).

        All is read again: who has paid since gets no letter.

        :return: the report; True when none is left to print
        """
        self._check_action_access()
        letters = self.filtered(
            lambda r: r.channel == "letter" and r.state in ("to_print", "sent")
        )
        if letters != self:
            raise UserError(
                self.env._("Only letters can be printed, once they are approved.")
            )
        waiting = self.filtered(lambda r: r.state == "to_print")
        waiting.sudo()._print()
        # Among letters that wait, those printed before are not printed again.
        printed = (waiting or self).filtered(lambda r: r.state == "sent")
        report = self.env.ref("dunning_sequences.action_report_dunning_letter")
        printed = printed._sort_for_post()
        return report.report_action(printed, config=False) if printed else True

    def action_retry(self):
        """Write anew what failed, bounced or is doubtful, and let it leave (G14).

        Who sends a doubtful one again decides that it has not arrived.
        """
        self._check_action_access()
        failed = self.filtered(lambda r: r.state in ("failed", "bounced", "doubtful"))
        failed -= self.search([("retry_of_id", "in", self.ids)]).retry_of_id
        failed -= failed.line_ids.filtered("replaced").reminder_id
        if failed != self:
            raise UserError(
                self.env._(
                    "Only reminders that failed or bounced, and doubtful ones, can be "
                    "sent again, and only once."
                )
            )
        failed.sudo()._lock_for_decision("failed", "bounced", "doubtful")
        failed.sudo()._retry()
        return True

    def action_confirm_sent(self):
        """A doubtful reminder has arrived: somebody asked."""
        self._check_action_access()
        if any(reminder.state != "doubtful" for reminder in self):
            raise UserError(
                self.env._("Only doubtful reminders can be confirmed as sent.")
            )
        self.sudo()._confirm_sent()
        return True

    def action_undo(self):
        """Take back a decision: approved and not gone yet, skipped, or recorded.

        The instalments are where they were before it.
        """
        self._check_action_access()
        if any(not reminder.can_undo for reminder in self):
            raise UserError(
                self.env._(
                    "Only what was just approved, skipped or marked as reminded can be "
                    "undone, as long as no later reminder followed."
                )
            )
        self.sudo()._undo()
        return True

    def _check_action_access(self):
        """Who may create a hold may decide about a reminder."""
        self.check_access("read")
        self.env["dunning.hold"].check_access("create")

    def action_view_move(self):
        self.ensure_one()
        return self.move_id._get_records_action()
