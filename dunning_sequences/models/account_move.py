from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import SQL, formatLang

#: The states of an invoice's reminders: the first one over its instalments is shown,
#: or "none".
STATUSES = (
    "failed",
    "to_approve",
    "todo",
    "paused",
    "held",
    "active",
    "done",
)

#: Who sees what concerns reminders: not the customer in the portal, not everybody who
#: may open an invoice.
BILLING = "account.group_account_invoice,account.group_account_readonly"

#: Changes of an invoice that its enrollments must follow.
MARKING_FIELDS = {
    "dunning_policy",
    "dunning_sequence_id",
    "dunning_recipient_ids",
    "dunning_email_to",
    "invoice_date_due",
    "invoice_payment_term_id",
    "is_move_sent",
    "partner_id",
    "payment_state",
    "preferred_payment_method_line_id",
    "state",
}


class AccountMove(models.Model):
    _inherit = "account.move"

    # Own columns are nullable and without default: NULL means "as the customer",
    # and installing on a million invoices rewrites none.
    dunning_policy = fields.Selection(
        groups=BILLING,
        selection=[("own", "A sequence of its own"), ("none", "No reminders")],
        string="Reminders",
        copy=False,
        help="Empty: as set on the customer, else in the company's settings.",
    )
    dunning_sequence_id = fields.Many2one(
        groups=BILLING,
        comodel_name="dunning.sequence",
        string="Own Reminder Sequence",
        copy=False,
        index="btree_not_null",
        check_company=True,
    )
    dunning_since = fields.Date(groups=BILLING, copy=False)
    dunning_recipient_ids = fields.Many2many(
        groups=BILLING,
        comodel_name="res.partner",
        relation="account_move_dunning_recipient_rel",
        string="Reminder Recipients",
        copy=False,
        check_company=True,
        help="Only for this invoice. Empty: the customer's reminder contacts, else "
        "his invoice address.",
    )
    dunning_email_to = fields.Char(
        groups=BILLING,
        string="Also To",
        copy=False,
        help="More addresses, separated by commas.",
    )
    dunning_recipients_shown = fields.Char(
        groups=BILLING,
        string="Go To",
        compute="_compute_dunning_recipients_shown",
        help="Who gets the reminders of this invoice as things are, and where the "
        "address comes from.",
    )
    dunning_email_cc = fields.Char(groups=BILLING, string="Reminder Cc", copy=False)
    dunning_email_bcc = fields.Char(groups=BILLING, string="Reminder Bcc", copy=False)
    dunning_hold_ids = fields.Many2many(
        groups=BILLING,
        comodel_name="dunning.hold",
        relation="dunning_hold_move_rel",
        column1="move_id",
        column2="hold_id",
        string="Reminder Holds",
        copy=False,
        check_company=True,
    )
    dunning_enrollment_ids = fields.One2many(
        groups=BILLING,
        comodel_name="dunning.enrollment",
        inverse_name="move_id",
        string="Coming Reminders",
        readonly=True,
    )
    dunning_reminder_line_ids = fields.One2many(
        groups=BILLING,
        comodel_name="dunning.reminder.line",
        inverse_name="move_id",
        string="Past Reminders",
        readonly=True,
    )
    dunning_reminder_ids = fields.Many2many(
        groups=BILLING,
        comodel_name="dunning.reminder",
        string="Payment Reminders",
        compute="_compute_dunning_reminder_ids",
        search="_search_dunning_reminder_ids",
    )
    dunning_effective_sequence_id = fields.Many2one(
        groups=BILLING,
        comodel_name="dunning.sequence",
        string="Reminder Sequence",
        compute="_compute_dunning_next",
    )
    dunning_status = fields.Selection(
        groups=BILLING,
        selection=[
            ("failed", "Failed"),
            ("to_approve", "To Approve"),
            ("todo", "To Do"),
            ("paused", "Paused"),
            ("held", "Held"),
            ("active", "Active"),
            ("done", "Done"),
            ("none", "None"),
        ],
        string="Reminder Status",
        compute="_compute_dunning_status",
        search="_search_dunning_status",
    )
    dunning_next_date = fields.Date(
        groups=BILLING,
        string="Next Reminder",
        compute="_compute_dunning_status",
        search="_search_dunning_next_date",
    )
    dunning_next_step_id = fields.Many2one(
        groups=BILLING,
        comodel_name="dunning.sequence.step",
        string="Next Step",
        compute="_compute_dunning_next",
    )
    dunning_explanation = fields.Char(
        groups=BILLING, string="What Comes Next", compute="_compute_dunning_next"
    )
    dunning_paused = fields.Boolean(
        groups=BILLING,
        string="Reminders Paused",
        compute="_compute_dunning_paused",
        inverse="_inverse_dunning_pause",
    )
    dunning_pause_until = fields.Date(
        groups=BILLING,
        string="Paused Until",
        compute="_compute_dunning_pause_until",
        inverse="_inverse_dunning_pause",
    )
    dunning_pause_reason = fields.Char(
        groups=BILLING,
        string="Reason of the Pause",
        compute="_compute_dunning_pause_reason",
        inverse="_inverse_dunning_pause",
    )

    dunning_promise_date = fields.Date(
        groups=BILLING,
        string="Promised For",
        compute="_compute_dunning_promise_date",
        inverse="_inverse_dunning_promise",
        help="Nothing is sent until this day, and three days more for the payment to "
        "arrive.",
    )
    dunning_promise_amount = fields.Monetary(
        groups=BILLING,
        string="Promised",
        compute="_compute_dunning_promise_amount",
        inverse="_inverse_dunning_promise",
    )
    dunning_disputed = fields.Boolean(
        groups=BILLING,
        string="Disputed",
        compute="_compute_dunning_disputed",
        inverse="_inverse_dunning_disputed",
        help="Nothing is sent while the invoice is in dispute.",
    )
    dunning_disputed_amount = fields.Monetary(
        groups=BILLING,
        string="Disputed Amount",
        compute="_compute_dunning_disputed_amount",
        inverse="_inverse_dunning_disputed",
        help="The part of the invoice that is in dispute; all that is open if nobody "
        "says.",
    )

    # ------------------------------------------------------------------------
    # STATUS: one SQL expression for compute, search and group-by
    # ------------------------------------------------------------------------

    @api.model
    def _get_dunning_first_status_sql(self):
        """The first status over the enrollments ``e`` of an invoice that is open."""
        return SQL(
            """
            (%s)[MIN(CASE WHEN e.hold_reason = 'failed' THEN 1
                          WHEN e.hold_reason = 'approval' THEN 2
                          WHEN e.state = 'todo' THEN 3
                          WHEN e.hold_reason = 'pause' THEN 4
                          WHEN e.state = 'running'
                            OR e.hold_reason = 'leaving' THEN 6
                          WHEN e.state = 'held' THEN 5
                          WHEN e.state = 'done' THEN 7 END)]
            """,
            list(STATUSES),
        )

    def _get_dunning_status_sql(self, alias):
        """The status of the invoice ``alias``: see `_compute_dunning_status`."""
        return SQL(
            """
            COALESCE((
                SELECT %(status)s
                  FROM dunning_enrollment e
                 WHERE e.move_id = %(id)s AND e.state != 'stopped'
                   AND %(state)s = 'posted'
                   AND %(payment)s NOT IN ('paid', 'reversed')
            ), 'none')
            """,
            status=self._get_dunning_first_status_sql(),
            id=SQL.identifier(alias, "id"),
            state=SQL.identifier(alias, "state"),
            payment=SQL.identifier(alias, "payment_state"),
        )

    def _field_to_sql(self, alias, fname, query=None):
        if fname == "dunning_status":
            self._check_field_access(self._fields[fname], "read")
            return self._get_dunning_status_sql(alias)
        return super()._field_to_sql(alias, fname, query=query)

    @api.depends(
        "dunning_enrollment_ids.state",
        "dunning_enrollment_ids.next_date",
        "payment_state",
        "state",
    )
    def _compute_dunning_status(self):
        """Both columns of the list of invoices with one query."""
        self.dunning_status = "none"
        self.dunning_next_date = False
        sales = self._filter_dunning_sales()
        found = sales._origin._read_dunning_status()
        if not found:
            return
        for (status, day), moves in sales.grouped(
            lambda move: found.get(move._origin.id, ("none", False))
        ).items():
            followed = moves.filtered(lambda move: move._is_dunning_open())
            followed.dunning_status = status
            moves.dunning_next_date = day

    def _is_dunning_open(self):
        self.ensure_one()
        return self.state == "posted" and self.payment_state not in ("paid", "reversed")

    def _read_dunning_status(self):
        """Return {invoice id: (first status, earliest date)} of those followed."""
        if not self.ids:
            return {}
        enrollments = self.env["dunning.enrollment"]
        enrollments.flush_model(["state", "hold_reason", "next_date"])
        rows = self.env.execute_query(
            SQL(
                """
                SELECT e.move_id, %s, MIN(e.next_date) FROM dunning_enrollment e
                 WHERE e.move_id = ANY(%s) AND e.state != 'stopped'
              GROUP BY e.move_id
                """,
                self._get_dunning_first_status_sql(),
                self.ids,
            )
        )
        return {move_id: (status or "none", day) for move_id, status, day in rows}

    def _search_dunning_status(self, operator, value):
        # Odoo asks for the rights where it writes the SQL, which we do ourselves.
        self._check_field_access(self._fields["dunning_status"], "read")
        if operator not in ("in", "not in"):
            return NotImplemented
        statuses = [status for status in value if status]  # none has no status
        domain = Domain.custom(
            to_sql=lambda model, alias, _query: SQL(
                "%s = ANY(%s)", self._get_dunning_status_sql(alias), statuses
            )
        )
        return domain if operator == "in" else ~domain

    @api.model
    def _get_dunning_fields(self):
        """Fields that follow the enrollments."""
        return [
            "dunning_effective_sequence_id",
            "dunning_status",
            "dunning_next_date",
            "dunning_next_step_id",
            "dunning_explanation",
            "dunning_enrollment_ids",
        ]

    @api.depends("dunning_enrollment_ids.next_date", "dunning_enrollment_ids.state")
    @api.depends_context("lang")
    def _compute_dunning_next(self):
        for move in self:
            followed = move.dunning_enrollment_ids.sudo().filtered(
                lambda enrollment: enrollment.state != "stopped"
            )
            # Those with a date first, the earliest of all.
            following = followed.sorted(
                lambda e: (
                    e.state == "done",
                    not e.next_date,
                    e.next_date or e.due_date,
                )
            )[:1]
            move.dunning_effective_sequence_id = following.sequence_id
            move.dunning_next_step_id = following.next_step_id
            move.dunning_explanation = following.explanation

    def _search_dunning_next_date(self, operator, value):
        if operator == "not in":
            return ~self._search_dunning_next_date("in", value)
        if operator == "in" and False in value:
            dated = self._search_dunning_next_date("!=", False)
            return ~dated | self._search_dunning_next_date("in", set(value) - {False})
        return Domain(
            "dunning_enrollment_ids",
            "any",
            [("state", "!=", "stopped"), ("next_date", operator, value)],
        )

    @api.depends("dunning_reminder_line_ids")
    def _compute_dunning_reminder_ids(self):
        for move in self:
            move.dunning_reminder_ids = move.dunning_reminder_line_ids.reminder_id

    def _search_dunning_reminder_ids(self, operator, value):
        return Domain("dunning_reminder_line_ids.reminder_id", operator, value)

    # ------------------------------------------------------------------------
    # HOLDS: those that are open, as fields
    # ------------------------------------------------------------------------

    def _get_dunning_holds(self, kind):
        """The open holds of a kind of the invoices themselves, not of customers.

        Of a payment plan, the promise that comes next is the first.
        """
        sales = self._filter_dunning_sales()
        holds = sales.dunning_hold_ids._filter_open(kind)
        return holds.sorted("until") if kind == "promise" else holds

    def _set_dunning_hold(self, kind, vals):
        """Have one open hold of a kind on this invoice; ``vals`` None closes it."""
        self.ensure_one()
        holds = self._get_dunning_holds(kind)._split_for(self)
        if vals is None:
            holds.action_close()
        elif holds:
            holds[:1].write(vals)
        else:
            self.env["dunning.hold"].create(
                {
                    "kind": kind,
                    "move_ids": [(6, 0, self.ids)],
                    "company_id": self.company_id.id,
                    "currency_id": self.currency_id.id,
                    **vals,
                }
            )

    def _forget_dunning(self, *names):
        """Odoo keeps what is computed together while one of it is written."""
        self.invalidate_recordset(names, flush=False)

    # Each has a method of its own: what is computed together is empty to Odoo while
    # only one of it is written.

    @api.depends("dunning_hold_ids.closed_on", "dunning_hold_ids.until")
    def _compute_dunning_paused(self):
        for move in self:
            move.dunning_paused = bool(move._get_dunning_holds("pause"))

    @api.depends("dunning_hold_ids.closed_on", "dunning_hold_ids.until")
    def _compute_dunning_pause_until(self):
        for move in self:
            move.dunning_pause_until = move._get_dunning_holds("pause")[:1].until

    @api.depends("dunning_hold_ids.closed_on", "dunning_hold_ids.reason")
    def _compute_dunning_pause_reason(self):
        for move in self:
            move.dunning_pause_reason = move._get_dunning_holds("pause")[:1].reason

    def _inverse_dunning_pause(self):
        wanted = [
            (m, m.dunning_paused, m.dunning_pause_until, m.dunning_pause_reason)
            for m in self
        ]
        for move, paused, until, reason in wanted:
            vals = {"until": until, "reason": reason} if paused else None
            move._set_dunning_hold("pause", vals)
        self._forget_dunning(
            "dunning_paused", "dunning_pause_until", "dunning_pause_reason"
        )

    @api.depends("dunning_hold_ids.closed_on", "dunning_hold_ids.until")
    def _compute_dunning_promise_date(self):
        for move in self:
            move.dunning_promise_date = move._get_dunning_holds("promise")[:1].until

    @api.depends("dunning_hold_ids.closed_on", "dunning_hold_ids.amount")
    def _compute_dunning_promise_amount(self):
        for move in self:
            move.dunning_promise_amount = move._get_dunning_held_amount("promise")

    def _get_dunning_held_amount(self, kind):
        """What is promised, or disputed, of this invoice."""
        hold = self._get_dunning_holds(kind)[:1]
        return hold._get_share(self._origin) if hold else 0.0

    def _inverse_dunning_promise(self):
        wanted = [
            (move, move.dunning_promise_date, move.dunning_promise_amount)
            for move in self
        ]
        for move, day, amount in wanted:
            vals = {"until": day, **({"amount": amount} if amount else {})}
            move._set_dunning_hold("promise", vals if day else None)
        self._forget_dunning("dunning_promise_date", "dunning_promise_amount")

    @api.depends("dunning_hold_ids.closed_on", "dunning_hold_ids.until")
    def _compute_dunning_disputed(self):
        for move in self:
            move.dunning_disputed = bool(move._get_dunning_holds("dispute"))

    @api.depends("dunning_hold_ids.closed_on", "dunning_hold_ids.amount")
    def _compute_dunning_disputed_amount(self):
        for move in self:
            move.dunning_disputed_amount = move._get_dunning_held_amount("dispute")

    def _inverse_dunning_disputed(self):
        wanted = [(m, m.dunning_disputed, m.dunning_disputed_amount) for m in self]
        for move, disputed, amount in wanted:
            if disputed:
                move._check_dunning_disputed_amount(amount)
            vals = {"amount": amount or move.amount_residual} if disputed else None
            move._set_dunning_hold("dispute", vals)
        self._forget_dunning("dunning_disputed", "dunning_disputed_amount")

    def _check_dunning_disputed_amount(self, amount):
        """Nobody disputes less than nothing, nor more than the invoice.

        :raise UserError: to say so
        """
        self.ensure_one()
        if not 0 <= amount <= self.amount_total:
            raise UserError(
                self.env._(
                    "The disputed amount of %(invoice)s must be between 0 and "
                    "%(total)s.",
                    invoice=self.name,
                    total=formatLang(
                        self.env, self.amount_total, currency_obj=self.currency_id
                    ),
                )
            )

    def action_dunning_pause(self):
        """Open the form of a new pause; called from code, see `dunning_paused`."""
        return self.env["dunning.hold"]._get_pause_action(
            move_ids=[(6, 0, self.ids)], company_id=self.company_id[:1].id
        )

    def action_dunning_plan(self):
        """Open the dialog of a payment plan for these invoices."""
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Payment Plan"),
            "res_model": "dunning.plan",
            "view_mode": "form",
            "target": "new",
            "context": {"default_move_ids": [(6, 0, self.ids)]},
        }

    def action_dunning_resume(self):
        """End the pauses of these invoices: reminders go on at the same place."""
        self.env["dunning.hold"].check_access("write")
        pauses = self._get_dunning_holds("pause")
        if not pauses:
            raise UserError(
                self.env._(
                    "The reminders of these invoices are not paused. If the customer "
                    "is, resume them on the customer."
                )
            )
        pauses._split_for(self).action_close()
        return True

    def action_dunning_remind(self):
        """Send the coming reminder of these invoices now, by hand (K15).

        Of an invoice in instalments: of those that are due, else the earliest.

        :raise UserError: when there is none, or a hold says to wait
        """
        self.env["dunning.hold"].check_access("create")
        self._dunning_refresh()
        enrollments = self.dunning_enrollment_ids.filtered("next_step_id")
        ready = enrollments._filter_remindable()
        if not ready:
            raise UserError(
                self.env._(
                    "There is no reminder to send now. %(why)s",
                    why=", ".join(filter(None, self.mapped("dunning_explanation"))),
                )
            )
        for move in ready.move_id:
            mine = ready.filtered(lambda e, move=move: e.move_id == move)
            today = move.company_id._dunning_today()
            due = mine.filtered(lambda e, today=today: e.next_date <= today)
            ready -= mine - (due or mine.sorted("next_date")[:1])
        ready._check_first_today()
        ready._remind_by_hand()
        return True

    @api.depends(
        "dunning_recipient_ids",
        "dunning_email_to",
        "partner_id",
        "state",
        "dunning_enrollment_ids",
    )
    @api.depends_context("lang")
    def _compute_dunning_recipients_shown(self):
        sources = dict(
            self.env["dunning.reminder"]
            ._fields["recipient_source"]
            ._description_selection(self.env)
        )
        self.dunning_recipients_shown = False
        posted = self._filter_dunning_sales().filtered(lambda m: m.state == "posted")
        recipients = posted._get_dunning_recipients()
        for move in posted:
            whom = recipients[move.id]
            if whom["to"]:
                move.dunning_recipients_shown = self.env._(
                    "%(addresses)s (from: %(origin)s)",
                    addresses=", ".join(whom["to"]),
                    origin=sources[whom["source"]],
                )
            else:
                move.dunning_recipients_shown = self.env._("No e-mail address")

    def action_dunning_off(self):
        """No reminders for these invoices, whatever their customers follow (E15)."""
        return self._set_dunning_policy("none")

    def action_dunning_on(self):
        """As their customers again (E16)."""
        return self._set_dunning_policy(False)

    def _set_dunning_policy(self, policy):
        self.env["dunning.hold"].check_access("create")
        sales = self._filter_dunning_sales()
        sales.write({"dunning_policy": policy, "dunning_sequence_id": False})
        followed = sales.filtered(lambda m: m.dunning_status != "none")
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "success",
                "message": self.env._(
                    "%(count)s invoices, of which %(followed)s are followed now.",
                    count=len(sales),
                    followed=len(followed),
                ),
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }

    def action_view_dunning_reminders(self):
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dunning_sequences.dunning_reminder_action"
        )
        action["domain"] = [("line_ids.move_id", "in", self.ids)]
        action["context"] = {}
        return action

    def _filter_dunning_sales(self):
        """Those that can be reminded at all: nothing is read for any other move."""
        return self.filtered(lambda m: m.move_type in ("out_invoice", "out_receipt"))

    # ------------------------------------------------------------------------
    # MARK: what a change of an invoice means to its reminders
    # ------------------------------------------------------------------------

    def _dunning_mark(self, kind="move"):
        """Have the enrollments of these invoices looked at again."""
        sales = self._filter_dunning_sales()
        for company, moves in sales.grouped("company_id").items():
            day = company.sudo()._dunning_today()
            self.env["dunning.mark"]._mark(kind, moves.ids, day)

    def _dunning_refresh(self):
        """Follow now: a person looks at it right after his click."""
        self.env["dunning.enrollment"]._reconcile(self)

    def _post(self, soft=True):
        posted = super()._post(soft=soft)
        posted._dunning_mark("posted")
        return posted

    @api.model_create_multi
    def create(self, vals_list):
        vals_list = [self._complete_dunning_vals(vals) for vals in vals_list]
        moves = super().create(vals_list)
        if any(vals.get("dunning_policy") for vals in vals_list):
            own = moves.filtered("dunning_policy")
            own.dunning_since = self.env.company._dunning_today()
        return moves

    def write(self, vals):
        vals = self._complete_dunning_vals(vals)
        policy = {"dunning_policy", "dunning_sequence_id"} & vals.keys()
        joining = self._get_dunning_joining(vals) if policy else self.browse()
        res = super().write(vals)
        if joining:
            today = self.env.company._dunning_today()
            super(AccountMove, joining).write({"dunning_since": today})
        if MARKING_FIELDS & vals.keys():
            self._dunning_mark()
        if policy:
            self._dunning_refresh()
        return res

    @api.model
    def _complete_dunning_vals(self, vals):
        """A sequence alone means: this one."""
        if vals.get("dunning_sequence_id") and "dunning_policy" not in vals:
            return {**vals, "dunning_policy": "own"}
        return vals

    def _get_dunning_joining(self, vals):
        """Invoices that are given another sequence: they join it on that day."""
        if "dunning_since" in vals:
            return self.browse()
        sequence_id = vals.get("dunning_sequence_id")
        return self.filtered(
            lambda move: (
                ("dunning_policy" in vals)
                and (move.dunning_policy or False) != vals["dunning_policy"]
                or (sequence_id and move.dunning_sequence_id.id != sequence_id)
            )
        )
