from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from odoo import api, fields, models
from odoo.exceptions import UserError

from ..tools import plan

STATE_DRAFT = "draft"
STATE_RUNNING = "running"
STATE_STOPPED = "stopped"


class DunningSequence(models.Model):
    """What to do about unpaid invoices: an ordered list of reminders.

    Written by a person, in draft until it is started. Belongs to one company;
    its branches use it too. Instalments that follow it are `dunning.enrollment`.
    """

    _name = "dunning.sequence"
    _description = "Reminder Sequence"
    _inherit = ["mail.thread", "mail.activity.mixin"]
    _order = "company_id, name, id"
    _check_company_auto = True
    _check_company_domain = models.check_company_domain_parent_of

    name = fields.Char(required=True, translate=True, tracking=True)
    description = fields.Text(
        translate=True,
        help="Whom this sequence is for. Only shown inside the company.",
    )
    active = fields.Boolean(default=True, tracking=True)
    company_id = fields.Many2one(
        comodel_name="res.company",
        required=True,
        default=lambda self: self.env.company,
        ondelete="cascade",
    )
    company_currency_id = fields.Many2one(related="company_id.currency_id")
    user_id = fields.Many2one(
        comodel_name="res.users",
        string="Responsible",
        default=lambda self: self.env.user,
        domain="[('share', '=', False)]",
        tracking=True,
        help="Signs the reminders and is told when one of them needs a person.",
    )
    state = fields.Selection(
        selection=[
            (STATE_DRAFT, "Draft"),
            (STATE_RUNNING, "Running"),
            (STATE_STOPPED, "Stopped"),
        ],
        default=STATE_DRAFT,
        required=True,
        readonly=True,
        copy=False,
        tracking=True,
    )
    started_by_id = fields.Many2one(
        comodel_name="res.users",
        readonly=True,
        copy=False,
        help="Is told what waits for a person where nobody is responsible.",
    )
    started_on = fields.Date(
        readonly=True,
        copy=False,
        help="Step dates before this day are in the past: they send nothing.",
    )
    step_ids = fields.One2many(
        comodel_name="dunning.sequence.step",
        inverse_name="sequence_id",
        string="Steps",
        copy=True,
    )
    steps_count = fields.Integer(compute="_compute_steps_count")

    # === Policy === #
    grouping = fields.Selection(
        selection=[
            ("invoice", "One e-mail per invoice"),
            ("customer", "One e-mail per customer and day"),
        ],
        default="customer",
        required=True,
        tracking=True,
    )
    catch_up = fields.Selection(
        selection=[
            (plan.CROSSING, "Only from the next step date on"),
            (plan.LATEST, "With the latest step reached"),
            (plan.FIRST, "With the first step"),
        ],
        string="Older Invoices Start",
        default=plan.CROSSING,
        required=True,
        tracking=True,
        help="What happens to invoices that are already past some step dates when "
        "the sequence starts or a customer joins it. Whatever the choice, there is "
        "never more than one reminder at a time.",
    )
    require_sent = fields.Boolean(
        string="Only Sent Invoices",
        tracking=True,
        help="Invoices that were never sent to the customer wait.",
    )
    min_amount = fields.Monetary(
        string="Minimum Amount",
        currency_field="company_currency_id",
        tracking=True,
        help="A customer whose due invoices add up to less is not reminded.",
    )
    min_contact_days = fields.Integer(
        string="Days between Reminders",
        tracking=True,
        help="Calendar days that must lie between two automatic reminders to the "
        "same customer, over all sequences. 0: no limit.",
    )
    excluded_payment_method_ids = fields.Many2many(
        comodel_name="account.payment.method",
        string="Excluded Payment Methods",
        domain="[('payment_type', '=', 'inbound')]",
        help="Invoices to be paid by one of these methods, such as a direct debit, "
        "are never reminded.",
    )

    calendar_id = fields.Many2one(
        comodel_name="resource.calendar",
        string="Working Calendar",
        check_company=True,
        tracking=True,
        help="Nothing leaves on its days off, such as week-ends and holidays: steps "
        "before the due date come earlier, the others on the next working day. Empty: "
        "every day.",
    )

    # === Mail === #
    email_from = fields.Char(
        string="From",
        tracking=True,
        help="Sender of the reminders. Empty: the company's e-mail address.",
    )
    mail_server_id = fields.Many2one(
        comodel_name="ir.mail_server",
        string="Outgoing Mail Server",
        domain="[('owner_user_id', '=', False)]",
        copy=False,  # by `copy`: most who may duplicate may not see it
        groups="base.group_system",
    )
    attach_invoice = fields.Boolean(
        string="Attach Invoices",
        help="Attaches the stored PDF of each invoice; one that is missing is made.",
    )
    payment_link = fields.Boolean(
        default=True,
        help="Shows a button that leads to the invoice in the customer portal.",
    )

    use_last_recipients = fields.Boolean(
        string="Recipients of the Last Mail",
        tracking=True,
        help="Reminders go to those who got the last mail about the invoice, unless "
        "the invoice has recipients of its own.",
    )

    # === Who follows it === #
    partner_ids = fields.Many2many(
        comodel_name="res.partner",
        string="Customers",
        compute="_compute_partner_ids",
        inverse="_inverse_partner_ids",
        help="Customers with this sequence of their own. Adding a customer who "
        "follows another sequence moves him.",
    )
    partners_count = fields.Integer(compute="_compute_counts", string="Customer Count")
    enrollments_count = fields.Integer(compute="_compute_counts")
    reminders_count = fields.Integer(compute="_compute_counts")
    is_company_default = fields.Boolean(compute="_compute_is_company_default")

    _check_amounts = models.Constraint(
        "CHECK (min_amount >= 0 AND min_contact_days BETWEEN 0 AND 3650)",
        "The minimum amount and the days between reminders cannot be negative, nor the "
        "days more than ten years (3650).",
    )

    # ------------------------------------------------------------------------
    # COMPUTE
    # ------------------------------------------------------------------------

    @api.depends("step_ids")
    def _compute_steps_count(self):
        for sequence in self:
            sequence.steps_count = len(sequence.step_ids)

    @api.depends_context("uid")
    def _compute_counts(self):
        partners = self._get_partners()
        enrollments = dict(
            self.env["dunning.enrollment"]._read_group(
                [
                    ("sequence_id", "in", self.ids),
                    ("state", "in", ("running", "held", "todo")),
                ],
                ["sequence_id"],
                ["__count"],
            )
        )
        reminders = dict(
            self.env["dunning.reminder"]._read_group(
                [("sequence_id", "in", self.ids)], ["sequence_id"], ["__count"]
            )
        )
        for sequence in self:
            sequence.partners_count = len(partners.get(sequence.id, ()))
            sequence.enrollments_count = enrollments.get(sequence, 0)
            sequence.reminders_count = reminders.get(sequence, 0)

    @api.depends("company_id.dunning_sequence_id")
    def _compute_is_company_default(self):
        for sequence in self:
            default = sequence.company_id.sudo().dunning_sequence_id
            sequence.is_company_default = bool(sequence) and default == sequence

    @api.depends("company_id")
    def _compute_partner_ids(self):
        partners = self._get_partners()
        for sequence in self:
            sequence.partner_ids = partners.get(sequence._origin.id, False)

    def _get_partners(self):
        """Return {sequence id: customers with that sequence of their own}."""
        found = {}
        for company, sequences in self._origin.grouped("company_id").items():
            if company not in self.env.companies:
                continue  # a branch's user sees the parent's sequence, no more
            partners = (
                self.env["res.partner"]
                .with_company(company)
                .search_fetch(
                    [
                        ("dunning_policy", "=", "own"),
                        ("dunning_sequence_id", "in", sequences.ids),
                        "|",
                        ("parent_id", "=", False),
                        ("is_company", "=", True),
                    ],
                    ["dunning_sequence_id"],
                )
            )
            for sequence, customers in partners.grouped("dunning_sequence_id").items():
                found[sequence.id] = customers.with_company(self.env.company)
        return found

    def _inverse_partner_ids(self):
        before = self._get_partners()
        for sequence in self:
            old = before.get(sequence.id, self.env["res.partner"])
            old = old.with_company(sequence.company_id)
            new = sequence.partner_ids.commercial_partner_id
            new = new.with_company(sequence.company_id)
            new.check_access("read")
            # Who writes sequences says who follows them, without editing contacts.
            old, new = old.sudo(), new.sudo()
            (old - new).write({"dunning_policy": False, "dunning_sequence_id": False})
            (new - old).write(
                {"dunning_policy": "own", "dunning_sequence_id": sequence.id}
            )

    # ------------------------------------------------------------------------
    # CRUD
    # ------------------------------------------------------------------------

    def copy_data(self, default=None):
        vals_list = super().copy_data(default)
        for sequence, vals in zip(self, vals_list, strict=True):
            ready_made = self.env.context.get("dunning_ready_made")
            if not ready_made and "name" not in (default or {}):
                vals["name"] = self.env._("%(name)s (copy)", name=sequence.name)
        return vals_list

    def copy(self, default=None):
        copies = super().copy(default)
        if self.env.context.get("dunning_ready_made"):
            return copies
        for old, new in zip(self.sudo(), copies.sudo(), strict=True):
            new.mail_server_id = old.mail_server_id
        return copies

    def write(self, vals):
        if "company_id" in vals:
            self._check_company_kept(vals["company_id"])
        if "step_ids" in vals:
            # A form saves line by line: only the whole can be in order.
            sequences = self.with_context(dunning_steps_in_progress=True)
            res = super(DunningSequence, sequences).write(vals)
            self.step_ids._check_order()
        else:
            res = super().write(vals)
        if self._get_marking_fields() & vals.keys():
            self.env["dunning.mark"]._mark("sequence", self.ids)
        return res

    def _check_company_kept(self, company_id):
        """Who follows a sequence would silently fall out of it.

        :raise UserError: once it was started, or is a company's default
        """
        moved = self.filtered(
            lambda sequence: (
                sequence.company_id.id != company_id
                and (sequence.state != STATE_DRAFT or sequence.is_company_default)
            )
        )
        if moved:
            raise UserError(
                self.env._(
                    "“%(name)s” belongs to %(company)s and is followed there. "
                    "Duplicate it for the other company.",
                    name=moved[0].name,
                    company=moved[0].company_id.name,
                )
            )

    def _get_marking_fields(self):
        """Fields whose change can move, hold or release an instalment."""
        return {
            "active",
            "calendar_id",
            "state",
            "started_on",
            "step_ids",
            "catch_up",
            "require_sent",
            "min_amount",
            "min_contact_days",
            "credit_policy",
            "excluded_payment_method_ids",
        }

    @api.ondelete(at_uninstall=False)
    def _unlink_except_running(self):
        running = self.filtered(lambda sequence: sequence.state == STATE_RUNNING)
        if running:
            raise UserError(
                self.env._(
                    "The sequence “%(name)s” is running. Stop it before you delete it.",
                    name=running[0].name,
                )
            )
        followed = self.env["dunning.enrollment"].search_fetch(
            [("sequence_id", "in", self.ids)], ["move_id"]
        )
        self.env["dunning.mark"]._mark("move", followed.move_id.ids)

    # ------------------------------------------------------------------------
    # ACTIONS
    # ------------------------------------------------------------------------

    def action_start(self):
        """Switch the sequence on, from today on.

        :raise UserError: when it has no step
        """
        self._check_steps()
        for sequence in self:
            sequence.write(
                {
                    "state": STATE_RUNNING,
                    "started_by_id": self.env.uid,
                    "started_on": sequence.company_id._dunning_today(),
                }
            )
        return True

    def _check_steps(self):
        for sequence in self:
            if not sequence.step_ids:
                raise UserError(
                    self.env._(
                        "The sequence “%(name)s” has no step yet: add at least one "
                        "before you start it.",
                        name=sequence.name,
                    )
                )

    def action_stop(self):
        """Switch the sequence off: nothing more leaves, what waits is cancelled."""
        self.write({"state": STATE_STOPPED})
        return True

    def action_view_enrollments(self):
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dunning_sequences.dunning_enrollment_action"
        )
        action["domain"] = [("sequence_id", "=", self.id)]
        action["context"] = {"search_default_open": 1}
        return action

    def action_view_reminders(self):
        self.ensure_one()
        action = self.env["ir.actions.act_window"]._for_xml_id(
            "dunning_sequences.dunning_reminder_action"
        )
        action["domain"] = [("sequence_id", "=", self.id)]
        return action

    # ------------------------------------------------------------------------
    # BUSINESS
    # ------------------------------------------------------------------------

    def _get_responsible(self):
        """Who is told what waits: the responsible, else who started it."""
        return (self.user_id or self.started_by_id).filtered("active")

    def _get_rhythm(self):
        """Return the steps as the plan reads them."""
        self.ensure_one()
        steps = self.step_ids.sorted(lambda step: (step.sequence, step.id))
        return tuple(step._prepare_plan_step() for step in steps)

    def _get_days_off(self, first, last):
        """Return the dates from ``first`` to ``last`` on which nothing leaves.

        A calendar without any working day is not followed.
        """
        self.ensure_one()
        calendar = self.sudo().calendar_id
        if not calendar:
            return frozenset()
        tz = ZoneInfo(calendar.tz or "UTC")
        intervals = calendar._work_intervals_batch(
            datetime.combine(first, time.min, tzinfo=tz),
            datetime.combine(last, time.max, tzinfo=tz),
        )[False]
        working = {start.date() for start, _stop, _attendance in intervals}
        if not working:
            return frozenset()
        days = (first + timedelta(days=n) for n in range((last - first).days + 1))
        return frozenset(day for day in days if day not in working)

    @api.model
    def _copy_ready_made(self, companies):
        """Give each company its copy of the ready-made sequences, in draft (P14).

        A company with a sequence, even an archived one, is left alone.
        """
        having = self.with_context(active_test=False).search_fetch(
            [("company_id", "in", companies.ids)], ["company_id"]
        )
        sequences = self.browse()
        for company in companies - having.company_id:
            for sequence in self._get_ready_made():
                sequences += sequence.with_context(dunning_ready_made=True).copy(
                    {
                        "company_id": company.id,
                        "user_id": False,
                        "email_from": False,
                        "calendar_id": False,
                        "claim_policy": "none",  # its law may be another one
                        "excluded_payment_method_ids": False,
                    }
                )
        return sequences

    @api.model
    def _get_ready_made(self):
        """The sequences that the module ships. Hook: override to ship others."""
        xml_ids = ("dunning_sequence_standard", "dunning_sequence_key_accounts")
        sequences = self.browse()
        for name in xml_ids:
            sequences += (
                self.env.ref(f"dunning_sequences.{name}", raise_if_not_found=False)
                or sequences[:0]
            )
        return sequences
