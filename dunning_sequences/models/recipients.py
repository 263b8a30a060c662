"""Recipients: who gets the reminders of an invoice, and why it is them."""

from odoo import api, models
from odoo.tools import email_normalize
from odoo.tools.mail import email_split_and_format_normalize


class AccountMove(models.Model):
    _inherit = "account.move"

    def _get_dunning_recipients(self):
        """Return {invoice id: recipients}, each a dict:

        * ``to``, ``cc``, ``bcc``: lists of formatted addresses, valid ones only
        * ``partners``: the contacts among them
        * ``source``: where ``to`` comes from: invoice, contacts (the customer's
          starred ones), address (his invoice address) or customer
        """
        moves = self.sudo()
        starred = moves._get_dunning_contacts()
        return {move.id: move._prepare_dunning_recipients(starred) for move in moves}

    def _prepare_dunning_recipients(self, starred):
        """Hook: override to add a source. The first one with an address wins."""
        self.ensure_one()
        copies = {
            "cc": self._split_dunning_emails(self.dunning_email_cc),
            "bcc": self._split_dunning_emails(self.dunning_email_bcc),
        }
        for source, partners, emails in self._get_dunning_sources(starred):
            addresses = self._get_dunning_addresses(partners)
            addresses += self._split_dunning_emails(emails)
            if addresses:
                return dict(copies, to=addresses, partners=partners, source=source)
        return dict(copies, to=[], partners=self.env["res.partner"], source=False)

    def _get_dunning_sources(self, starred):
        """Yield (source, contacts, free addresses), the most specific one first."""
        self.ensure_one()
        partner = self.env["res.partner"]
        yield "invoice", self.dunning_recipient_ids, self.dunning_email_to
        contacts = starred.get(self.commercial_partner_id, partner)
        yield "contacts", contacts, False
        address = self.partner_id.address_get(["invoice"])["invoice"]
        yield "address", partner.browse(address), False
        yield "customer", self.commercial_partner_id, False

    def _get_dunning_contacts(self):
        """Return {customer: his starred contacts}."""
        contacts = self.env["res.partner"].search_fetch(
            [
                ("commercial_partner_id", "in", self.commercial_partner_id.ids),
                ("dunning_contact", "=", True),
            ],
            ["commercial_partner_id", "email", "name", "lang"],
            order="id",
        )
        return contacts.grouped("commercial_partner_id")

    @api.model
    def _get_dunning_addresses(self, partners):
        return [
            partner.email_formatted
            for partner in partners
            if email_normalize(partner.email, strict=False)
        ]

    @api.model
    def _split_dunning_emails(self, emails):
        return email_split_and_format_normalize(emails) if emails else []
