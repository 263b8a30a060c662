from odoo import api, fields, models


class DunningReminderComposeLine(models.TransientModel):
    """One message of the composer: to whom, and about which invoices."""

    _name = "dunning.reminder.compose.line"
    _description = "Payment Reminder Composer: Message"

    compose_id = fields.Many2one(
        comodel_name="dunning.reminder.compose", required=True, ondelete="cascade"
    )
    partner_id = fields.Many2one(comodel_name="res.partner", string="Customer")
    move_ids = fields.Many2many(comodel_name="account.move", string="Invoices")
    amount_due = fields.Char()
    days_late = fields.Integer()
    step_id = fields.Many2one(
        comodel_name="dunning.sequence.step",
        help="The coming step, whose text is proposed.",
    )
    is_chosen = fields.Boolean(string="Send", default=True)
    email_to = fields.Char(string="To", help="Addresses, separated by commas.")
    email_cc = fields.Char(string="Cc")
    email_bcc = fields.Char(string="Bcc")
    recipient_ids = fields.Many2many(comodel_name="res.partner", string="Recipients")
    recipient_source = fields.Selection(
        selection="_selection_recipient_source", string="Address From"
    )
    keep_contact = fields.Boolean(
        string="Keep",
        help="Keep the address as the customer's reminder contact.",
    )
    lacking = fields.Char()

    @api.model
    def _selection_recipient_source(self):
        return self.env["dunning.reminder"]._selection_recipient_source()

    @api.onchange("email_to")
    def _onchange_email_to(self):
        if self.email_to:
            self.is_chosen = True
            self.lacking = False

    def _get_default_whom(self):
        """The recipients as proposed: what a preview greets."""
        self.ensure_one()
        split = self.env["account.move"]._split_dunning_emails
        return {
            "to": split(self.email_to),
            "cc": split(self.email_cc),
            "bcc": split(self.email_bcc),
            # A browser can name anybody: the preview greets nobody unseen.
            "partners": self.recipient_ids._origin._filtered_access("read"),
            "source": self.recipient_source,
        }


class DunningReminderComposeSkip(models.TransientModel):
    """An invoice that the composer leaves out, and why."""

    _name = "dunning.reminder.compose.skip"
    _description = "Payment Reminder Composer: Left Out"

    compose_id = fields.Many2one(
        comodel_name="dunning.reminder.compose", required=True, ondelete="cascade"
    )
    move_id = fields.Many2one(comodel_name="account.move", string="Invoice")
    partner_id = fields.Many2one(related="move_id.commercial_partner_id")
    reason = fields.Char()
