from odoo import fields, models


class DunningTold(models.Model):
    """Somebody was told that an invoice comes to the end of its sequence.

    The unique index is what makes it once, whatever the day is run how often.
    """

    _name = "dunning.told"
    _description = "Told of the End of a Sequence"
    _log_access = False

    move_id = fields.Many2one(
        comodel_name="account.move", required=True, readonly=True, ondelete="cascade"
    )
    sequence_id = fields.Many2one(
        comodel_name="dunning.sequence",
        required=True,
        readonly=True,
        ondelete="cascade",
    )
    kind = fields.Selection(
        selection=[("before", "Before the Last Step"), ("after", "After It")],
        required=True,
        readonly=True,
    )
    day = fields.Date(required=True, readonly=True)
    activity_id = fields.Many2one(
        comodel_name="mail.activity",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
    )

    _once = models.UniqueIndex("(move_id, sequence_id, kind)")
