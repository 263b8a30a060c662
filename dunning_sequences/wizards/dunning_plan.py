from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.tools import float_round, formatLang

#: Payments of a plan; who needs more wants something else than reminders.
MOST = 60


class DunningPlan(models.TransientModel):
    """A payment plan for one or several invoices: becomes a promise for each payment.

    See `promise` for when it is kept.
    """

    _name = "dunning.plan"
    _description = "Payment Plan"

    move_ids = fields.Many2many(
        comodel_name="account.move", string="Invoices", required=True, readonly=True
    )
    partner_id = fields.Many2one(
        comodel_name="res.partner", string="Customer", compute="_compute_facts"
    )
    company_id = fields.Many2one(comodel_name="res.company", compute="_compute_facts")
    currency_id = fields.Many2one(comodel_name="res.currency", compute="_compute_facts")
    amount_open = fields.Monetary(string="Open", compute="_compute_facts")
    amount = fields.Monetary(
        string="To Be Paid",
        compute="_compute_amount",
        store=True,
        compute_sudo=False,
        readonly=False,
        help="What the plan is about: all that is open, or a part of it.",
    )
    payments = fields.Integer(string="Number of Payments", default=3, required=True)
    first_date = fields.Date(
        string="First Payment",
        default=lambda self: self._default_first_date(),
        required=True,
    )
    rhythm = fields.Selection(
        selection=[
            ("month", "Every month"),
            ("fortnight", "Every two weeks"),
            ("week", "Every week"),
        ],
        string="Then",
        default="month",
        required=True,
    )
    line_ids = fields.One2many(
        comodel_name="dunning.plan.line",
        inverse_name="plan_id",
        string="Payments",
        compute="_compute_line_ids",
        store=True,
        compute_sudo=False,
        readonly=False,
    )
    amount_left = fields.Monetary(
        string="Not in the Plan",
        compute="_compute_amount_left",
        help="What is open and no payment of the plan covers.",
    )
    note = fields.Text(help="Anything a colleague should know.")

    @api.model
    def _default_first_date(self):
        """In a month: nobody asks for a plan who could pay now."""
        return fields.Date.add(self.env.company._dunning_today(), months=1)

    # ------------------------------------------------------------------------
    # COMPUTE
    # ------------------------------------------------------------------------

    @api.depends("move_ids")
    def _compute_facts(self):
        for plan in self:
            moves = plan.move_ids._origin
            plan.partner_id = moves.commercial_partner_id[:1]
            plan.company_id = moves.company_id[:1]
            plan.currency_id = moves.currency_id[:1]
            plan.amount_open = sum(move._get_dunning_open() for move in moves)

    @api.depends("move_ids")
    def _compute_amount(self):
        for plan in self:
            plan.amount = plan.amount_open

    @api.depends("amount", "payments", "first_date", "rhythm")
    def _compute_line_ids(self):
        for plan in self:
            lines = plan._prepare_lines()
            plan.line_ids = [(5, 0, 0), *((0, 0, vals) for vals in lines)]

    def _prepare_lines(self):
        """Even amounts; what they leave by their rounding is in the last one.

        Hook: override to propose otherwise.
        """
        self.ensure_one()
        count = min(max(self.payments, 0), MOST)
        if not count or not self.first_date:
            return []
        rounding = self.currency_id.rounding or 0.01
        even = float_round(
            self.amount / count, precision_rounding=rounding, rounding_method="DOWN"
        )
        amounts = [even] * (count - 1)
        amounts.append(
            float_round(self.amount - sum(amounts), precision_rounding=rounding)
        )
        return [
            {"date": self._get_date(number), "amount": amount}
            for number, amount in enumerate(amounts)
        ]

    def _get_date(self, number):
        """The day of a payment; of a first one on the 31st, the last of each month."""
        gaps = {
            "month": {"months": number},
            "fortnight": {"weeks": 2 * number},
            "week": {"weeks": number},
        }
        return fields.Date.add(self.first_date, **gaps[self.rhythm])

    @api.depends("amount_open", "line_ids.amount")
    def _compute_amount_left(self):
        for plan in self:
            plan.amount_left = plan.amount_open - sum(plan.line_ids.mapped("amount"))

    # ------------------------------------------------------------------------
    # MAKE
    # ------------------------------------------------------------------------

    def action_confirm(self):
        """Make a promise of each payment; what was promised before of these is over."""
        self.ensure_one()
        self.env["dunning.hold"].check_access("create")
        self._check_moves()
        self._check_lines()
        moves = self.move_ids
        moves._get_dunning_holds("promise")._split_for(moves).action_close()
        holds = self.env["dunning.hold"].create(
            [self._prepare_hold_vals(line) for line in self.line_ids.sorted("date")]
        )
        holds.plan_id = holds[:1]
        self.env["dunning.answer"]._close_proposals(moves)
        return {"type": "ir.actions.act_window_close"}

    def _prepare_hold_vals(self, line):
        """Hook: override to write more on each promise."""
        return {
            "kind": "promise",
            "move_ids": [(6, 0, self.move_ids.ids)],
            "company_id": self.company_id.id,
            "currency_id": self.currency_id.id,
            "until": line.date,
            "amount": line.amount,
            "reason": self.env._(
                "Payment plan of %(count)s payments", count=len(self.line_ids)
            ),
            "note": self.note,
        }

    def _check_moves(self):
        """A plan is what one customer agrees on with one company.

        :raise UserError: saying what is wrong
        """
        moves = self.move_ids
        moves.check_access("read")
        if moves.company_id - self.env.companies:
            raise AccessError(self.env._("Choose invoices of your own companies."))
        if (
            len(moves.commercial_partner_id) != 1
            or len(moves.currency_id) != 1
            or len(moves.company_id) != 1
        ):
            raise UserError(
                self.env._(
                    "A payment plan is for invoices of one customer, in one currency."
                )
            )
        closed = moves.filtered(
            lambda move: move.state != "posted" or not move._get_dunning_open()
        )
        closed |= moves - moves._filter_dunning_sales()
        if closed:
            raise UserError(
                self.env._(
                    "A payment plan is for posted invoices on which something is open: "
                    "leave out %(invoices)s.",
                    invoices=", ".join(closed.mapped("display_name")),
                )
            )

    def _check_lines(self):
        """:raise UserError: saying what is wrong"""
        currency, lines = self.currency_id, self.line_ids
        dates = lines.mapped("date")
        if not lines or len(lines) > MOST:
            raise UserError(
                self.env._(
                    "A payment plan has between 1 and %(most)s payments.", most=MOST
                )
            )
        if len(set(dates)) < len(dates):
            raise UserError(self.env._("Give each payment a day of its own."))
        if min(dates) < self.company_id._dunning_today():
            raise UserError(self.env._("The first payment cannot be in the past."))
        if any(currency.compare_amounts(line.amount, 0) <= 0 for line in lines):
            raise UserError(self.env._("Give each payment an amount."))
        if currency.compare_amounts(self.amount_left, 0) < 0:
            raise UserError(
                self.env._(
                    "The payments are more than what is open: %(open)s.",
                    open=formatLang(self.env, self.amount_open, currency_obj=currency),
                )
            )
