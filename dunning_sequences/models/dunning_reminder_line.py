from odoo import api, fields, models

from ..tools import plan
from .dunning_reminder import STATES_VOID


class DunningReminderLine(models.Model):
    """One instalment at one step, in one reminder.

    The unique index is what makes a reminder leave once: two runs, two workers
    or a crash meet it before anything leaves. Names are kept, so that deleting
    a step, a sequence or an invoice deletes no history.
    """

    _name = "dunning.reminder.line"
    _description = "Payment Reminder Line"
    _order = "reminder_id, due_date, id"
    _rec_name = "move_name"

    reminder_id = fields.Many2one(
        comodel_name="dunning.reminder",
        required=True,
        readonly=True,
        index=True,
        ondelete="cascade",
    )
    company_id = fields.Many2one(
        related="reminder_id.company_id", store=True, precompute=True
    )
    partner_id = fields.Many2one(related="reminder_id.partner_id")
    state = fields.Selection(related="reminder_id.state")
    date = fields.Date(related="reminder_id.date")
    sent_on = fields.Date(related="reminder_id.sent_on")
    email_to = fields.Char(related="reminder_id.email_to")
    move_id = fields.Many2one(
        comodel_name="account.move",
        string="Invoice",
        readonly=True,
        ondelete="set null",
    )
    move_name = fields.Char(string="Invoice Number", readonly=True)
    due_date = fields.Date(required=True, readonly=True)
    move_line_id = fields.Many2one(
        comodel_name="account.move.line",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
    )
    step_id = fields.Many2one(
        comodel_name="dunning.sequence.step",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
    )
    step_name = fields.Char(readonly=True)
    occurrence = fields.Integer(default=0, required=True, readonly=True)
    turn = fields.Integer(
        readonly=True,
        help="Of a reminder by hand that counts as no step: two that are written at "
        "the same instant have the same turn, and the database refuses the second.",
    )
    dropped = fields.Boolean(
        readonly=True,
        copy=False,
        help="Paid or held before the reminder left, which left without it.",
    )
    replaced = fields.Boolean(
        readonly=True,
        copy=False,
        help="Its instalment was restarted: the steps before count no more.",
    )
    counts = fields.Boolean(
        compute="_compute_counts",
        store=True,
        precompute=True,
        help="Counts as reminded: not cancelled, failed or bounced.",
    )
    amount = fields.Monetary(readonly=True, help="As it was sent.")
    currency_id = fields.Many2one(comodel_name="res.currency", readonly=True)

    _once = models.UniqueIndex(
        "(move_id, due_date, step_id, occurrence) WHERE counts AND step_id IS NOT NULL",
        "This instalment was reminded at this step before.",
    )
    _once_by_hand = models.UniqueIndex(
        "(move_id, due_date, turn) WHERE counts AND turn > 0",
        "Somebody else reminded of this instalment just now.",
    )
    _move_idx = models.Index("(move_id, due_date, id)")

    @api.depends("reminder_id.state", "dropped", "replaced")
    def _compute_counts(self):
        for line in self:
            void = line.reminder_id.state in STATES_VOID
            line.counts = not (void or line.dropped or line.replaced)

    def _drop(self, reason):
        """Take instalments out of reminders; an empty reminder is cancelled."""
        self.dropped = True
        for reminder in self.reminder_id:
            if all(line.dropped for line in reminder.line_ids):
                reminder._cancel(reason)

    def _get_early_objection(self, today):
        """A due date postponed since the reminder was written: not yet.

        By hand, a person may be early.
        """
        self.ensure_one()
        step = self.step_id
        if step.trigger != plan.DUE_DATE or self.reminder_id.origin == "manual":
            return None
        nominal = plan.add_days(self.due_date, step.delay)
        if nominal < self.due_date:
            nominal = self._get_working_day_before(nominal)
        return "gone" if nominal > today else None

    def _get_working_day_before(self, day):
        first = fields.Date.subtract(day, days=plan.LONGEST_BREAK)
        off = self.step_id.sequence_id._get_days_off(first, day)
        return plan.previous_working_day(day, off)

    def action_view_reminder(self):
        """Open the message that this instalment was part of."""
        self.ensure_one()
        return self.reminder_id._get_records_action()
