from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.fields import Domain
from odoo.tools import format_date, formatLang, split_every

#: Lines listed one by one in the mail; the rest is a click away.
LISTED = 50

#: What a line is made of, in the order of the SQL statement below.
COLUMNS = {
    "simulation_id": "int",
    "outcome": "varchar",
    "date": "date",
    "step_id": "int",
    "occurrence": "int",
    "is_first": "bool",
    "reason": "varchar",
    "until": "date",
    "move_id": "int",
    "due_date": "date",
    "partner_id": "int",
    "company_id": "int",
    "sequence_id": "int",
    "amount_residual": "numeric",
    "amount_company": "numeric",
}


class DunningSimulation(models.TransientModel):
    """What the reminders of the coming days would be, with nothing sent.

    By the code of the real run, see `simulate`. Of a company, or of one sequence:
    one that does not run is supposed to be started today.
    """

    _name = "dunning.simulation"
    _description = "Reminder Simulation"

    company_id = fields.Many2one(
        comodel_name="res.company",
        required=True,
        default=lambda self: self.env.company,
    )
    sequence_id = fields.Many2one(
        comodel_name="dunning.sequence",
        string="Reminder Sequence",
        domain="[('company_id', 'parent_of', company_id)]",
        help="Empty: all sequences that run. One that does not run is simulated as if "
        "it was started today.",
    )
    sequence_state = fields.Selection(related="sequence_id.state", string="State")
    days = fields.Integer(
        default=30,
        required=True,
        help="How many days to look ahead, from 1 to 90.",
    )
    as_default = fields.Boolean(
        string="As the Company's Default",
        help="Suppose that all customers follow it who have no sequence of their own.",
    )
    can_be_default = fields.Boolean(compute="_compute_can_be_default")
    is_stale = fields.Boolean(
        help="Something was chosen anew since: what is shown is no longer true."
    )
    line_ids = fields.One2many(
        comodel_name="dunning.simulation.line", inverse_name="simulation_id"
    )

    # === Result === #
    currency_id = fields.Many2one(related="company_id.currency_id")
    reminders_count = fields.Integer(compute="_compute_totals", string="Reminders")
    reminded_amount = fields.Monetary(compute="_compute_totals")
    by_hand_count = fields.Integer(compute="_compute_totals", string="By Hand")
    silent_count = fields.Integer(compute="_compute_totals", string="Not Reminded")
    silent_amount = fields.Monetary(compute="_compute_totals")
    summary = fields.Html(compute="_compute_summary", sanitize=False)

    _check_days = models.Constraint(
        "CHECK (days BETWEEN 1 AND 90)", "Choose a number of days from 1 to 90."
    )

    # ------------------------------------------------------------------------
    # COMPUTE
    # ------------------------------------------------------------------------

    @api.depends("company_id", "sequence_id")
    def _compute_can_be_default(self):
        for simulation in self:
            company = simulation.company_id.sudo()
            simulation.can_be_default = bool(
                simulation.sequence_id.company_id == company
                and not company.parent_ids.dunning_sequence_id
            )

    @api.depends("company_id", "sequence_id", "as_default", "days")
    def _compute_display_name(self):
        for simulation in self:
            simulation.display_name = self.env._(
                "Simulation: %(what)s, %(days)s days",
                what=simulation.sequence_id.name or simulation.company_id.name,
                days=simulation.days,
            )

    @api.depends("line_ids")
    def _compute_totals(self):
        for simulation in self:
            count, amount = simulation._count([("outcome", "=", "reminded")])
            simulation.reminders_count = count
            simulation.by_hand_count, _amount = simulation._count(
                [("outcome", "=", "by_hand")]
            )
            simulation.silent_count, simulation.silent_amount = simulation._count(
                [("outcome", "=", "silent")]
            )
            _count, amount = simulation._count(
                [("outcome", "!=", "silent"), ("is_first", "=", True)]
            )
            simulation.reminded_amount = amount

    def _count(self, domain):
        """Return (number of lines, their amount in company currency)."""
        domain = Domain("simulation_id", "in", self.ids) & Domain(domain)
        groups = self.env["dunning.simulation.line"]._read_group(
            domain, [], ["__count", "amount_company:sum"]
        )
        return groups[0]

    @api.depends("line_ids")
    @api.depends_context("lang")
    def _compute_summary(self):
        for simulation in self:
            simulation.summary = simulation._render_summary()

    @api.onchange("company_id", "sequence_id", "days", "as_default")
    def _onchange_parameters(self):
        if not self.can_be_default:
            self.as_default = False
        self.is_stale = True

    # ------------------------------------------------------------------------
    # SIMULATE
    # ------------------------------------------------------------------------

    @api.model
    def action_open(self):
        """Simulate the company, and show it: the menu's entry."""
        return self.create({})._open()

    def action_simulate(self):
        """Simulate anew, with what was chosen."""
        for simulation in self:
            simulation._simulate()
        return True

    def _open(self):
        """Simulate, and show it."""
        self.ensure_one()
        self._simulate()
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Simulation"),
            "res_model": self._name,
            "res_id": self.id,
            "view_mode": "form",
        }

    def _simulate(self):
        self.ensure_one()
        self.check_access("write")
        self.sequence_id.check_access("read")
        self.env.cr.execute(
            "DELETE FROM dunning_simulation_line WHERE simulation_id = %s", [self.id]
        )
        for facts in split_every(1000, self._get_facts()):
            self._insert_lines([self._prepare_line(fact) for fact in facts])
        self.is_stale = False
        self.env["dunning.simulation.line"].invalidate_model()
        self.invalidate_recordset()

    def _get_companies(self):
        """The company and its branches, those that the user has chosen."""
        companies = self.env["res.company"].search(
            [("id", "child_of", self.company_id.ids)]
        )
        return companies & self.env.companies

    def _get_facts(self):
        """Yield what becomes of each instalment, see `_simulate` of enrollments."""
        Enrollment = self.env["dunning.enrollment"]
        sequence = self.sequence_id.sudo()
        for company in self._get_companies().sudo():
            as_default = self.as_default and self.can_be_default
            yield from Enrollment._simulate(company, self.days, sequence, as_default)

    def _prepare_line(self, fact):
        """Return the values of a line, in the order of COLUMNS."""
        row = fact["row"]
        outcome = "by_hand" if fact["by_hand"] else "reminded"
        return (
            self.id,
            outcome if fact["day"] else "silent",
            fact["day"],
            fact["step_id"],
            fact["occurrence"],
            fact["first"],
            fact["reason"],
            fact["until"],
            row["move_id"],
            row["due_date"],
            row["commercial_partner_id"],
            row["move_company_id"],
            row["wanted_id"],
            row["residual_currency"],
            row["residual"],
        )

    def _insert_lines(self, rows):
        """By SQL: there can be tens of thousands."""
        columns = ", ".join(COLUMNS)
        marks = ", ".join(f"%s::{sql_type}" for sql_type in COLUMNS.values())
        self.env.cr.execute_values(
            f"""
            INSERT INTO dunning_simulation_line
                   ({columns}, currency_id, company_currency_id,
                    create_uid, create_date, write_uid, write_date)
            SELECT new.*, move.currency_id, company.currency_id,
                   {self.env.uid}, now(), {self.env.uid}, now()
              FROM (VALUES %s) AS new ({columns})
              JOIN account_move move ON move.id = new.move_id
              JOIN res_company company ON company.id = new.company_id
            """,
            rows,
            template=f"({marks})",
            page_size=1000,
        )

    # ------------------------------------------------------------------------
    # SHOW
    # ------------------------------------------------------------------------

    def _render_summary(self, listed=0):
        """Return the tables by day and by reason, as HTML.

        :param listed: number of reminders to list one by one
        """
        return self.env["ir.qweb"]._render(
            "dunning_sequences.dunning_simulation_summary",
            self._prepare_summary(listed),
        )

    def _prepare_summary(self, listed=0):
        """Hook: override to show more."""
        self.ensure_one()
        Line = self.env["dunning.simulation.line"]
        mine = Domain("simulation_id", "=", self.id)
        reminded = mine & Domain("outcome", "!=", "silent")
        aggregates = ["__count", "amount_company:sum"]
        by_step = Line._read_group(
            reminded, ["date:day", "step_id", "outcome"], aggregates
        )
        by_reason = Line._read_group(
            mine & Domain("outcome", "=", "silent"),
            ["reason"],
            aggregates,
            order="__count desc",
        )
        lines = Line.search(reminded, limit=listed) if listed else Line
        return {
            "simulation": self,
            **self._prepare_titles(),
            "by_step": [self._prepare_step_row(*group) for group in by_step],
            "by_reason": [self._prepare_reason_row(*group) for group in by_reason],
            "lines": [line._prepare_row() for line in lines],
            "more": self.reminders_count + self.by_hand_count - len(lines),
        }

    def _prepare_titles(self):
        day, step = self.env._("Day"), self.env._("Step")
        count, amount = self.env._("Instalments"), self.env._("Amount due")
        return {
            "titles_by_step": [day, step, count, amount],
            "titles_by_reason": [self.env._("Why"), count, amount],
            "titles_of_lines": [
                day,
                self.env._("Customer"),
                self.env._("Invoice"),
                step,
                amount,
            ],
        }

    def _prepare_step_row(self, day, step, outcome, count, amount):
        name = step.name
        if outcome == "by_hand":
            name = self.env._("%(step)s (by hand)", step=name)
        elif step.mode == "approval":
            name = self.env._("%(step)s (to approve)", step=name)
        return (
            format_date(self.env, day),
            name,
            count,
            formatLang(self.env, amount, currency_obj=self.currency_id),
        )

    def _prepare_reason_row(self, reason, count, amount):
        Line = self.env["dunning.simulation.line"]
        reasons = dict(Line._fields["reason"]._description_selection(self.env))
        return (
            reasons.get(reason, reason),
            count,
            formatLang(self.env, amount, currency_obj=self.currency_id),
        )

    def action_view_reminders(self):
        return self._get_lines_action(
            {"search_default_to_come": 1, "search_default_group_by_day": 1}
        )

    def action_view_by_hand(self):
        return self._get_lines_action({"search_default_by_hand": 1})

    def action_view_silent(self):
        return self._get_lines_action(
            {"search_default_silent": 1, "search_default_group_by_reason": 1}
        )

    def _get_lines_action(self, context):
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dunning_sequences.dunning_simulation_line_action"
        )
        action["domain"] = [("simulation_id", "=", self.id)]
        action["context"] = context
        if "search_default_silent" in context:  # what has no date is in no calendar
            action["views"] = [
                view for view in action["views"] if view[1] != "calendar"
            ]
        return action

    # ------------------------------------------------------------------------
    # ACT
    # ------------------------------------------------------------------------

    def action_start(self):
        """Start the sequence that was simulated; say how many invoices follow it.

        :raise UserError: when it cannot be started, with what to do
        """
        self.ensure_one()
        sequence = self.sequence_id
        if not sequence:
            raise UserError(self.env._("Choose the sequence that is to be started."))
        sequence.check_access("write")
        sequence.action_start()
        if self.as_default and self.can_be_default:
            self._make_default()
        for company in self._get_companies().sudo():
            self.env["dunning.enrollment"]._reconcile_company(company)
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "success",
                "message": self._get_started_message(),
                "next": {"type": "ir.actions.client", "tag": "soft_reload"},
            },
        }

    def _make_default(self):
        if not self.company_id.has_access("write"):
            raise UserError(
                self.env._(
                    "Only an administrator can choose the default sequence of the "
                    "company. Simulate without it, or ask one to start the sequence."
                )
            )
        self.company_id.dunning_sequence_id = self.sequence_id

    def _get_started_message(self):
        entered = self._count_enrolled([("hold_reason", "!=", "older")])
        older = self._count_enrolled([("hold_reason", "=", "older")])
        message = self.env._(
            "“%(sequence)s” runs. Invoices that follow it: %(count)s.",
            sequence=self.sequence_id.name,
            count=entered,
        )
        if older:
            message += " " + self.env._(
                "Left out, older than the start: %(count)s.", count=older
            )
        return message

    def _count_enrolled(self, domain):
        """Number of invoices that follow the sequence."""
        domain = Domain(domain) & Domain("sequence_id", "=", self.sequence_id.id)
        groups = self.env["dunning.enrollment"]._read_group(
            domain & Domain("state", "!=", "stopped"), [], ["move_id:count_distinct"]
        )
        return groups[0][0]

    def action_send(self):
        """Send the tables, and the first reminders, to the user.

        :raise UserError: when he has no address
        """
        self.ensure_one()
        self.check_access("read")
        user = self.env.user
        if not user.email:
            raise UserError(
                self.env._("You have no e-mail address: give yourself one first.")
            )
        simulation = self.with_context(lang=user.lang)
        mail = self.env["mail.mail"].sudo().create(simulation._prepare_mail_vals())
        mail.send()
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "success",
                "message": self.env._(
                    "The simulation is on its way to %(email)s.", email=user.email
                ),
            },
        }

    def _prepare_mail_vals(self):
        user = self.env.user
        return {
            "subject": self.display_name,
            "body_html": self._render_summary(listed=LISTED),
            "email_to": user.email_formatted,
            "email_from": self.company_id.email_formatted or user.email_formatted,
            "author_id": user.partner_id.id,
            "auto_delete": True,
        }
