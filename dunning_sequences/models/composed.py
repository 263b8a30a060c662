"""Composed: a reminder whose invoices, text and recipients a person chose (E05).

It leaves on the same path as any other. What was paid or is held meanwhile is taken
out, here too; his choices are kept with the reminder, as it can be written anew.
"""

from odoo import api, fields, models
from odoo.exceptions import UserError

from .by_hand import NOT_BINDING


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    composed = fields.Boolean(
        readonly=True,
        help="A person chose its invoices, text and recipients.",
    )
    template_id = fields.Many2one(
        comodel_name="mail.template",
        string="Chosen Template",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
    )
    own_text = fields.Selection(
        selection=[
            ("typed", "Typed, with merge fields"),
            ("written", "Written for this customer"),
        ],
        readonly=True,
        help="Where the text comes from when it is not the one of the step.",
    )
    own_subject = fields.Char(readonly=True)
    own_body = fields.Html(readonly=True, sanitize_attributes=True)
    attach_invoice = fields.Boolean(readonly=True)
    attach_statement = fields.Boolean(readonly=True)
    payment_link_chosen = fields.Boolean(readonly=True)

    @api.model
    def _selection_recipient_source(self):
        typed = ("typed", self.env._("Typed when it was sent"))
        return [*super()._selection_recipient_source(), typed]

    # ------------------------------------------------------------------------
    # COMPOSE
    # ------------------------------------------------------------------------

    @api.model
    def _get_channel(self, recipients, step):
        return recipients.get("channel") or super()._get_channel(recipients, step)

    def _prepare_reminder_vals(self, key, recipients, *args):
        vals = super()._prepare_reminder_vals(key, recipients, *args)
        vals.update(recipients.get("choices", {}))
        for _command, _id, line in vals["line_ids"]:
            line["step_name"] = line["step_name"] or vals["step_name"]
            if not line["step_id"]:
                line["turn"] = recipients.get("turns", {}).get(line["move_id"])
        return vals

    @api.model
    def _drop_pending(self, instalments):
        """What waits for an approval, a printer or a person gives way."""
        lines = self._get_pending_lines(instalments)
        if lines:
            lines._drop(self.env._("Done by hand: %(user)s.", user=self.env.user.name))
            self.env.flush_all()  # the same step does not count twice

    @api.model
    def _get_turns(self, moves):
        """Return {invoice id: turn}: see `dunning.reminder.line`."""
        newest = self.env["dunning.reminder.line"]._read_group(
            [("move_id", "in", moves.ids)], ["move_id"], ["id:max"]
        )
        newest = {move.id: line_id for move, line_id in newest}
        return {move_id: newest.get(move_id, 0) + 1 for move_id in moves.ids}

    def _get_renderer(self, step):
        """Each may have a text of its own; a template is compiled once for all."""
        renderers = {}

        def render(reminder):
            if reminder.own_text == "written":
                return reminder._get_written()
            if reminder.own_text == "typed":
                return reminder._new_own_step()._render_typed(
                    reminder._get_typed_values()
                )
            template = reminder.template_id
            if not template and not step:
                raise UserError(
                    self.env._("Choose the step or the template that gives the text.")
                )
            if template not in renderers:
                renderers[template] = (
                    template._get_dunning_renderer()
                    if template
                    else super(DunningReminder, self)._get_renderer(step)
                )
            return renderers[template](reminder)

        return render

    def _new_own_step(self):
        """What was typed, as a step: so it obeys the same rules."""
        return self.env["dunning.sequence.step"].new(
            {
                "name": self.step_name or self.env._("This sending"),
                "content": "text",
                "subject": self.own_subject,
                "body": self.own_body,
            }
        )

    def _get_written(self):
        """Nobody but its writer can change such a text.

        :raise UserError: when what it was written about has changed
        """
        if self.fingerprint and self.fingerprint != self._get_fingerprint():
            raise UserError(
                self.env._(
                    "Invoices were paid or changed since this text was written for "
                    "them. Write the reminder again."
                )
            )
        return self.subject, self.body

    def _get_fingerprint_facts(self):
        """A written text stays true while the same amounts are due."""
        if self.own_text != "written":
            return super()._get_fingerprint_facts()
        return [
            (line.move_id.id, line.due_date, line.currency_id.round(line.amount))
            for line in self._get_current_lines()
        ]

    # ------------------------------------------------------------------------
    # CONTENT
    # ------------------------------------------------------------------------

    def _has_payment_link(self):
        if self.composed:
            return self.payment_link_chosen
        return super()._has_payment_link()

    def _get_text_template(self):
        if self.own_text == "typed":
            return self.env["mail.template"]
        return self.template_id or super()._get_text_template()

    def _get_moves_to_attach(self):
        if not self.composed:
            return super()._get_moves_to_attach()
        moves = self._get_current_lines().move_id
        by_mail = self.channel == "email" and self.attach_invoice
        return moves if by_mail else moves.browse()

    def _is_informing(self):
        """It is about the invoices that were chosen, and no others."""
        return not self.composed and super()._is_informing()

    # ------------------------------------------------------------------------
    # DELIVERY
    # ------------------------------------------------------------------------

    def _get_over_objection(self, row):
        objection = super()._get_over_objection(row)
        return None if self.composed and objection in NOT_BINDING else objection

    def _get_objection(self, row):
        if not self.composed:
            return super()._get_objection(row)
        reason = self.env["dunning.enrollment"]._get_by_hand_objection(row)
        return None if reason in ("leaving", "delayed") else reason

    def _refresh_recipients(self, lines, found):
        """Those whom a person chose stay chosen."""
        if self.composed:
            return lines.browse()
        return super()._refresh_recipients(lines, found)

    def _prepare_carrier_vals(self, line):
        vals = super()._prepare_carrier_vals(line)
        return {"move_id": vals["move_id"]} if self.composed else vals

    def _prepare_retry_vals(self):
        """The same addresses again, unless the mail came back from them."""
        vals = super()._prepare_retry_vals()
        if self.composed and (self.state == "failed" or not vals["email_to"]):
            kept = ("recipient_ids", "email_to", "email_cc", "email_bcc")
            for name in (*kept, "recipient_source"):
                del vals[name]
        return vals
