from markupsafe import Markup

from odoo import api, fields, models
from odoo.exceptions import ValidationError
from odoo.tools import is_html_empty

from ..tools import plan, typed_text
from ..tools.one_line import one_line


class DunningSequenceStep(models.Model):
    """One reminder of a sequence: when it leaves and what it says."""

    _name = "dunning.sequence.step"
    _description = "Reminder Sequence Step"
    _order = "sequence_id, sequence, id"
    _check_company_domain = models.check_company_domain_parent_of

    sequence_id = fields.Many2one(
        comodel_name="dunning.sequence",
        string="Reminder Sequence",
        required=True,
        ondelete="cascade",
    )
    company_id = fields.Many2one(
        related="sequence_id.company_id", store=True, ondelete="cascade"
    )
    sequence = fields.Integer(default=10)
    number = fields.Integer(
        compute="_compute_number", help="Position in the sequence, from 1."
    )
    name = fields.Char(required=True, translate=True)

    # === When === #
    trigger = fields.Selection(
        selection=[
            (plan.DUE_DATE, "Due date"),
            (plan.PREVIOUS, "Previous reminder"),
        ],
        string="Counts From",
        default=plan.DUE_DATE,
        required=True,
        help="Due date: the date is known in advance. Previous reminder: the days "
        "count from the day on which it really left.",
    )
    delay = fields.Integer(
        string="Days",
        default=7,
        required=True,
        help="Calendar days after the due date, or after the previous reminder. "
        "Negative: before the due date. 1 is the day after the due date.",
    )
    timing = fields.Char(compute="_compute_timing", string="When")
    repeat_every = fields.Integer(
        help="Days after which the last step is sent again. 0: it is sent once.",
    )
    repeat_max = fields.Integer(
        string="Repetitions",
        help="How many times the last step is repeated after it was sent first. "
        "0: until the invoice is paid.",
    )

    # === What === #
    mode = fields.Selection(
        selection=[
            ("auto", "Automatic"),
            ("approval", "To approve"),
            ("manual", "By hand"),
        ],
        default="auto",
        required=True,
        help="Automatic: leaves by itself. To approve: each reminder is written and "
        "waits until somebody approves it. By hand: the invoice is only listed as to "
        "do. When the date of the next step comes first, that one takes its place.",
    )
    channel = fields.Selection(
        selection="_selection_channel",
        default="email",
        required=True,
        help="E-mail: leaves by itself. Letter: is written, and counts from the day on "
        "which somebody prints it. Activity: somebody is asked to call or to visit, "
        "and it counts when the activity is done.",
    )
    new_deadline_days = fields.Integer(
        string="New Deadline",
        help="Days from the day of the reminder until which the customer is asked to "
        "pay: the field new_deadline. 0: no new deadline.",
    )
    content = fields.Selection(
        selection=[("template", "E-mail template"), ("text", "Text typed here")],
        default="template",
        required=True,
    )
    template_id = fields.Many2one(
        comodel_name="mail.template",
        string="E-mail Template",
        domain="[('model', '=', 'dunning.reminder')]",
        ondelete="restrict",
    )
    subject = fields.Char(translate=True)
    body = fields.Html(
        string="Text",
        translate=True,
        sanitize_attributes=True,
        help="Write {{ invoice_number }} or {% if payment_link %} … {% endif %}.",
    )

    # === Activity === #
    activity_type_id = fields.Many2one(
        comodel_name="mail.activity.type",
        domain="[('res_model', 'in', (False, 'account.move'))]",
        ondelete="set null",
        help="Empty: a to-do.",
    )
    activity_user_id = fields.Many2one(
        comodel_name="res.users",
        string="Assigned To",
        domain="[('share', '=', False)]",
        ondelete="set null",
        help="Empty: the customer's collector, else the responsible of the sequence.",
    )
    activity_summary = fields.Char(
        string="Activity",
        translate=True,
        help="What is to be done. Empty: the name of the step.",
    )

    _check_repeat = models.Constraint(
        "CHECK (repeat_every >= 0 AND repeat_max >= 0 AND new_deadline_days >= 0)",
        "The days of the deadline, and the days and the number of repetitions, cannot "
        "be negative.",
    )
    _check_days = models.Constraint(
        "CHECK (delay BETWEEN -3650 AND 3650 AND repeat_every <= 3650 "
        "AND new_deadline_days <= 3650)",
        "Days are counted in days: ten years (3650) are the most.",
    )
    _check_previous = models.Constraint(
        "CHECK (trigger != 'previous' OR delay > 0)",
        "A step that counts from the previous reminder comes at least one day "
        "after it.",
    )

    @api.model
    def _selection_channel(self):
        """How a reminder reaches the customer; a reminder has the one of its step."""
        words = {
            "email": self.env._("E-mail"),
            "letter": self.env._("Letter"),
            "activity": self.env._("Activity"),
        }
        return list(words.items())

    # ------------------------------------------------------------------------
    # COMPUTE
    # ------------------------------------------------------------------------

    @api.depends("sequence", "sequence_id.step_ids.sequence")
    def _compute_number(self):
        for step in self:
            siblings = step.sequence_id.step_ids.sorted("sequence")
            position = {sibling: i for i, sibling in enumerate(siblings, 1)}
            step.number = position.get(step, len(siblings) + 1)

    @api.depends("trigger", "delay", "repeat_every", "repeat_max")
    @api.depends_context("lang")
    def _compute_timing(self):
        for step in self:
            step.timing = step._get_timing()

    def _get_timing(self):
        """Say in words when the step comes (G06)."""
        self.ensure_one()
        days = abs(self.delay)
        if self.trigger == plan.PREVIOUS:
            text = (
                self.env._("1 day after the previous reminder")
                if days == 1
                else self.env._("%(days)s days after the previous reminder", days=days)
            )
        elif not self.delay:
            text = self.env._("on the due date")
        elif self.delay < 0:
            text = (
                self.env._("1 day before the due date")
                if days == 1
                else self.env._("%(days)s days before the due date", days=days)
            )
        else:
            text = (
                self.env._("1 day after the due date")
                if days == 1
                else self.env._("%(days)s days after the due date", days=days)
            )
        if not self.repeat_every:
            return text
        return self._get_repeat_timing(text)

    def _get_repeat_timing(self, timing):
        if self.repeat_every == 1:
            every = self.env._("every day")
        else:
            every = self.env._("every %(days)s days", days=self.repeat_every)
        values = {"timing": timing, "every": every, "times": self.repeat_max}
        if not self.repeat_max:
            return self.env._("%(timing)s, then %(every)s until paid", **values)
        if self.repeat_max == 1:
            return self.env._("%(timing)s, then once more (%(every)s)", **values)
        return self.env._("%(timing)s, then %(times)s more times, %(every)s", **values)

    # ------------------------------------------------------------------------
    # CONSTRAINTS
    # ------------------------------------------------------------------------

    @api.constrains("sequence", "trigger", "delay", "repeat_every", "sequence_id")
    def _check_order(self):
        if self.env.context.get("dunning_steps_in_progress"):
            return  # the sequence is being saved, and checks when it is done
        for sequence in self.sequence_id:
            self._check_rhythm(sequence.step_ids.sorted("sequence"))

    @api.model
    def _check_rhythm(self, steps):
        """Refuse what cannot go in order: see "Order" in the documentation."""
        if steps and steps[0].trigger == plan.PREVIOUS:
            raise ValidationError(
                self.env._(
                    "“%(step)s” is the first step: there is no previous reminder to "
                    "count from. Let it count from the due date.",
                    step=steps[0].name,
                )
            )
        dated = steps.filtered(lambda step: step.trigger == plan.DUE_DATE)
        for before, after in zip(dated, dated[1:], strict=False):
            if after.delay <= before.delay:
                raise ValidationError(
                    self.env._(
                        "“%(after)s” (%(after_timing)s) must come later than "
                        "“%(before)s” (%(before_timing)s), which stands above it. "
                        "Change the days or the order.",
                        after=after.name,
                        after_timing=after.timing,
                        before=before.name,
                        before_timing=before.timing,
                    )
                )
        repeated = steps[:-1].filtered("repeat_every")
        if repeated:
            raise ValidationError(
                self.env._(
                    "“%(step)s” repeats, but another step follows it. Only the last "
                    "step can repeat.",
                    step=repeated[0].name,
                )
            )

    @api.constrains("channel", "content", "template_id", "subject", "body")
    def _check_content(self):
        for step in self:
            if step.channel == "activity":
                continue
            if step.content == "template":
                step._check_template()
            else:
                step._check_typed_text()

    def _check_template(self):
        self.ensure_one()
        if not self.template_id:
            raise ValidationError(
                self.env._(
                    "Choose an e-mail template for the step “%(step)s”, or type its "
                    "text.",
                    step=self.name,
                )
            )
        if self.template_id.sudo().model != "dunning.reminder":
            raise ValidationError(
                self.env._(
                    "The template “%(template)s” is not made for payment reminders. "
                    "Choose one that applies to “Payment Reminder”.",
                    template=self.template_id.display_name,
                )
            )

    def update_field_translations(self, field_name, translations, source_lang=""):
        """The translations of a text obey the rules of the text."""
        res = super().update_field_translations(field_name, translations, source_lang)
        if field_name in ("subject", "body"):
            for lang in translations:
                self.with_context(lang=lang)._check_content()
        return res

    def _check_typed_text(self):
        self.ensure_one()
        if not self.subject or is_html_empty(self.body):
            raise ValidationError(
                self.env._(
                    "Type the subject and the text of the step “%(step)s”.",
                    step=self.name,
                )
            )
        for source in (self.subject, self.body):
            error = typed_text.problem(str(source))
            if error:
                raise ValidationError(self._get_typed_text_message(error))

    def _get_typed_text_message(self, error):
        """Say what is wrong with a typed text, and what may stand in it."""
        fields_list = ", ".join(typed_text.FIELDS)
        part = error.args[0]
        if isinstance(error, typed_text.TooLong):
            return self.env._(
                "The text of the step “%(step)s” is longer than %(length)s characters.",
                step=self.name,
                length=part,
            )
        if isinstance(error, typed_text.UnknownField):
            return self.env._(
                "There is no field “%(field)s” in the step “%(step)s”. The fields "
                "are: %(fields)s.",
                field=part,
                step=self.name,
                fields=fields_list,
            )
        if isinstance(error, typed_text.BrokenSyntax):
            return self.env._(
                "The text of the step “%(step)s” cannot be read: %(reason)s.",
                step=self.name,
                reason=part,
            )
        return self.env._(
            "“%(part)s” cannot be used in the step “%(step)s”. Only {{ field }} and "
            "{%% if field %%} … {%% endif %%} are possible, with these fields: "
            "%(fields)s.",
            part=part,
            step=self.name,
            fields=fields_list,
        )

    # ------------------------------------------------------------------------
    # CRUD: an edited step moves the instalments that follow its sequence
    # ------------------------------------------------------------------------

    @api.model_create_multi
    def create(self, vals_list):
        steps = super().create(vals_list)
        self.env["dunning.mark"]._mark("sequence", steps.sequence_id.ids)
        return steps

    def write(self, vals):
        res = super().write(vals)
        if "sequence" in vals:  # the list in memory keeps the order it was read in
            self.sequence_id.invalidate_recordset(["step_ids"])
        if self._get_marking_fields() & vals.keys():
            self.env["dunning.mark"]._mark("sequence", self.sequence_id.ids)
        return res

    def _get_marking_fields(self):
        """Fields whose change can move an instalment."""
        return {
            "sequence",
            "trigger",
            "delay",
            "repeat_every",
            "repeat_max",
            "mode",
            "channel",
        }

    def unlink(self):
        sequences = self.sequence_id
        self.env["dunning.mark"]._mark("sequence", sequences.ids)
        res = super().unlink()
        sequences.step_ids._check_order()
        return res

    # ------------------------------------------------------------------------
    # BUSINESS
    # ------------------------------------------------------------------------

    def _prepare_plan_step(self):
        self.ensure_one()
        return plan.Step(
            self.id, self.trigger, self.delay, self.repeat_every, self.repeat_max
        )

    def _render_typed(self, values):
        """Return the subject and body of a typed step.

        :param values: the merge fields, see ``dunning.reminder._get_merge_values``
        """
        self.ensure_one()
        subject = typed_text.render(self.subject or "", values)
        body = typed_text.render(self.body or Markup(), values, html=True)
        return one_line(subject), body
