"""Recipients: who gets the reminders of an invoice, and why it is them."""

import re
from functools import lru_cache

from odoo import api, models
from odoo.tools import SQL
from odoo.tools.mail import (
    email_normalize_all,
    email_split_and_format_normalize,
    formataddr,
)

#: What makes a header or an address of a name, and what turns its direction around.
UNSAFE_IN_NAME = re.compile(r'[\x00-\x1f\x7f"<>@\\\u202a-\u202e\u2066-\u2069]|=\?|\?=')

#: One address that needs no parser to be read.
PLAIN_ADDRESS = re.compile(
    r"[a-z0-9_+-]+(\.[a-z0-9_+-]+)*@([a-z0-9-]+\.)+[a-z][a-z0-9-]*", re.ASCII | re.I
)


@lru_cache(maxsize=10_000)
def normalize_all(emails):
    """As `email_normalize_all`; to parse takes long, most are plain, and a run
    asks for the same ones several times.
    """
    if PLAIN_ADDRESS.fullmatch(emails or ""):
        return (emails.lower(),)
    return tuple(email_normalize_all(emails))


class AccountMove(models.Model):
    _inherit = "account.move"

    def _get_dunning_recipients(self):
        """Return {invoice id: recipients}, each a dict:

        * ``to``, ``cc``, ``bcc``: lists of formatted addresses, valid ones only
        * ``partners``: the contacts among them
        * ``source``: where ``to`` comes from: invoice, last (the last mail about it),
          contacts (the customer's starred ones), address (his invoice address) or
          customer

        Addresses at which this database itself reads mails are left out.
        """
        moves = self.sudo()
        starred = moves._get_dunning_contacts()
        last = moves._get_dunning_last_recipients()
        found = {
            move.id: move._prepare_dunning_recipients(starred, last) for move in moves
        }
        emails = {
            email
            for recipients in found.values()
            for kind in ("to", "cc", "bcc")
            for email in recipients[kind]
        }
        own = self._get_dunning_own_addresses(emails)
        if own:
            for recipients in found.values():
                self._leave_out_dunning_addresses(recipients, own)
        return found

    @api.model
    def _get_dunning_own_addresses(self, emails):
        """Return which of these are read by this very database: its aliases.

        Who writes to them writes to himself, or makes a document of each reminder.
        """
        if not emails:
            return set()
        domains = self.env["mail.alias.domain"].sudo().search([])
        own = set()
        for name in ("bounce_email", "catchall_email", "default_from_email"):
            own.update(filter(None, domains.mapped(name)))
        names = {*domains.mapped("name"), *(email.rpartition("@")[2] for email in own)}
        addresses = {
            address
            for email in emails
            if any(name in email.lower() for name in names)  # to parse takes long
            for address in normalize_all(email)
        }
        if addresses - own:
            aliases = self.env["mail.alias"].sudo()
            aliases = aliases.search([("alias_full_name", "in", list(addresses))])
            own.update(aliases.mapped("alias_full_name"))
        return addresses & own

    @api.model
    def _leave_out_dunning_addresses(self, recipients, own):
        """Take addresses out of a dict of `_get_dunning_recipients`."""
        for kind in ("to", "cc", "bcc"):
            recipients[kind] = [
                email
                for email in recipients[kind]
                if own.isdisjoint(normalize_all(email))
            ]
        recipients["partners"] = recipients["partners"].filtered(
            lambda partner: partner.email_normalized not in own
        )

    def _prepare_dunning_recipients(self, starred, last):
        """Hook: override to add a source. The first one with an address wins."""
        self.ensure_one()
        copies = {
            "cc": self._split_dunning_emails(self.dunning_email_cc),
            "bcc": self._split_dunning_emails(self.dunning_email_bcc),
        }
        for source, partners, emails in self._get_dunning_sources(starred, last):
            addresses = self._get_dunning_addresses(partners)
            addresses += self._split_dunning_emails(emails)
            if addresses:
                return dict(copies, to=addresses, partners=partners, source=source)
        return dict(copies, to=[], partners=self.env["res.partner"], source=False)

    def _get_dunning_recipients_by(self, channel):
        """Return {invoice id: recipients} of the reminders of a channel."""
        if channel == "email":
            return self._get_dunning_recipients()
        return self._get_dunning_postal_recipients()

    def _get_dunning_postal_recipients(self):
        """Return {invoice id: recipients} of letters and visits: no e-mail address.

        A letter goes to the invoice address; whom to call or to visit is there, too.
        """
        return {
            move.id: {
                "to": [],
                "cc": [],
                "bcc": [],
                "partners": move._get_dunning_postal_partner(),
                "source": "address",
            }
            for move in self.sudo()
        }

    def _get_dunning_postal_partner(self):
        """The invoice address; the customer's, when that is an e-mail address only."""
        self.ensure_one()
        address = self.partner_id.address_get(["invoice"])["invoice"]
        contact = self.env["res.partner"].browse(address)
        return contact if contact.city else self.commercial_partner_id

    def _get_dunning_lang(self, recipients):
        """The reader's language, else the customer's, else the company's."""
        self.ensure_one()
        candidates = (
            *recipients["partners"].mapped("lang"),
            self.partner_id.lang,
            self.commercial_partner_id.lang,
            self.company_id.partner_id.lang,
        )
        installed = {code for code, _name in self.env["res.lang"].get_installed()}
        return next((lang for lang in candidates if lang in installed), "en_US")

    def _get_dunning_sources(self, starred, last):
        """Yield (source, contacts, free addresses), the most specific one first."""
        self.ensure_one()
        partner = self.env["res.partner"]
        yield "invoice", self.dunning_recipient_ids, self.dunning_email_to
        yield "last", last.get(self, partner), False
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

    def _get_dunning_last_recipients(self):
        """Return {invoice: who got the last mail about it}, where that is wanted.

        Our own reminders do not count: they would confirm themselves.
        """
        enrollments = self.dunning_enrollment_ids
        using = enrollments.sequence_id.filtered("use_last_recipients")
        if not using:
            return {}
        wanted = enrollments.filtered(lambda e: e.sequence_id in using).move_id
        rows = self.env.execute_query(
            SQL(
                """
                SELECT DISTINCT ON (message.res_id) message.res_id, message.id
                  FROM mail_message message
                  JOIN mail_notification notification
                    ON notification.mail_message_id = message.id
                  JOIN res_partner partner ON partner.id = notification.res_partner_id
                 WHERE message.model = 'account.move' AND message.res_id = ANY(%s)
                   AND message.subtype_id IS DISTINCT FROM %s
                   AND notification.notification_type = 'email'
                   AND notification.notification_status IN ('ready', 'sent')
                   AND partner.partner_share
              ORDER BY message.res_id, message.id DESC
                """,
                wanted.ids,
                self.env["ir.model.data"]._xmlid_to_res_id(
                    "dunning_sequences.mt_dunning_reminder"
                ),
            )
        )
        messages = dict(rows)
        notifications = (
            self.env["mail.notification"]
            .search_fetch(
                [
                    ("mail_message_id", "in", list(messages.values())),
                    ("notification_type", "=", "email"),
                    ("res_partner_id.partner_share", "=", True),
                ],
                ["mail_message_id", "res_partner_id"],
                order="id",
            )
            .grouped("mail_message_id")
        )
        Message = self.env["mail.message"]
        return {
            self.browse(move_id): notifications[
                Message.browse(message_id)
            ].res_partner_id
            for move_id, message_id in messages.items()
        }

    @api.model
    def _get_dunning_addresses(self, partners):
        """Formatted addresses: a customer with a login says himself how he is called,
        and Odoo takes for an address whatever looks like one, in names too.
        """
        return [
            formataddr((self._get_dunning_safe_name(partner.name), email))
            for partner in partners
            for email in normalize_all(partner.email)
        ]

    @api.model
    def _get_dunning_safe_name(self, name):
        return " ".join(UNSAFE_IN_NAME.sub(" ", name or "").split())

    @api.model
    def _split_dunning_emails(self, emails):
        return email_split_and_format_normalize(emails) if emails else []
