from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.tools import format_date, formatLang

OUTCOME_RECORDED = "recorded"


class DunningReminderCompose(models.TransientModel):
    """Reminders that a person writes: for an invoice, a customer, or many.

    Shows before anything leaves what is said to whom, and what is left out and why.
    Each line is one mail. The reminders are written and leave on the same path as
    those of the run: see `by_hand` and `composed`.
    """

    _name = "dunning.reminder.compose"
    _description = "Payment Reminder Composer"

    move_ids = fields.Many2many(
        comodel_name="account.move", string="Invoices", required=True, readonly=True
    )
    company_id = fields.Many2one(
        comodel_name="res.company",
        compute="_compute_company_id",
        store=True,
        compute_sudo=False,
    )
    outcome = fields.Selection(
        selection=[
            ("email", "Send by e-mail"),
            ("letter", "Print letters"),
            (OUTCOME_RECORDED, "Only record"),
        ],
        string="What to Do",
        default="email",
        required=True,
    )
    grouping = fields.Selection(
        selection=[
            ("customer", "One per customer"),
            ("invoice", "One per invoice"),
        ],
        string="Messages",
        default="customer",
        required=True,
    )
    line_ids = fields.One2many(
        comodel_name="dunning.reminder.compose.line",
        inverse_name="compose_id",
        string="To Whom",
        compute="_compute_line_ids",
        store=True,
        compute_sudo=False,
        readonly=False,
    )
    skip_ids = fields.One2many(
        comodel_name="dunning.reminder.compose.skip",
        inverse_name="compose_id",
        string="Left Out",
        compute="_compute_line_ids",
        store=True,
        compute_sudo=False,
        readonly=False,
    )
    is_single = fields.Boolean(compute="_compute_is_single")
    can_group = fields.Boolean(compute="_compute_can_group")
    can_keep_contacts = fields.Boolean(compute="_compute_can_keep_contacts")
    skip_summary = fields.Char(compute="_compute_skip_summary")
    history_ids = fields.Many2many(
        comodel_name="dunning.reminder.line",
        string="Past Reminders",
        compute="_compute_history_ids",
    )
    history_summary = fields.Char(
        string="Last Reminder", compute="_compute_history_ids"
    )
    said_ids = fields.Json(
        compute="_compute_said_ids",
        store=True,
        help="Of the lines of reminders: those that were said when this was opened.",
    )

    # === Text === #
    step_id = fields.Many2one(
        comodel_name="dunning.sequence.step",
        string="Text of the Step",
        compute="_compute_step_id",
        store=True,
        compute_sudo=False,
        readonly=False,
        domain="[('company_id', 'parent_of', company_id), "
        "('channel', '!=', 'activity')]",
        help="Empty: each invoice gets the text of its coming step. With a later step "
        "of the same sequence, the invoice goes on from there.",
    )
    template_id = fields.Many2one(
        comodel_name="mail.template",
        string="Other Template",
        domain="[('model', '=', 'dunning.reminder')]",
        help="This text instead, for this sending only.",
    )
    is_typed = fields.Boolean(
        string="Type the Text",
        help="Write one text with merge fields for all, for this sending only.",
    )
    typed_subject = fields.Char(
        string="Text for All: Subject",
        compute="_compute_typed",
        store=True,
        compute_sudo=False,
        readonly=False,
    )
    typed_body = fields.Html(
        string="Text for All",
        compute="_compute_typed",
        store=True,
        compute_sudo=False,
        readonly=False,
        sanitize_attributes=True,
        help="Write {{ invoice_number }} or {% if payment_link %} … {% endif %}.",
    )
    merge_fields = fields.Json(compute="_compute_merge_fields")
    subject = fields.Char(
        compute="_compute_text", store=True, compute_sudo=False, readonly=False
    )
    body = fields.Html(
        string="Text",
        compute="_compute_text",
        store=True,
        compute_sudo=False,
        readonly=False,
        sanitize_style=True,
        help="Changed for this sending only.",
    )
    proposed_subject = fields.Char(
        compute="_compute_text", store=True, compute_sudo=False
    )
    proposed_body = fields.Html(
        compute="_compute_text", store=True, compute_sudo=False, sanitize_style=True
    )
    problem = fields.Char(compute="_compute_text", store=True, compute_sudo=False)

    # === Mail === #
    email_from = fields.Char(
        string="From",
        compute="_compute_options",
        store=True,
        compute_sudo=False,
        readonly=False,
        help="Empty: the sender of each sequence, else the company.",
    )
    email_to = fields.Char(
        string="To",
        compute="_compute_recipients",
        store=True,
        compute_sudo=False,
        readonly=False,
    )
    email_cc = fields.Char(
        string="Cc",
        compute="_compute_recipients",
        store=True,
        compute_sudo=False,
        readonly=False,
    )
    email_bcc = fields.Char(
        string="Bcc",
        compute="_compute_recipients",
        store=True,
        compute_sudo=False,
        readonly=False,
    )
    lacking = fields.Char(compute="_compute_lacking")
    recipient_source = fields.Selection(related="line_ids.recipient_source")
    keep_contact = fields.Boolean(
        string="Keep as Reminder Contact",
        help="The customer's reminders go to this address from now on.",
    )
    attach_invoice = fields.Boolean(
        string="Attach Invoices",
        compute="_compute_options",
        store=True,
        compute_sudo=False,
        readonly=False,
    )
    attach_statement = fields.Boolean(
        string="Attach Statement of Account",
        compute="_compute_options",
        store=True,
        compute_sudo=False,
        readonly=False,
    )
    payment_link = fields.Boolean(
        string="Payment Links",
        compute="_compute_options",
        store=True,
        compute_sudo=False,
        readonly=False,
    )

    # === Record === #
    contact_kind = fields.Selection(
        selection="_selection_contact_kind", string="How", default="phone"
    )
    note = fields.Text(help="What was said. Kept with the invoice.")

    # === Preview of one of many === #
    preview_move_id = fields.Many2one(
        comodel_name="account.move",
        string="Preview For",
        domain="[('id', 'in', move_ids)]",
    )
    preview_subject = fields.Char(compute="_compute_preview", string="Subject Preview")
    preview_body = fields.Html(
        compute="_compute_preview", string="Preview", sanitize_style=True
    )
    sent = fields.Boolean(readonly=True)

    @api.model
    def _selection_contact_kind(self):
        words = {
            "phone": self.env._("Phone call"),
            "visit": self.env._("Visit"),
            "message": self.env._("Letter or message sent otherwise"),
        }
        return list(words.items())

    # ------------------------------------------------------------------------
    # READ: what can be reminded, by invoice
    # ------------------------------------------------------------------------

    def _check_allowed(self):
        """All that is shown or sent goes through here: others call it by RPC."""
        self.env["dunning.hold"].check_access("create")
        moves = self.move_ids._origin
        moves.check_access("read")
        if len(moves.company_id) != 1 or moves.company_id not in self.env.companies:
            raise AccessError(
                self.env._("Choose invoices of one company, that you have access to.")
            )
        self.step_id._origin.check_access("read")
        self.template_id._origin.check_access("read")
        if self.template_id and self.template_id.sudo().model != "dunning.reminder":
            raise UserError(
                self.env._("Choose a template that applies to “Payment Reminder”.")
            )

    def _get_today(self):
        return self.company_id._dunning_today()

    def _read_rows(self):
        """Return ({invoice: rows to remind of}, {invoice: why it is left out}).

        Of an invoice in instalments: those that are due, else the earliest.
        """
        self._check_allowed()
        moves = self.move_ids._origin
        today = self._get_today()
        Enrollment = self.env["dunning.enrollment"].sudo()
        found = {move: [] for move in moves}
        for row in Enrollment._read_by_hand(moves, today):
            found[moves.browse(row["move_id"])].append(row)
        chosen, skipped = {}, {}
        for move, rows in found.items():
            usable = [row for row in rows if not row["reason"]]
            due = [row for row in usable if self._is_due(row, today)]
            if usable:
                chosen[move] = due or usable[:1]
            else:
                skipped[move] = self._get_skip_reason(move, rows)
        return chosen, skipped

    @api.model
    def _is_due(self, row, today):
        coming = (row["decision"] or {}).get("next_date")
        return row["due_date"] < today or bool(coming and coming <= today)

    @api.model
    def _get_skip_reason(self, move, rows):
        """Say why an invoice cannot be reminded, with a date where there is one."""
        Enrollment = self.env["dunning.enrollment"]
        if move.state != "posted":
            return Enrollment._get_reason_labels(["cancelled"])
        if not rows:
            return Enrollment._get_reason_labels(["paid"])
        row = next((row for row in rows if row["residual"]), rows[0])
        reason = Enrollment._get_reason_labels([row["reason"]])
        if row["reason"] == row["hold_kind"] and row["hold_last_day"]:
            return self.env._(
                "%(reason)s, until %(date)s",
                reason=reason,
                date=format_date(self.env, row["hold_last_day"]),
            )
        return reason

    def _get_chosen_step(self):
        """The step that a person chose; none while it is the one proposed."""
        step = self.step_id._origin
        lines = self.line_ids
        proposed = len(lines) == 1 and step == lines.step_id._origin
        return step.browse() if proposed else step

    def _new_instalments(self, rows, chosen):
        """The instalments as the engine composes them; in memory."""
        Enrollment = self.env["dunning.enrollment"].sudo()
        Enrollment = Enrollment.with_company(self.company_id)
        chosen = chosen.sudo()
        return Enrollment.union(*(Enrollment._new_by_hand(row, chosen) for row in rows))

    # ------------------------------------------------------------------------
    # COMPUTE
    # ------------------------------------------------------------------------

    @api.depends("move_ids")
    def _compute_said_ids(self):
        for wizard in self:
            wizard.said_ids = wizard._get_said_lines(wizard.move_ids._origin).ids

    @api.depends("move_ids")
    def _compute_company_id(self):
        for wizard in self:
            wizard.company_id = wizard.move_ids._origin.company_id[:1]

    @api.depends("move_ids", "grouping", "outcome")
    def _compute_line_ids(self):
        for wizard in self:
            chosen, skipped = wizard._read_rows()
            lines = wizard._prepare_lines(chosen)
            skips = [
                {"move_id": move.id, "reason": reason}
                for move, reason in skipped.items()
            ]
            wizard.line_ids = [(5, 0, 0), *((0, 0, vals) for vals in lines)]
            wizard.skip_ids = [(5, 0, 0), *((0, 0, vals) for vals in skips)]

    def _prepare_lines(self, chosen):
        """One dict of values for each message, oldest due date first."""
        if not chosen:
            return []
        moves = self.env["account.move"].union(*chosen)
        whom = self._get_default_recipients(moves)
        groups = {}
        for move in sorted(chosen, key=lambda m: (chosen[m][0]["due_date"], m.id)):
            key = self._get_grouping_key(move, whom[move.id])
            groups[key] = groups.get(key, moves.browse()) + move
        return [
            self._prepare_line_vals(group, whom[group[0].id], chosen)
            for group in groups.values()
        ]

    def _get_default_recipients(self, moves):
        if self.outcome == "email":
            return moves._get_dunning_recipients()
        return moves._get_dunning_postal_recipients()

    def _get_grouping_key(self, move, whom):
        """What makes one message. Invoices with other recipients have their own."""
        key = (
            move.commercial_partner_id,
            tuple(whom["to"]),
            tuple(whom["cc"]),
            tuple(whom["bcc"]),
            move._get_dunning_lang(whom),
        )
        return (*key, move) if self.grouping == "invoice" else key

    def _prepare_line_vals(self, moves, whom, chosen):
        rows = [row for move in moves for row in chosen[move]]
        lacking = self._get_lacking_address(whom, rows[0])
        days = (self._get_today() - min(row["due_date"] for row in rows)).days
        return {
            "partner_id": moves[0].commercial_partner_id.id,
            "move_ids": [(6, 0, moves.ids)],
            "amount_due": self._format_amounts(moves, chosen),
            "days_late": max(days, 0),
            "step_id": self._get_proposed_step(rows).id,
            "email_to": ", ".join(whom["to"]),
            "email_cc": ", ".join(whom["cc"]),
            "email_bcc": ", ".join(whom["bcc"]),
            "recipient_ids": [(6, 0, whom["partners"].ids)],
            "recipient_source": whom["source"],
            "is_chosen": not lacking,
            "lacking": lacking,
        }

    def _get_proposed_step(self, rows):
        """The step that gives the text of a message, as nobody chooses another."""
        Step = self.env["dunning.sequence.step"]
        carrier = self._get_carrier(self._new_instalments(rows, Step))
        return carrier._get_text_step(self._get_today())

    @api.model
    def _get_carrier(self, instalments):
        Reminder = self.env["dunning.reminder"].sudo()
        return instalments.sorted(
            lambda e: Reminder._get_carrier_key(e.next_step_id, e.due_date)
        )[:1]

    def _get_lacking_address(self, whom, row):
        """Say what is missing for it to arrive, False when nothing is."""
        Enrollment = self.env["dunning.enrollment"].sudo()
        if self.outcome == "email" and not whom["to"]:
            return Enrollment._get_reason_labels(["no_recipient"])
        if self.outcome == "letter" and not Enrollment._has_postal_address(row):
            return Enrollment._get_reason_labels(["no_address"])
        return False

    def _format_amounts(self, moves, chosen):
        """One total per currency."""
        totals = {}
        for move in moves:
            for row in chosen[move]:
                amount = totals.get(move.currency_id, 0.0)
                totals[move.currency_id] = amount + float(row["residual_currency"])
        return ", ".join(
            formatLang(self.env, total, currency_obj=currency)
            for currency, total in totals.items()
        )

    @api.depends("line_ids", "outcome")
    def _compute_is_single(self):
        for wizard in self:
            recorded = wizard.outcome == OUTCOME_RECORDED
            wizard.is_single = len(wizard.line_ids) == 1 and not recorded

    @api.depends("move_ids")
    def _compute_can_group(self):
        for wizard in self:
            wizard.can_group = len(wizard.move_ids) > 1

    @api.depends_context("uid")
    def _compute_can_keep_contacts(self):
        self.can_keep_contacts = self.env["res.partner"].has_access("create")

    @api.depends("skip_ids.reason")
    @api.depends_context("lang")
    def _compute_skip_summary(self):
        for wizard in self:
            wizard.skip_summary = ", ".join(
                f"{skip.move_id.name} ({skip.reason})" for skip in wizard.skip_ids[:5]
            ) + (", …" if len(wizard.skip_ids) > 5 else "")

    @api.depends("move_ids")
    def _compute_history_ids(self):
        for wizard in self:
            lines = self.env["dunning.reminder.line"].search(
                [("move_id", "in", wizard.move_ids._origin.ids)], order="id desc"
            )
            last = lines.filtered("counts")[:1]
            wizard.history_ids = lines
            wizard.history_summary = bool(last) and self.env._(
                "%(date)s: %(step)s",
                date=format_date(self.env, last.sent_on or last.date),
                step=last.step_name or last.reminder_id.subject,
            )

    @api.depends("line_ids")
    def _compute_step_id(self):
        """Of one message, the step proposed; of many, each has its own."""
        for wizard in self:
            lines = wizard.line_ids
            single = len(lines) == 1
            wizard.step_id = single and (wizard.step_id or lines.step_id)

    @api.depends("line_ids", "step_id")
    def _compute_options(self):
        """As the sequence of the first one does, to begin with."""
        for wizard in self:
            step = wizard.step_id or wizard.line_ids[:1].step_id
            sequence = step.sequence_id.sudo()
            wizard.attach_invoice = sequence.attach_invoice
            wizard.attach_statement = sequence.attach_statement
            wizard.payment_link = sequence.payment_link
            wizard.email_from = wizard.is_single and self.env[
                "dunning.reminder"
            ].sudo()._get_email_from(sequence, wizard.company_id)

    @api.depends("line_ids")
    def _compute_recipients(self):
        for wizard in self:
            line = wizard.line_ids if wizard.is_single else wizard.line_ids.browse()
            wizard.email_to = line.email_to
            wizard.email_cc = line.email_cc
            wizard.email_bcc = line.email_bcc

    @api.depends("line_ids.lacking", "email_to")
    def _compute_lacking(self):
        for wizard in self:
            single = wizard.is_single and not wizard.email_to
            wizard.lacking = single and wizard.line_ids.lacking

    @api.depends("is_typed", "step_id")
    def _compute_typed(self):
        """Begin with the text of the step, where that is a typed one."""
        for wizard in self:
            step = wizard.step_id or wizard.line_ids.step_id[:1]
            if not wizard.is_typed or wizard.typed_subject or step.content != "text":
                continue
            wizard.typed_subject = step.subject
            wizard.typed_body = step.body

    @api.depends_context("lang")
    def _compute_merge_fields(self):
        self.merge_fields = self.env["dunning.sequence.step"]._get_merge_fields()

    @api.depends("line_ids", "step_id", "template_id", "payment_link")
    def _compute_text(self):
        """What is proposed, until a person changes it; then while it stays the same."""
        for wizard in self:
            subject = body = problem = False
            if wizard.is_single:
                subject, body, problem = wizard._render_line(wizard.line_ids)
            if wizard._is_proposed(subject, body):
                subject, body = wizard.subject, wizard.body
            else:
                wizard.proposed_subject, wizard.proposed_body = subject, body
            wizard.subject, wizard.body = subject, body
            wizard.problem = problem

    def _is_proposed(self, subject, body):
        """Has this text been proposed before?"""
        body = self._fields["proposed_body"].convert_to_cache(body, self)
        return (subject or "", str(body or "")) == (
            self.proposed_subject or "",
            str(self.proposed_body or ""),
        )

    @api.depends(
        "preview_move_id",
        "line_ids",
        "step_id",
        "template_id",
        "payment_link",
        "is_typed",
        "typed_subject",
        "typed_body",
    )
    def _compute_preview(self):
        for wizard in self:
            move = wizard.preview_move_id._origin
            line = wizard.line_ids.filtered(
                lambda line, move=move: move in line.move_ids._origin
            )[:1]
            subject = body = problem = False
            if line and not wizard.is_single and wizard.outcome != OUTCOME_RECORDED:
                subject, body, problem = wizard._render_line(line)
            wizard.preview_subject = problem or subject
            wizard.preview_body = body

    def _render_line(self, line):
        """Return (subject, text, what is wrong): the message of a line as it is now.

        By the code that writes a reminder, in memory: nothing is stored.
        """
        chosen, _skipped = self._read_rows()
        rows = [row for m in line.move_ids._origin for row in chosen.get(m, ())]
        if not rows:
            return False, False, False
        whom = line._get_default_whom()
        instalments = self._new_instalments(rows, self._get_chosen_step())
        reminder = self._new_reminder(whom, instalments)
        try:
            subject, body = reminder._get_renderer(
                reminder.step_id.with_context(lang=reminder.lang)
            )(reminder)
        except Exception as error:  # the text of a person: shown to a person
            return False, False, reminder._get_failure_reason(error)
        return subject, body, False

    def _new_reminder(self, whom, instalments):
        lang = instalments[:1].move_id._get_dunning_lang(whom)
        Reminder = self.env["dunning.reminder"].sudo().with_company(self.company_id)
        whom["channel"] = self.outcome
        whom["choices"] = self._prepare_choices(instalments, whom, lang)
        vals = Reminder._prepare_reminder_vals(
            False, whom, lang, instalments, self._get_today(), "manual"
        )
        return Reminder.with_context(lang=lang).new(vals)

    # ------------------------------------------------------------------------
    # ACTIONS
    # ------------------------------------------------------------------------

    def _get_composer_action(self):
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Send Payment Reminders"),
            "res_model": self._name,
            "res_id": self.id,
            "view_mode": "form",
            "views": [(False, "form")],
            "target": "new",
            "context": {"dialog_size": "extra-large"},
        }
