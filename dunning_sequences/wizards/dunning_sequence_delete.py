from odoo import api, fields, models


class DunningSequenceDelete(models.TransientModel):
    """Says what the deletion of sequences stops, before it stops it (P16)."""

    _name = "dunning.sequence.delete"
    _description = "Delete Reminder Sequences"

    sequence_ids = fields.Many2many(
        comodel_name="dunning.sequence", required=True, readonly=True
    )
    sequence_names = fields.Char(compute="_compute_figures")
    running_count = fields.Integer(compute="_compute_figures")
    moves_count = fields.Integer(compute="_compute_figures")
    waiting_count = fields.Integer(compute="_compute_figures")
    customers_count = fields.Integer(compute="_compute_figures")
    default_names = fields.Char(compute="_compute_figures")

    @api.depends("sequence_ids")
    def _compute_figures(self):
        for wizard in self:
            wizard.update(wizard._get_figures())

    def _get_figures(self):
        """Return what a person should know. Hook: override to say more."""
        sequences = self.sequence_ids._origin
        companies = self.env["res.company"].sudo()
        companies = companies.search([("dunning_sequence_id", "in", sequences.ids)])
        return {
            "sequence_names": ", ".join(sequences.mapped("name")),
            "running_count": len(sequences.filtered(lambda s: s.state == "running")),
            "moves_count": len(self._get_followed_moves(sequences)),
            "waiting_count": len(sequences._get_waiting()),
            "customers_count": sequences._count_customers(
                sequences._get_all_customers()
            ),
            "default_names": ", ".join(companies.mapped("name")),
        }

    def _get_followed_moves(self, sequences):
        """Invoices with an instalment that is still followed."""
        groups = (
            self.env["dunning.enrollment"]
            .sudo()
            ._read_group(
                [
                    ("sequence_id", "in", sequences.ids),
                    ("state", "in", ("running", "held", "todo")),
                ],
                ["move_id"],
            )
        )
        return [move for (move,) in groups]

    def action_delete(self):
        """Stop what runs, delete, and go back to the list."""
        running = self.sequence_ids.filtered(lambda s: s.state == "running")
        running.action_stop()
        self.sequence_ids.unlink()
        return self.env["ir.actions.act_window"]._for_xml_id(
            "dunning_sequences.dunning_sequence_action"
        ) | {"target": "main"}
