from odoo import api, fields, models
from odoo.exceptions import AccessError

#: Who sees what is computed from invoices: not everybody who may open a contact.
BILLING = "account.group_account_invoice,account.group_account_readonly"

#: Who sees what Odoo copies from a customer to his contacts, as the user who edits
#: them: everybody but the customer himself, who can read his own contact by RPC.
INTERNAL = "base.group_user"

#: What only billing decides.
GUARDED_FIELDS = {
    "dunning_policy",
    "dunning_sequence_id",
    "dunning_since",
    "dunning_catch_up",
    "dunning_user_id",
}

#: Changes of a contact that the enrollments of its customer must follow.
MARKING_FIELDS = {
    "dunning_policy",
    "dunning_sequence_id",
    "dunning_since",
    "dunning_catch_up",
    "dunning_contact",
    "email",
    "active",
    "parent_id",
    "type",
}


class ResPartner(models.Model):
    _inherit = "res.partner"

    dunning_policy = fields.Selection(
        selection=[("own", "A sequence of its own"), ("none", "No reminders")],
        string="Payment Reminders",
        company_dependent=True,
        groups=INTERNAL,
        help="Empty: as set in the company's settings.",
    )
    dunning_sequence_id = fields.Many2one(
        comodel_name="dunning.sequence",
        string="Reminder Sequence",
        company_dependent=True,
        groups=INTERNAL,
        check_company=True,
        domain="[('company_id', 'parent_of', current_company_id)]",
    )
    dunning_since = fields.Date(
        string="Reminded Since",
        company_dependent=True,
        groups=INTERNAL,
        help="The day on which the customer joined his sequence.",
    )
    dunning_catch_up = fields.Selection(
        selection="_selection_dunning_catch_up",
        string="Older Invoices Start",
        company_dependent=True,
        groups=INTERNAL,
        help="Empty: as the sequence says.",
    )
    dunning_user_id = fields.Many2one(
        comodel_name="res.users",
        string="Collector",
        company_dependent=True,
        groups=INTERNAL,
        domain="[('share', '=', False)]",
        help="Looks after the customer's reminders. Empty: the responsible of the "
        "sequence.",
    )
    dunning_contact = fields.Boolean(
        string="Reminder Contact",
        groups=INTERNAL,
        help="Gets the payment reminders of the customer. Several are possible.",
    )
    dunning_paused = fields.Boolean(
        groups=BILLING,
        string="Reminders Paused",
        compute="_compute_dunning_paused",
        inverse="_inverse_dunning_pause",
    )
    dunning_pause_until = fields.Date(
        groups=BILLING,
        string="Paused Until",
        compute="_compute_dunning_pause_until",
        inverse="_inverse_dunning_pause",
    )
    dunning_hold_ids = fields.One2many(
        comodel_name="dunning.hold",
        inverse_name="partner_id",
        string="Reminder Holds",
        groups=BILLING,
    )
    dunning_reminders_count = fields.Integer(
        compute="_compute_dunning_reminders_count", groups=BILLING
    )
    dunning_shown_hold_ids = fields.Many2many(
        comodel_name="dunning.hold",
        string="Pauses, Promises and Disputes",
        compute="_compute_dunning_shown_hold_ids",
        groups=BILLING,
        help="Of the customer and of his invoices.",
    )
    dunning_enrollment_ids = fields.One2many(
        comodel_name="dunning.enrollment",
        inverse_name="partner_id",
        string="Coming Reminders",
        domain=[("state", "!=", "stopped")],
        groups=BILLING,
    )
    dunning_contact_ids = fields.Many2many(
        comodel_name="res.partner",
        string="Starred Contacts",
        compute="_compute_dunning_contact_ids",
        groups=BILLING,
    )
    dunning_currency_id = fields.Many2one(
        comodel_name="res.currency",
        string="Reminder Currency",
        compute="_compute_dunning_amounts",
        groups=BILLING,
    )
    dunning_amount_open = fields.Monetary(
        string="Open",
        currency_field="dunning_currency_id",
        compute="_compute_dunning_amounts",
        groups=BILLING,
        help="What is open on posted invoices, in company currency.",
    )
    dunning_amount_overdue = fields.Monetary(
        string="Overdue",
        currency_field="dunning_currency_id",
        compute="_compute_dunning_amounts",
        groups=BILLING,
        help="The part of it that is past its due date.",
    )

    @api.model
    def _selection_dunning_catch_up(self):
        sequence = self.env["dunning.sequence"]
        return sequence._fields["catch_up"]._description_selection(self.env)

    @api.model
    def _commercial_fields(self):
        return super()._commercial_fields() + [
            "dunning_policy",
            "dunning_sequence_id",
            "dunning_since",
            "dunning_catch_up",
            "dunning_user_id",
        ]

    def _compute_dunning_reminders_count(self):
        counts = dict(
            self.env["dunning.reminder"]._read_group(
                [("partner_id", "in", self.commercial_partner_id.ids)],
                ["partner_id"],
                ["__count"],
            )
        )
        for partner in self:
            partner.dunning_reminders_count = counts.get(
                partner.commercial_partner_id, 0
            )

    @api.depends_context("company")
    def _compute_dunning_shown_hold_ids(self):
        customers = self.commercial_partner_id
        holds = self.env["dunning.hold"].search(
            [
                ("company_id", "=", self.env.company.id),
                "|",
                ("partner_id", "in", customers.ids),
                ("move_ids.commercial_partner_id", "in", customers.ids),
            ]
        )
        for partner in self:
            customer = partner.commercial_partner_id
            partner.dunning_shown_hold_ids = holds.filtered(
                lambda hold, customer=customer: (
                    customer in (hold.partner_id | hold.move_ids.commercial_partner_id)
                )
            )

    def _compute_dunning_contact_ids(self):
        contacts = self.search(
            [
                ("commercial_partner_id", "in", self.commercial_partner_id.ids),
                ("dunning_contact", "=", True),
            ]
        ).grouped("commercial_partner_id")
        for partner in self:
            partner.dunning_contact_ids = contacts.get(
                partner.commercial_partner_id, False
            )

    @api.depends_context("company")
    def _compute_dunning_amounts(self):
        """Of the whole customer, in the company of the context: receivable lines."""
        company = self.env.company
        today = company._dunning_today()
        lines = [
            ("company_id", "=", company.id),
            ("partner_id.commercial_partner_id", "in", self.commercial_partner_id.ids),
            ("display_type", "=", "payment_term"),
            ("move_id.move_type", "in", ("out_invoice", "out_receipt")),
            ("parent_state", "=", "posted"),
            ("reconciled", "=", False),
        ]
        Line = self.env["account.move.line"]
        amounts = []
        for domain in (lines, [*lines, ("date_maturity", "<", today)]):
            totals = {}
            for partner, total in Line._read_group(
                domain, ["partner_id"], ["amount_residual:sum"]
            ):
                customer = partner.commercial_partner_id
                totals[customer] = totals.get(customer, 0) + total
            amounts.append(totals)
        for partner in self:
            customer = partner.commercial_partner_id
            partner.dunning_currency_id = company.currency_id
            partner.dunning_amount_open = amounts[0].get(customer, 0)
            partner.dunning_amount_overdue = amounts[1].get(customer, 0)

    # ------------------------------------------------------------------------
    # PAUSE
    # ------------------------------------------------------------------------

    def _get_dunning_pauses(self):
        """The open pauses of these customers, in the company of the context."""
        pauses = self.dunning_hold_ids._filter_open("pause")
        return pauses.filtered(lambda hold: hold.company_id == self.env.company)

    # Each has a method of its own: what is computed together is empty to Odoo while
    # only one of it is written.

    @api.depends("dunning_hold_ids.closed_on", "dunning_hold_ids.until")
    @api.depends_context("company")
    def _compute_dunning_paused(self):
        for partner in self:
            pauses = partner.commercial_partner_id._get_dunning_pauses()
            partner.dunning_paused = bool(pauses)

    @api.depends("dunning_hold_ids.closed_on", "dunning_hold_ids.until")
    @api.depends_context("company")
    def _compute_dunning_pause_until(self):
        for partner in self:
            pauses = partner.commercial_partner_id._get_dunning_pauses()
            partner.dunning_pause_until = pauses[:1].until

    def _inverse_dunning_pause(self):
        wanted = [(p, p.dunning_paused, p.dunning_pause_until) for p in self]
        for partner, paused, until in wanted:
            customer = partner.commercial_partner_id
            pauses = customer._get_dunning_pauses()
            if not paused:
                pauses.action_close()
            elif pauses:
                pauses[:1].write({"until": until})
            else:
                self.env["dunning.hold"].create(
                    {
                        "kind": "pause",
                        "partner_id": customer.id,
                        "company_id": self.env.company.id,
                        "until": until,
                    }
                )

    # ------------------------------------------------------------------------
    # MARK
    # ------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        vals_list = [self._complete_dunning_vals(vals) for vals in vals_list]
        if any(vals.get("dunning_policy") for vals in vals_list):
            today = self.env.company._dunning_today()
            vals_list = [
                {"dunning_since": today, **vals} if vals.get("dunning_policy") else vals
                for vals in vals_list
            ]
        partners = super().create(vals_list)
        for partner, vals in zip(partners, vals_list, strict=True):
            if partner.commercial_partner_id == partner:  # else it has his customer's
                new = {name: False for name in vals if name.startswith("dunning_")}
                partner._check_dunning_access(new)
        contacts = partners.filtered(lambda p: p.parent_id and p.email)
        self._dunning_mark_partners(contacts.commercial_partner_id - contacts)
        return partners

    def copy_data(self, default=None):
        """Who may not say who is reminded duplicates customers as before."""
        vals_list = super().copy_data(default)
        if self._may_decide_dunning():
            return vals_list
        return [
            {name: vals[name] for name in vals.keys() - GUARDED_FIELDS}
            for vals in vals_list
        ]

    def write(self, vals):
        self._check_dunning_access(vals)
        marking = MARKING_FIELDS & vals.keys()
        before = self.commercial_partner_id if marking else self.browse()
        vals, joining = self._prepare_dunning_vals(vals)
        res = super().write(vals)
        if joining:
            today = self.env.company._dunning_today()
            super(ResPartner, joining).write({"dunning_since": today})
        if marking:
            self._dunning_mark_partners(before | self.commercial_partner_id)
        if "parent_id" in vals:
            self._move_dunning_holds()
        return res

    def unlink(self):
        customers = self.commercial_partner_id - self
        res = super().unlink()
        self._dunning_mark_partners(customers)
        return res

    def _check_dunning_access(self, vals):
        """Who reminds customers is accounting's to say, not everybody's who may edit
        contacts. A check, not `groups`: Odoo copies these fields to contacts, as the
        user who edits them. Nothing but that copy: a contact can become a customer.

        :raise AccessError: for users without billing rights
        """
        names = GUARDED_FIELDS & vals.keys()
        if not names or self._may_decide_dunning():
            return
        for partner in self:
            customer = partner.commercial_partner_id
            for name in names:
                field = self._fields[name]
                before = field.convert_to_write(partner[name], partner)
                copied = field.convert_to_write(customer[name], customer)
                if vals[name] not in (before, copied):
                    raise AccessError(
                        self.env._(
                            "Only users with billing rights can change who gets "
                            "payment reminders."
                        )
                    )

    @api.model
    def _may_decide_dunning(self):
        return self.env.su or self.env.user.has_group("account.group_account_invoice")

    def _move_dunning_holds(self):
        """A customer that became part of a company is held with it."""
        holds = self.env["dunning.hold"].sudo().search([("partner_id", "in", self.ids)])
        for hold in holds:
            customer = hold.partner_id.commercial_partner_id
            if hold.partner_id != customer:
                hold.partner_id = customer

    def _prepare_dunning_vals(self, vals):
        """Giving a customer a sequence enrolls him on that day (P01, P20).

        :return: the values to write, and the customers who join by them: to write
            again what is there already changes nothing
        """
        if not {"dunning_policy", "dunning_sequence_id"} & vals.keys():
            return vals, self.browse()
        vals = self._complete_dunning_vals(vals)
        if not vals.get("dunning_policy") or "dunning_since" in vals:
            return vals, self.browse()
        sequence_id = vals.get("dunning_sequence_id")
        return vals, self.filtered(
            lambda partner: (
                partner.dunning_policy != vals["dunning_policy"]
                or (sequence_id and partner.dunning_sequence_id.id != sequence_id)
            )
        )

    @api.model
    def _complete_dunning_vals(self, vals):
        """A sequence alone means: this one."""
        if vals.get("dunning_sequence_id") and "dunning_policy" not in vals:
            return {**vals, "dunning_policy": "own"}
        return vals

    @api.model
    def _dunning_mark_partners(self, partners):
        self.env["dunning.mark"]._mark("partner", partners.ids)

    def action_dunning_pause(self):
        """Open the form of a pause of this customer: it needs no right to edit him."""
        self.ensure_one()
        return self.env["dunning.hold"]._get_pause_action(
            partner_id=self.commercial_partner_id.id, company_id=self.env.company.id
        )

    def action_dunning_resume(self):
        """End the pauses of this customer: reminders go on at the same place."""
        self.env["dunning.hold"].check_access("write")
        self.commercial_partner_id._get_dunning_pauses().action_close()
        return True

    def action_view_dunning_reminders(self):
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dunning_sequences.dunning_reminder_action"
        )
        action["domain"] = [("partner_id", "in", self.commercial_partner_id.ids)]
        action["context"] = {}
        return action
