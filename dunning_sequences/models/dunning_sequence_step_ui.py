from odoo import api, fields, models

from ..tools import plan, typed_text

BEFORE = "before"
ON = "on"
AFTER = "after"
PREVIOUS = "previous"


class DunningSequenceStep(models.Model):
    """How a person enters a step: "3", "before the due date". No signed numbers."""

    _inherit = "dunning.sequence.step"

    days = fields.Integer(
        string="Number of Days",
        compute="_compute_days",
        inverse="_inverse_days",
        readonly=False,
        help="Calendar days. The day after the due date is 1 day after it.",
    )
    moment = fields.Selection(
        selection=[
            (BEFORE, "before the due date"),
            (ON, "on the due date"),
            (AFTER, "after the due date"),
            (PREVIOUS, "after the previous reminder"),
        ],
        string="Counted",
        compute="_compute_days",
        inverse="_inverse_days",
        readonly=False,
        help="After the previous reminder: the days count from the day on which it "
        "really left.",
    )
    merge_fields = fields.Json(
        compute="_compute_merge_fields",
        help="The fields that a typed text can have, with their names in words.",
    )

    # ------------------------------------------------------------------------
    # WHEN
    # ------------------------------------------------------------------------

    @api.depends("trigger", "delay")
    def _compute_days(self):
        for step in self:
            step.days = abs(step.delay)
            step.moment = step._get_moment()

    def _get_moment(self):
        self.ensure_one()
        if self.trigger == plan.PREVIOUS:
            return PREVIOUS
        if not self.delay:
            return ON
        return BEFORE if self.delay < 0 else AFTER

    @api.onchange("days")
    def _onchange_days(self):
        """What was typed decides: 0 is the due date, -3 is 3 days before it."""
        if self.moment != PREVIOUS:
            if not self.days:
                self.moment = ON
            elif self.days < 0:
                self.moment = BEFORE
            elif self.moment == ON:
                self.moment = AFTER
        self.days = abs(self.days)
        self._inverse_days()

    @api.onchange("moment")
    def _onchange_moment(self):
        if self.moment == ON:
            self.days = 0
        elif not self.days:
            self.days = 1
        self._inverse_days()

    def _inverse_days(self):
        for step in self:
            vals = step._prepare_timing_vals()
            if any(step[name] != value for name, value in vals.items()):
                step.update(vals)

    def _prepare_timing_vals(self):
        """Return what is stored for the days and the moment of a step."""
        self.ensure_one()
        if self.moment == PREVIOUS:
            return {"trigger": plan.PREVIOUS, "delay": self.days}
        sign = {BEFORE: -1, ON: 0}.get(self.moment, 1)
        return {"trigger": plan.DUE_DATE, "delay": sign * abs(self.days)}

    # ------------------------------------------------------------------------
    # MERGE FIELDS
    # ------------------------------------------------------------------------

    @api.depends_context("lang")
    def _compute_merge_fields(self):
        merge_fields = self._get_merge_fields()
        for step in self:
            step.merge_fields = merge_fields

    @api.model
    def _get_merge_fields(self):
        """Return the merge fields in the order in which a person picks them.

        Their words are those of the reminder's fields, in the user's language.
        """
        labels = self.env["dunning.reminder"].fields_get(typed_text.FIELDS, ["string"])
        return [
            {"name": name, "label": labels[name]["string"]}
            for name in typed_text.FIELDS
        ]

    # ------------------------------------------------------------------------
    # PREVIEW
    # ------------------------------------------------------------------------

    def action_preview(self):
        """Show what this step says, with a real invoice's figures.

        :raise UserError: as the test message does
        """
        self.ensure_one()
        self.env["dunning.hold"].check_access("create")
        self._check_testable()
        with self.env.cr.savepoint() as savepoint:
            vals = self._prepare_preview_vals(self._create_sample())
            savepoint.rollback()
        preview = self.env["dunning.step.preview"].sudo().create(vals)
        return preview.sudo(False)._get_records_action(
            name=self.env._("Preview: %(step)s", step=self.name), target="new"
        )

    def _prepare_preview_vals(self, sample):
        return {
            "step_id": self.id,
            "invoice_name": sample.move_id.name,
            "partner_name": sample.partner_id.name,
            "subject": sample.subject,
            "body": sample.body,
        }
