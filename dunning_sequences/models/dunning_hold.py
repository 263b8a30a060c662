from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.fields import Domain

#: Days after which a hold without an end is listed.
AGEING_DAYS = 30

#: Days that a promised payment may take to arrive.
PROMISE_GRACE_DAYS = 3

#: What the reminders of an invoice follow: nothing else of a hold concerns them.
FOLLOWED_FIELDS = {
    "closed_on",
    "company_id",
    "kind",
    "move_ids",
    "partner_id",
    "since",
    "until",
}


class DunningHold(models.Model):
    """A reason to wait, for some invoices or for a whole customer.

    Open until it is closed by a person or until its last day is over. Kept for
    the history: who, why, from when and until when.
    """

    _name = "dunning.hold"
    _description = "Reminder Hold"
    _order = "since desc, id desc"
    _check_company_auto = True

    kind = fields.Selection(
        selection=[
            ("pause", "Pause"),
            ("promise", "Promise to pay"),
            ("dispute", "Dispute"),
            ("reply", "Reply to answer"),
            ("collection", "Handed to collection"),
        ],
        default="pause",
        required=True,
    )
    move_ids = fields.Many2many(
        comodel_name="account.move",
        relation="dunning_hold_move_rel",
        column1="hold_id",
        column2="move_id",
        string="Invoices",
        check_company=True,
        domain="[('move_type', 'in', ('out_invoice', 'out_receipt'))]",
    )
    partner_id = fields.Many2one(
        comodel_name="res.partner",
        string="Customer",
        index="btree_not_null",
        ondelete="cascade",
        help="All invoices of this customer wait.",
    )
    company_id = fields.Many2one(
        comodel_name="res.company",
        required=True,
        default=lambda self: self.env.company,
    )
    since = fields.Date(
        required=True, default=lambda self: self.env.company._dunning_today()
    )
    until = fields.Date(
        help="Last day of the hold. Reminders go on by themselves on the day after. "
        "Empty: until somebody ends it.",
    )
    user_id = fields.Many2one(
        comodel_name="res.users",
        string="By",
        default=lambda self: self.env.user,
        readonly=True,
    )
    reason = fields.Char()
    note = fields.Text()
    amount = fields.Monetary(help="What was promised, or what is disputed.")
    currency_id = fields.Many2one(
        comodel_name="res.currency",
        default=lambda self: self.env.company.currency_id,
    )
    closed_on = fields.Date(readonly=True)
    outcome = fields.Selection(
        selection=[
            ("resumed", "Resumed"),
            ("kept", "Kept"),
            ("broken", "Broken"),
            ("lapsed", "Lapsed"),
        ],
        readonly=True,
        help="Lapsed: a promise of a payment plan that was broken before, or of "
        "invoices that were cancelled.",
    )
    last_day = fields.Date(
        compute="_compute_last_day",
        store=True,
        help="Last day on which nothing is sent: a promise has some days of grace.",
    )

    is_ageing = fields.Boolean(
        compute="_compute_is_ageing",
        search="_search_is_ageing",
        string="Open for Long",
        help="Without an end, and older than 30 days: is it still wanted?",
    )

    _check_target = models.Constraint(
        "CHECK (until IS NULL OR until >= since)",
        "A hold cannot end before it begins.",
    )

    @api.depends("kind", "until")
    def _compute_last_day(self):
        for hold in self:
            days = PROMISE_GRACE_DAYS if hold.kind == "promise" else 0
            hold.last_day = hold.until and fields.Date.add(hold.until, days=days)

    @api.depends("since", "until", "closed_on")
    def _compute_is_ageing(self):
        for hold in self:
            hold.is_ageing = bool(hold.filtered_domain(self._get_ageing_domain()))

    def _search_is_ageing(self, operator, value):
        if operator != "in":
            return NotImplemented
        domain = Domain(self._get_ageing_domain())
        return domain if True in value else ~domain

    @api.model
    def _get_ageing_domain(self):
        limit = fields.Date.subtract(fields.Date.today(), days=AGEING_DAYS)
        return [
            ("closed_on", "=", False),
            ("until", "=", False),
            ("since", "<", limit),
        ]

    @api.depends("kind", "partner_id", "move_ids")
    @api.depends_context("lang")
    def _compute_display_name(self):
        kinds = dict(self._fields["kind"]._description_selection(self.env))
        for hold in self:
            whom = hold.partner_id.name or ", ".join(
                move.name or "" for move in hold.move_ids[:3]
            )
            kind = kinds.get(hold.kind) or ""
            if kind and whom:
                hold.display_name = self.env._(
                    "%(kind)s: %(whom)s", kind=kind, whom=whom
                )
            else:
                hold.display_name = kind or whom

    @api.constrains("kind", "until", "move_ids", "partner_id")
    def _check_complete(self):
        for hold in self:
            if bool(hold.move_ids) == bool(hold.partner_id):
                raise ValidationError(
                    self.env._("A hold is for some invoices or for one customer.")
                )
            if hold.kind == "promise" and not hold.until:
                raise ValidationError(
                    self.env._("A promise to pay needs the date that was promised.")
                )

    @api.model_create_multi
    def create(self, vals_list):
        vals_list = [self._complete_vals(vals) for vals in vals_list]
        for vals in vals_list:
            company = self.env["res.company"].browse(vals.get("company_id"))
            vals.setdefault("since", (company or self.env.company)._dunning_today())
        holds = super().create(vals_list)
        self._refresh(holds._get_moves())
        return holds

    def write(self, vals):
        if not FOLLOWED_FIELDS & vals.keys():
            return super().write(self._complete_vals(vals))
        before = self._get_moves()
        res = super().write(self._complete_vals(vals))
        self._refresh(before | self._get_moves())
        return res

    def unlink(self):
        moves = self._get_moves()
        res = super().unlink()
        self._refresh(moves)
        return res

    @api.model
    def _refresh(self, moves):
        """Follow now. The mark tells a delivery, which may have made the mail: of what
        is done but for this mail, a hold changes no state.
        """
        self.env["dunning.mark"]._mark("move", moves.ids, wake=False)
        moves._dunning_refresh()

    @api.model
    def _complete_vals(self, vals):
        """A customer is the whole company, not the contact that was picked.

        And who holds is who does it: nobody signs for another.
        """
        vals = dict(vals)
        if not self.env.su:
            vals.pop("user_id", None)
        if vals.get("partner_id"):
            partner = self.env["res.partner"].browse(vals["partner_id"])
            vals["partner_id"] = partner.commercial_partner_id.id
        return vals

    def _filter_open(self, kind):
        """Those of a kind that hold today, on the day of their company."""
        return self.filtered(
            lambda hold: (
                hold.kind == kind
                and not hold.closed_on
                and (
                    not hold.last_day
                    or hold.last_day >= hold.company_id._dunning_today()
                )
            )
        )

    def _split_for(self, moves):
        """Return holds of these invoices alone; the other invoices keep theirs."""
        split = self.browse()
        for hold in self:
            mine = hold.move_ids & moves
            if mine == hold.move_ids:
                split += hold
            else:
                split += hold._split_off(mine)
        return split

    def _split_off(self, moves):
        """Return a hold of some of its invoices, which it gives up."""
        self.ensure_one()
        part = self.copy({"move_ids": [(6, 0, moves.ids)]})
        self.write({"move_ids": [(3, move.id) for move in moves]})
        return part

    def _get_moves(self):
        """The invoices held: those named, and the customer's that are followed."""
        followed = self.env["dunning.enrollment"].search(
            [
                ("partner_id", "in", self.partner_id.ids),
                ("company_id", "child_of", self.company_id.ids),
                ("state", "!=", "stopped"),
            ]
        )
        return self.move_ids | followed.move_id

    @api.model
    def _get_pause_action(self, **values):
        """The dialog of a new pause.

        :param values: what is known of it, such as the invoices or the customer
        """
        form = self.env.ref("dunning_sequences.dunning_hold_view_form_pause")
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Pause Reminders"),
            "res_model": self._name,
            "view_mode": "form",
            "views": [(form.id, "form")],
            "target": "new",
            "context": {
                "default_kind": "pause",
                **{f"default_{name}": value for name, value in values.items()},
            },
        }

    def action_close(self):
        """End the hold today: reminders go on at the same place."""
        for company, holds in self.grouped("company_id").items():
            holds.write({"closed_on": company._dunning_today(), "outcome": "resumed"})
        return True
