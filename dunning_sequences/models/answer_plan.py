"""A payment plan that the customer proposes: an answer that somebody agrees to, or not.

Nothing follows from it by itself but a week's rest. Whoever looks into it opens the
dialog of a payment plan with what was proposed, and agrees, changes or leaves it.
"""

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import format_date, formatLang

#: What a sequence can allow; more needs a talk.
MOST_PROPOSED = 12


class DunningSequence(models.Model):
    _inherit = "dunning.sequence"

    plan_payments = fields.Integer(
        string="Customers May Propose Payments, Up To",
        tracking=True,
        help="By a link below each e-mail, “I propose instalments”. You agree to it or "
        "not; reminders wait for a week meanwhile. 0: no such link.",
    )

    _check_plan_payments = models.Constraint(
        f"CHECK (plan_payments = 0 OR plan_payments BETWEEN 2 AND {MOST_PROPOSED})",
        "Let customers propose between 2 and 12 payments, or 0 for none.",
    )


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    def _get_answer_kinds(self):
        kinds = super()._get_answer_kinds()
        if not self.sequence_id.plan_payments:
            return kinds
        env = self.with_context(lang=self.lang or self.env.lang).env
        place = 1 + [kind for kind, _words in kinds].index("promise")
        return [
            *kinds[:place],
            ("plan", env._("I propose instalments")),
            *kinds[place:],
        ]


class DunningAnswer(models.Model):
    _inherit = "dunning.answer"

    payments = fields.Integer(
        string="Number of Payments", readonly=True, help="That the customer proposes."
    )
    rhythm = fields.Selection(selection="_selection_rhythm", readonly=True)

    @api.model
    def _selection_rhythm(self):
        return (
            self.env["dunning.plan"]._fields["rhythm"]._description_selection(self.env)
        )

    @api.model
    def _check_plan(self, reminder, values):
        """As for a promise; and what can be paid in so many payments.

        :raise UserError: saying what is wrong
        """
        most = reminder.sequence_id.plan_payments
        if not 2 <= values["payments"] <= most:
            raise UserError(
                self.env._("Propose between 2 and %(most)s payments.", most=most)
            )
        if values["rhythm"] not in dict(self._selection_rhythm()):
            raise UserError(self.env._("Choose how often you will pay."))
        self._check_promised_day(reminder, values["date"])
        if move := self._find_said_before(values["move_ids"], "plan"):
            raise UserError(
                self.env._(
                    "You have proposed payments for %(invoice)s before. Please reply "
                    "to our e-mail, so that we find a way.",
                    invoice=move.name,
                )
            )
        due = reminder._get_open_amounts(values["move_ids"])
        if len(due) != 1:
            raise UserError(
                self.env._("Answer about the invoices of one currency at a time.")
            )
        ((currency, amount),) = due.items()
        if currency.compare_amounts(amount, values["payments"] * currency.rounding) < 0:
            raise UserError(self.env._("That is too little for so many payments."))

    def _prepare_hold_vals(self):
        vals = super()._prepare_hold_vals()
        # What is held is all of them, not a part.
        return {**vals, "amount": 0} if self.kind == "plan" else vals

    # ------------------------------------------------------------------------
    # WHAT IS PROPOSED
    # ------------------------------------------------------------------------

    def _new_plan(self):
        """The dialog of the plan as it was proposed, of what is open now."""
        self.ensure_one()
        return self.env["dunning.plan"].new(self._prepare_plan_vals())

    def _prepare_plan_vals(self):
        due = self.reminder_id._get_open_amounts(self.move_ids)
        # What was paid since is in no plan; if all was, the dialog says so.
        still_open = self.move_ids & self.reminder_id._get_answerable_moves()
        return {
            "move_ids": [(6, 0, (still_open or self.move_ids).ids)],
            "amount": sum(due.values()),
            "payments": self.payments,
            "first_date": self.date,
            "rhythm": self.rhythm,
            "note": self.note,
        }

    def _get_plan_rows(self):
        """Return (day, amount) of each payment, as the customer reads them."""
        plan = self._new_plan()
        currency = self.currency_id
        return [
            (
                format_date(self.env, line["date"]),
                formatLang(self.env, line["amount"], currency_obj=currency),
            )
            for line in plan._prepare_lines()
        ]

    def _get_proposal(self):
        rhythm = dict(self._selection_rhythm()).get(self.rhythm) or ""
        return self.env._(
            "Proposes %(count)s payments, the first one on %(date)s (%(rhythm)s)",
            count=self.payments,
            date=format_date(self.env, self.date),
            rhythm=rhythm,
        )

    @api.model
    def _close_proposals(self, moves):
        """A plan was agreed on: what was proposed for these invoices is answered."""
        proposed = self.search([("kind", "=", "plan"), ("move_ids", "in", moves.ids)])
        waiting = proposed.hold_id.filtered(
            lambda hold: not hold.closed_on and hold.move_ids & moves
        )
        waiting._split_for(moves).action_close()

    @api.model
    def _find_proposal(self, moves):
        """The last one about all of these invoices that waits for somebody's word.

        Also when its week is over: whoever comes late has the same question to answer.
        """
        waiting = self.search(
            [
                ("kind", "=", "plan"),
                ("move_ids", "in", moves.ids),
                ("hold_id", "!=", False),
                ("hold_id.closed_on", "=", False),
            ]
        )
        return waiting.filtered(lambda answer: moves <= answer.hold_id.move_ids)[:1]

    def action_open_plan(self):
        """Open the dialog of a payment plan with what the customer proposes.

        :raise UserError: when he has proposed none
        """
        self.ensure_one()
        self.env["dunning.hold"].check_access("create")
        if self.kind != "plan":
            raise UserError(self.env._("This answer proposes no payment plan."))
        action = self.move_ids.action_dunning_plan()
        defaults = self.sudo()._prepare_plan_vals()
        return {
            **action,
            "context": {f"default_{name}": value for name, value in defaults.items()},
        }


class AccountMove(models.Model):
    _inherit = "account.move"

    def action_dunning_plan(self):
        """What the customer proposes for these invoices is filled in."""
        action = super().action_dunning_plan()
        Answer = self.env["dunning.answer"]
        if Answer.has_access("read") and (proposal := Answer._find_proposal(self)):
            action["context"] |= {
                "default_payments": proposal.payments,
                "default_first_date": proposal.date,
                "default_rhythm": proposal.rhythm,
                "default_note": proposal.note,
            }
        return action
