"""Answer: what a customer says with a click in a reminder, without a login."""

from odoo import SUPERUSER_ID, api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import email_normalize, format_date, formatLang, plaintext2html

from .outcome import REPLY_DAYS

#: Answers to one reminder in a day; nobody has more to say.
ANSWERS_A_DAY = 5

#: Days from today until the last day that can be promised.
PROMISE_DAYS = 60

#: How often a customer can promise the same invoice with a click.
PROMISES = 2

#: How often a customer can answer the same invoice and be left in peace for it.
HOLDS = 4

#: Days after which a problem that nobody has looked into holds no more.
PROBLEM_DAYS = 30

#: Characters of what is typed.
LONGEST = {"note": 2000, "reference": 140, "email": 254}


class DunningAnswer(models.Model):
    """Kept as it was given; what follows from it is a hold, a note and an activity."""

    _name = "dunning.answer"
    _description = "Answer to a Payment Reminder"
    _order = "id desc"
    _check_company_auto = True

    reminder_id = fields.Many2one(
        comodel_name="dunning.reminder",
        required=True,
        readonly=True,
        index=True,
        ondelete="cascade",
    )
    move_ids = fields.Many2many(
        comodel_name="account.move",
        relation="dunning_answer_move_rel",
        column1="answer_id",
        column2="move_id",
        string="Invoices",
        readonly=True,
        check_company=True,
    )
    partner_id = fields.Many2one(
        related="reminder_id.partner_id", string="Customer", store=True, index=True
    )
    company_id = fields.Many2one(
        comodel_name="res.company", required=True, readonly=True
    )
    kind = fields.Selection(
        selection="_selection_kind", string="Answer", required=True, readonly=True
    )
    date = fields.Date(
        readonly=True,
        help="The day of the payment that was made, or is promised; of the first one.",
    )
    reference = fields.Char(readonly=True, help="How the payment can be found.")
    reason = fields.Selection(selection="_selection_reason", readonly=True)
    email = fields.Char(
        string="Write To",
        readonly=True,
        help="Nobody has checked that it belongs to the customer: ask before you "
        "write there.",
    )
    amount = fields.Monetary(
        string="Disputed Amount",
        readonly=True,
        help="The part that the customer does not agree with; all if he names none.",
    )
    currency_id = fields.Many2one(comodel_name="res.currency", readonly=True)
    note = fields.Text(readonly=True)
    hold_id = fields.Many2one(
        comodel_name="dunning.hold",
        readonly=True,
        index="btree_not_null",
        ondelete="set null",
        help="What waits because of the answer.",
    )

    @api.model
    def _selection_kind(self):
        words = {
            "paid": self.env._("Already paid"),
            "promise": self.env._("Will pay"),
            "plan": self.env._("Proposes a payment plan"),
            "problem": self.env._("There is a problem"),
            "address": self.env._("Write to somebody else"),
        }
        return list(words.items())

    @api.model
    def _selection_reason(self):
        words = {
            "not_received": self.env._("Goods or services not received"),
            "defective": self.env._("Not as ordered"),
            "amount": self.env._("The amount is not right"),
            "document": self.env._("A document or reference is missing"),
            "other": self.env._("Something else"),
        }
        return list(words.items())

    @api.depends("kind", "partner_id")
    @api.depends_context("lang")
    def _compute_display_name(self):
        kinds = dict(self._selection_kind())
        for answer in self:
            kind, whom = kinds.get(answer.kind), answer.partner_id.name
            answer.display_name = kind
            if whom:
                answer.display_name = self.env._(
                    "%(kind)s: %(whom)s", kind=kind, whom=whom
                )

    # ------------------------------------------------------------------------
    # CHECK
    # ------------------------------------------------------------------------

    @api.model
    def _check_values(self, reminder, values):
        """What a browser sent is what a customer may say.

        :param values: ``kind``, ``move_ids`` and the fields that belong to the kind
        :raise UserError: in the customer's language
        """
        self._check_often_enough(reminder)
        if not values["move_ids"]:
            raise UserError(self.env._("Choose the invoices that you answer about."))
        for name, longest in LONGEST.items():
            if len(values.get(name) or "") > longest:
                raise UserError(
                    self.env._(
                        "Your text is too long: %(count)s characters are enough.",
                        count=longest,
                    )
                )
        check = getattr(self, f"_check_{values['kind']}")
        check(reminder, values)

    @api.model
    def _get_fields_of(self, kind):
        """What belongs to each kind of answer."""
        names = {
            "paid": ("date", "reference"),
            "promise": ("date",),
            "plan": ("payments", "date", "rhythm"),
            "problem": ("reason", "amount"),
            "address": ("email",),
        }
        return (*names[kind], "note")

    @api.model
    def _get_last_promise(self, reminder):
        """The last day that can be promised. Hook."""
        return fields.Date.add(reminder.company_id._dunning_today(), days=PROMISE_DAYS)

    @api.model
    def _check_often_enough(self, reminder):
        since = fields.Datetime.subtract(fields.Datetime.now(), days=1)
        given = self.search_count(
            [("reminder_id", "=", reminder.id), ("create_date", ">=", since)]
        )
        if given >= ANSWERS_A_DAY:
            raise UserError(
                self.env._(
                    "You have answered several times today. Please reply to our "
                    "e-mail instead."
                )
            )

    @api.model
    def _check_paid(self, reminder, values):
        if not values.get("date"):
            raise UserError(self.env._("On which day did you pay?"))
        first = min(move.invoice_date or move.date for move in values["move_ids"])
        if not first <= values["date"] <= reminder.company_id._dunning_today():
            raise UserError(
                self.env._("Choose a day between that of the invoice and today.")
            )

    @api.model
    def _check_promise(self, reminder, values):
        self._check_promised_day(reminder, values.get("date"))
        if move := self._find_said_before(values["move_ids"], "promise"):
            raise UserError(
                self.env._(
                    "You have promised a day for %(invoice)s before. Please reply to "
                    "our e-mail, so that we find a way.",
                    invoice=move.name,
                )
            )

    @api.model
    def _check_promised_day(self, reminder, day):
        today = reminder.company_id._dunning_today()
        last = self._get_last_promise(reminder)
        if not day:
            raise UserError(self.env._("On which day will you pay?"))
        if not today <= day <= last:
            raise UserError(
                self.env._(
                    "Choose a day between %(first)s and %(last)s, or reply to our "
                    "e-mail.",
                    first=format_date(self.env, today),
                    last=format_date(self.env, last),
                )
            )

    @api.model
    def _find_said_before(self, moves, kind):
        """Who promises again and again is to be spoken to.

        :return: an invoice of which the same was said as often as it can be, or none
        """
        counts = self._read_group(
            [("kind", "=", kind), ("move_ids", "in", moves.ids)],
            ["move_ids"],
            ["__count"],
        )
        often = [move.id for move, count in counts if count >= PROMISES]
        return moves.filtered(lambda move: move.id in often)[:1]

    @api.model
    def _check_problem(self, reminder, values):
        if values.get("reason") not in dict(self._selection_reason()):
            raise UserError(self.env._("Tell us what the problem is."))
        if values["reason"] == "other" and not (values.get("note") or "").strip():
            raise UserError(self.env._("Tell us in a few words what the problem is."))
        self._check_amount(reminder, values)

    @api.model
    def _check_amount(self, reminder, values):
        """A part of what is open, where that is one amount."""
        if not values.get("amount"):
            return
        due = reminder._get_open_amounts(values["move_ids"])
        if len(due) != 1:
            raise UserError(
                self.env._("Answer about the invoices of one currency at a time.")
            )
        ((currency, most),) = due.items()
        if currency.compare_amounts(values["amount"], most) > 0:
            raise UserError(
                self.env._(
                    "Of these invoices %(amount)s is open: name at most that amount.",
                    amount=formatLang(self.env, most, currency_obj=currency),
                )
            )

    @api.model
    def _check_address(self, reminder, values):
        email = email_normalize(values.get("email") or "")
        if not email or self.env["account.move"]._get_dunning_own_addresses([email]):
            raise UserError(self.env._("Give us one e-mail address to write to."))

    # ------------------------------------------------------------------------
    # APPLY
    # ------------------------------------------------------------------------

    @api.model
    def _accept(self, reminder, values, files=()):
        """Keep an answer, and do what follows from it: all of it or nothing.

        :param files: (name, content) of what the customer adds
        :raise UserError: see `_check_values`
        """
        # Two clicks at once would both be the first. It waits, and Odoo repeats the
        # request if somebody has changed an invoice: an answer is never dropped.
        self.env.cr.execute(
            "SELECT id FROM account_move WHERE id = ANY(%s)"
            " ORDER BY id FOR NO KEY UPDATE",
            [reminder.line_ids.move_id.ids],
        )
        self._check_values(reminder, values)
        again = self._find_same(reminder, values)
        if again:
            return again
        answer = self.create(
            {
                **values,
                "reminder_id": reminder.id,
                "company_id": reminder.company_id.id,
                "currency_id": values["move_ids"].currency_id[:1].id,
                "move_ids": [(6, 0, values["move_ids"].ids)],
                "email": email_normalize(values.get("email") or ""),
            }
        )
        reminder.answer = answer.kind
        in_lang = answer._with_own_lang()
        in_lang._hold()
        in_lang._post_notes(files)
        answer._tell_responsible()
        return answer

    def _with_own_lang(self):
        """What we keep is kept in our language, not in the customer's."""
        lang = self.company_id._get_dunning_lang()
        return self.with_company(self.company_id).with_context(lang=lang)

    def _hold(self):
        """Nobody who has answered is reminded of the same as if he had not."""
        self.ensure_one()
        if self._is_said_too_often():
            return
        self._get_replaced_holds().action_close()
        self.hold_id = self.env["dunning.hold"].create(self._prepare_hold_vals())

    @api.model
    def _find_same(self, reminder, values):
        """Who taps twice has answered once."""
        said = {name: value for name, value in values.items() if name != "move_ids"}
        if said.get("email"):
            said["email"] = email_normalize(said["email"])
        answers = self.search(
            [
                ("reminder_id", "=", reminder.id),
                ("hold_id.closed_on", "=", False),
                ("hold_id", "!=", False),
                *((name, "=", value or False) for name, value in said.items()),
            ]
        )
        return answers.filtered(lambda answer: answer.move_ids == values["move_ids"])[
            :1
        ]

    def _is_holding(self):
        """Is nobody reminded of it meanwhile?"""
        return bool(self.hold_id) and not self.hold_id.closed_on

    def _is_said_too_often(self):
        """Noted and told, but the reminders go on: else they would wait for ever."""
        held = self._read_group(
            [("move_ids", "in", self.move_ids.ids), ("hold_id", "!=", False)],
            ["move_ids"],
            ["__count"],
        )
        return any(move in self.move_ids and n >= HOLDS for move, n in held)

    def _get_replaced_holds(self):
        """Of what he said before about the same, the last word counts.

        But a problem is over when we say so, and what one of us took in hand is his.
        """
        before = self.search(
            [("move_ids", "in", self.move_ids.ids), ("id", "!=", self.id)]
        )
        holds = before.hold_id.filtered(
            lambda hold: (
                not hold.closed_on
                and hold.move_ids & self.move_ids
                and hold.write_uid.id == SUPERUSER_ID
                and (hold.kind != "dispute" or self.kind == "problem")
            )
        )
        return holds._split_for(self.move_ids)

    def _prepare_hold_vals(self):
        """Hook: override to hold otherwise."""
        today = self.company_id._dunning_today()
        week = fields.Date.add(today, days=REPLY_DAYS)
        kinds = {
            "paid": ("reply", week),
            "promise": ("promise", self.date),
            "plan": ("reply", week),
            "problem": ("dispute", fields.Date.add(today, days=PROBLEM_DAYS)),
            "address": ("reply", week),
        }
        kind, until = kinds[self.kind]
        due = self.reminder_id._get_open_amounts(self.move_ids)
        amount = sum(due.values()) if len(due) == 1 else 0
        return {
            "kind": kind,
            "move_ids": [(6, 0, self.move_ids.ids)],
            "company_id": self.company_id.id,
            "since": today,
            "until": until,
            "reason": self._get_summary(),
            "note": self.note,
            "amount": self.amount or amount,
            "currency_id": self.move_ids.currency_id[:1].id,
            "user_id": False,
        }

    def _get_summary(self):
        """One line of what was said."""
        self.ensure_one()
        said = {
            "paid": self.env._(
                "Says: paid on %(date)s", date=format_date(self.env, self.date)
            ),
            "promise": self.env._(
                "Says: will pay on %(date)s", date=format_date(self.env, self.date)
            ),
            "plan": self._get_proposal(),
            "problem": self._get_problem(),
            "address": self.env._(
                "Says: write to %(address)s", address=self.email or ""
            ),
        }
        return ", ".join(filter(None, (said[self.kind], self.reference)))

    def _get_problem(self):
        reason = dict(self._selection_reason()).get(self.reason)
        if not self.amount:
            return reason
        return self.env._(
            "%(reason)s (%(amount)s of it)",
            reason=reason,
            amount=formatLang(self.env, self.amount, currency_obj=self.currency_id),
        )

    def _post_notes(self, files):
        """On each invoice, with what he added on the first."""
        self.ensure_one()
        said = self.env._(
            "Answered by the link of the reminder to %(address)s, without a login: "
            "%(what)s",
            address=self.reminder_id.email_to or "",
            what=self._get_summary(),
        )
        body = plaintext2html("\n".join(filter(None, (said, self.note))))
        for move in self.move_ids:
            self.mail_message_ids += move.message_post(
                body=body,
                subtype_xmlid="mail.mt_note",
                attachments=list(files) if move == self.move_ids[:1] else [],
            )

    def _tell_responsible(self):
        self.ensure_one()
        user = self.reminder_id._get_responsible().filtered(
            lambda user: user.active and self.company_id in user.company_ids
        )
        if not user:
            return
        answer = self.with_context(lang=user.lang)
        quietly = self.reminder_id.sequence_id._get_telling_context(user)
        self.move_ids[:1].with_context(**quietly).activity_schedule(
            "mail.mail_activity_data_todo",
            user_id=user.id,
            summary=answer.env._(
                "%(customer)s answered: %(what)s",
                customer=self.partner_id.name,
                what=answer._get_summary(),
            ),
            note=plaintext2html(self.note or ""),
        )

    @api.constrains("reminder_id", "move_ids")
    def _check_moves(self):
        """Only what the reminder was about."""
        for answer in self:
            if answer.move_ids - answer.reminder_id.line_ids.move_id:
                raise ValidationError(
                    self.env._("The reminder was not about these invoices.")
                )
