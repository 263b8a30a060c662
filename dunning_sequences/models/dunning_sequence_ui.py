from odoo import models


class DunningSequence(models.Model):
    """The buttons of the sequence's form."""

    _inherit = "dunning.sequence"

    def action_view_partners(self):
        """All customers with this sequence of their own, in the usual list."""
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "account.res_partner_action_customer"
        )
        action["name"] = self.env._("Customers: %(name)s", name=self.name)
        action["display_name"] = action["name"]
        action["domain"] = self._get_partners_domain()
        action["context"] = {"default_dunning_sequence_id": self.id}
        return action

    def _get_partners_domain(self):
        """What a customer has depends on the company that the list is opened in."""
        if self.company_id == self.env.company:
            return [
                ("dunning_policy", "=", "own"),
                ("dunning_sequence_id", "=", self.id),
                "|",
                ("parent_id", "=", False),
                ("is_company", "=", True),
            ]
        return [("id", "in", self.partner_ids.ids)]

    def action_delete(self):
        """Delete for good, after saying what that stops."""
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Delete for Good"),
            "res_model": "dunning.sequence.delete",
            "view_mode": "form",
            "target": "new",
            "context": {"default_sequence_ids": self.ids},
        }
