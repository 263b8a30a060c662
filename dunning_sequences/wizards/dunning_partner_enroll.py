from odoo import api, fields, models


class DunningPartnerEnroll(models.TransientModel):
    """Gives many customers a sequence, the company's default, or none (P18, P19)."""

    _name = "dunning.partner.enroll"
    _description = "Set the Reminder Sequence of Customers"

    company_id = fields.Many2one(
        comodel_name="res.company",
        default=lambda self: self.env.company,
        required=True,
        readonly=True,
    )
    partner_ids = fields.Many2many(
        comodel_name="res.partner",
        string="Customers",
        default=lambda self: self._default_partner_ids(),
        required=True,
    )
    policy = fields.Selection(
        selection=[
            ("own", "This sequence"),
            ("default", "The company's default sequence"),
            ("none", "No reminders"),
        ],
        string="They Follow",
        default="own",
        required=True,
    )
    sequence_id = fields.Many2one(
        comodel_name="dunning.sequence",
        domain="[('company_id', 'parent_of', company_id)]",
    )
    default_sequence_name = fields.Char(compute="_compute_default_sequence_name")
    catch_up = fields.Selection(
        selection="_selection_catch_up",
        string="Older Invoices Start",
        help="Empty: as the sequence says. Whatever the choice, there is never more "
        "than one reminder at a time.",
    )
    customers_count = fields.Integer(compute="_compute_counts")
    same_count = fields.Integer(compute="_compute_counts")
    moving_count = fields.Integer(
        compute="_compute_counts", help="Those who leave a sequence of their own."
    )

    @api.model
    def _selection_catch_up(self):
        return self.env["res.partner"]._selection_dunning_catch_up()

    @api.model
    def _default_partner_ids(self):
        """The customers behind the contacts that were selected in a list."""
        if self.env.context.get("active_model") != "res.partner":
            return False
        partners = self.env["res.partner"].browse(self.env.context.get("active_ids"))
        return partners.commercial_partner_id

    @api.depends("company_id")
    def _compute_default_sequence_name(self):
        for wizard in self:
            company = wizard.company_id & self.env.companies
            chain = company.sudo().parent_ids.sorted(
                lambda company: -len(company.parent_ids)
            )
            sequences = chain.filtered("dunning_sequence_id")[:1].dunning_sequence_id
            wizard.default_sequence_name = sequences.name

    @api.depends("partner_ids", "policy", "sequence_id")
    def _compute_counts(self):
        for wizard in self:
            partners = wizard._get_partners()
            wizard.customers_count = len(partners)
            if wizard.policy == "own" and not wizard.sequence_id:
                partners = partners.browse()  # nothing is chosen yet
            same = partners.filtered(wizard._is_unchanged)
            moving = (partners - same).filtered(
                lambda partner: partner.dunning_policy == "own"
            )
            wizard.same_count = len(same)
            wizard.moving_count = len(moving)

    def _get_partners(self):
        self.ensure_one()
        partners = self.partner_ids._origin.commercial_partner_id
        return partners.with_company(self.company_id)

    def _is_unchanged(self, partner):
        """To set again what is there changes nothing: his day of joining stays."""
        policy = False if self.policy == "default" else self.policy
        if (partner.dunning_policy or False) != policy:
            return False
        return policy != "own" or partner.dunning_sequence_id == self.sequence_id

    def _prepare_partner_vals(self):
        if self.policy != "own":
            return {
                "dunning_policy": "none" if self.policy == "none" else False,
                "dunning_sequence_id": False,
                "dunning_catch_up": False,
            }
        return {
            "dunning_policy": "own",
            "dunning_sequence_id": self.sequence_id.id,
            "dunning_catch_up": self.catch_up,
        }

    def action_confirm(self):
        """Set it. Who is reminded is billing's to say, as is who may open this."""
        self.ensure_one()
        partners = self._get_partners()
        partners.check_access("read")
        self.sequence_id.check_access("read")
        partners.sudo().write(self._prepare_partner_vals())
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "success",
                "message": self.env._(
                    "Done for %(count)s customers.", count=len(partners)
                ),
                "next": {"type": "ir.actions.act_window_close"},
            },
        }
