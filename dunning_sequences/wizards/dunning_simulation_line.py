from odoo import api, fields, models
from odoo.tools import format_date, formatLang


class DunningSimulationLine(models.TransientModel):
    """A reminder to come, or an instalment that gets none, and why."""

    _name = "dunning.simulation.line"
    _description = "Simulated Reminder"
    _order = "date, partner_id, due_date, id"

    simulation_id = fields.Many2one(
        comodel_name="dunning.simulation",
        required=True,
        readonly=True,
        index=True,
        ondelete="cascade",
    )
    outcome = fields.Selection(
        selection=[
            ("reminded", "Will be reminded"),
            ("by_hand", "To be done by hand"),
            ("silent", "Will not be reminded"),
        ],
        readonly=True,
    )

    # === Which === #
    move_id = fields.Many2one(
        comodel_name="account.move", string="Invoice", readonly=True, ondelete="cascade"
    )
    due_date = fields.Date(readonly=True)
    partner_id = fields.Many2one(
        comodel_name="res.partner", string="Customer", readonly=True, ondelete="cascade"
    )
    company_id = fields.Many2one(
        comodel_name="res.company", readonly=True, ondelete="cascade"
    )
    amount_residual = fields.Monetary(
        string="Amount in Currency", currency_field="currency_id", readonly=True
    )
    currency_id = fields.Many2one(comodel_name="res.currency", readonly=True)
    amount_company = fields.Monetary(
        string="Amount Due", currency_field="company_currency_id", readonly=True
    )
    company_currency_id = fields.Many2one(comodel_name="res.currency", readonly=True)

    # === When === #
    date = fields.Date(string="Day", readonly=True)
    sequence_id = fields.Many2one(
        comodel_name="dunning.sequence",
        string="Reminder Sequence",
        readonly=True,
        ondelete="cascade",
    )
    step_id = fields.Many2one(
        comodel_name="dunning.sequence.step",
        readonly=True,
        ondelete="cascade",
    )
    mode = fields.Selection(related="step_id.mode")
    occurrence = fields.Integer(readonly=True)
    is_first = fields.Boolean(
        readonly=True, help="The first reminder of the instalment in these days."
    )

    # === Or why not === #
    reason = fields.Selection(
        selection="_selection_reason", string="Why Not", readonly=True
    )
    until = fields.Date(readonly=True)
    explanation = fields.Char(compute="_compute_explanation")

    @api.model
    def _selection_reason(self):
        """Why an instalment waits; and what is no wait, but no reminder either."""
        words = {
            "later": self.env._("Next reminder after these days"),
            "done": self.env._("The last step has been sent"),
        }
        reasons = self.env["dunning.enrollment"]._selection_hold_reason()
        return [*reasons, *words.items()]

    @api.depends("partner_id", "step_id")
    def _compute_display_name(self):
        for line in self:
            names = (line.partner_id.name, line.step_id.name or line.move_id.name)
            line.display_name = ": ".join(filter(None, names))

    @api.depends("outcome", "date", "step_id", "reason", "until")
    @api.depends_context("lang")
    def _compute_explanation(self):
        reasons = dict(self._fields["reason"]._description_selection(self.env))
        for line in self:
            line.explanation = line._get_explanation(reasons.get(line.reason, ""))

    def _get_explanation(self, reason):
        """Say in one line what happens, or why nothing does."""
        self.ensure_one()
        values = {
            "step": self.step_id.name,
            "date": format_date(self.env, self.date or self.until),
            "reason": reason,
        }
        if self.outcome == "by_hand":
            return self.env._("“%(step)s” is to be done by hand on %(date)s", **values)
        if self.outcome == "reminded" and self.mode == "approval":
            return self.env._("“%(step)s” is to be approved on %(date)s", **values)
        if self.outcome == "reminded":
            return self.env._("“%(step)s” leaves on %(date)s", **values)
        if self.reason == "later" and self.until:
            return self.env._("Next reminder on %(date)s", **values)
        if self.until:
            return self.env._("%(reason)s, until %(date)s", **values)
        return reason

    def _prepare_row(self):
        """What the mail says of it."""
        self.ensure_one()
        return (
            format_date(self.env, self.date),
            self.partner_id.name,
            self.move_id.name,
            self.step_id.name,
            formatLang(self.env, self.amount_residual, currency_obj=self.currency_id),
        )

    def action_open_invoice(self):
        self.ensure_one()
        return {
            "type": "ir.actions.act_window",
            "res_model": "account.move",
            "res_id": self.move_id.id,
            "views": [[False, "form"]],
        }
