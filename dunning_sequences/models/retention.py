"""Retention: what was written to customers is kept as long as the company says.

Then the texts and the addresses are erased, once a day, some at a time; the facts stay:
who owed what, which step was said when, by which channel, and what became of it.
"""

import logging

from odoo import api, fields, models
from odoo.exceptions import UserError, ValidationError
from odoo.tools import SQL, format_date, plaintext2html

from .dunning_reminder import STATES_PENDING
from .res_company import INTERNAL

_logger = logging.getLogger(__name__)

#: Reminders whose texts are erased in one transaction.
ERASE_CHUNK = 1000

#: These are still to leave, or to be decided about: their texts are needed.
STATES_NEEDED = ("queued", *STATES_PENDING)


class ResCompany(models.Model):
    _inherit = "res.company"

    dunning_keep_months = fields.Integer(
        groups=INTERNAL,
        string="Keep Sent Texts For",
        help="Months after which texts and addresses of reminders that have left are "
        "erased, and what customers wrote in their answers. Dates, steps, invoices, "
        "amounts and what became of each stay. 0: kept for ever. It cannot be undone.",
    )

    @api.constrains("dunning_keep_months")
    def _check_dunning_keep_months(self):
        if any(company.dunning_keep_months < 0 for company in self):
            raise ValidationError(
                self.env._("Months to keep the sent texts: 0 (for ever) or more.")
            )

    def _get_dunning_keep_months(self):
        """How long texts are kept, 0 for ever. A branch does as its parents do."""
        self.ensure_one()
        parents = self.sudo().parent_ids.sorted("parent_path", reverse=True)
        return next(filter(None, parents.mapped("dunning_keep_months")), 0)


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    dunning_keep_months = fields.Integer(
        related="company_id.dunning_keep_months", readonly=False
    )


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    erased_on = fields.Date(
        string="Text Erased",
        readonly=True,
        copy=False,
        help="The day on which text and addresses were erased, as the company's "
        "settings say.",
    )

    _erasing_idx = models.Index("(company_id, date) WHERE erased_on IS NULL")

    @api.autovacuum
    def _gc_texts(self):
        """Erase the texts that are older than their companies keep them.

        :return: how many were erased, and whether there are more
        """
        erased, more = 0, False
        for company in self.env["res.company"].sudo().search([]):
            months = company._get_dunning_keep_months()
            if not months or erased >= ERASE_CHUNK:
                continue
            today = company._dunning_today()
            before = fields.Date.subtract(today, months=months)
            left = ERASE_CHUNK - erased
            reminders = self.sudo()._find_texts(company, before, today, left)
            reminders._erase_texts(company, today)
            erased += len(reminders)
            more = more or len(reminders) == left
        return erased, more

    @api.model
    def _find_texts(self, company, before, today, limit):
        """The oldest reminders whose texts may go: over, and of before a day.

        What the customer answered is needed while his invoices wait because of it.
        """
        self.env.flush_all()
        rows = self.env.execute_query(
            SQL(
                """
                SELECT reminder.id FROM dunning_reminder reminder
                 WHERE reminder.company_id = %(company)s
                   AND reminder.erased_on IS NULL AND reminder.date < %(before)s
                   AND COALESCE(reminder.sent_on, reminder.date) < %(before)s
                   AND reminder.state != ALL(%(needed)s)
                   AND NOT EXISTS (
                       SELECT 1 FROM dunning_answer answer
                         JOIN dunning_hold hold ON hold.id = answer.hold_id
                        WHERE answer.reminder_id = reminder.id
                          AND hold.closed_on IS NULL
                          AND (hold.last_day IS NULL OR hold.last_day >= %(today)s))
              ORDER BY reminder.date LIMIT %(limit)s
                   FOR NO KEY UPDATE OF reminder SKIP LOCKED
                """,
                company=company.id,
                before=before,
                needed=list(STATES_NEEDED),
                today=today,
                limit=limit,
            )
        )
        return self.browse([reminder_id for (reminder_id,) in rows])

    def _erase_texts(self, company, today):
        """Erase what these reminders said, to whom, and what was answered in words."""
        if not self:
            return
        self._erase_files()
        self._erase_messages(self.mail_message_id, company, today)
        self.answer_ids._erase_texts(company, today)
        self.write(
            {**dict.fromkeys(self._get_erased_fields(), False), "erased_on": today}
        )
        _logger.info("%s: texts of %s reminders erased", company.name, len(self))

    @api.model
    def _get_erased_fields(self):
        """What is written in words, and whom it names. Hook: add fields of your own."""
        return [
            "subject",
            "body",
            "own_subject",
            "own_body",
            "email_to",
            "email_cc",
            "email_bcc",
            "recipient_ids",
            "partner_name",
            # They name addresses, too.
            "refused",
            "failure_reason",
        ]

    def _erase_files(self):
        """Files that were made for these reminders alone, as statements of account."""
        self.env["ir.attachment"].sudo().search(
            [("res_model", "=", self._name), ("res_id", "in", self.ids)]
        ).unlink()

    @api.model
    def _erase_messages(self, messages, company, today):
        """The same on the threads of the invoices: that something was said remains."""
        messages = messages.sudo()
        self.env["mail.notification"].sudo().search(
            [("mail_message_id", "in", messages.ids)]
        ).unlink()
        # By SQL: to delete one by the ORM deletes its message, too.
        self.env.cr.execute(
            "DELETE FROM mail_mail WHERE mail_message_id = ANY(%s)", [messages.ids]
        )
        messages.write(
            {
                "subject": False,
                "body": plaintext2html(self._get_erased_note(company, today)),
                "partner_ids": False,
                "outgoing_email_to": False,
            }
        )

    @api.model
    def _get_erased_note(self, company, today):
        env = self._with_company_lang(company).env
        return env._("The text was erased on %(date)s.", date=format_date(env, today))

    def action_print(self):
        """A letter without its text is none.

        :raise UserError: to say so
        """
        if any(letter.erased_on for letter in self):
            raise UserError(self.env._("The text of this letter was erased."))
        return super().action_print()

    def _retry(self):
        """A text that was written for one customer is gone: it cannot be said again."""
        if any(reminder.erased_on and reminder.own_text for reminder in self):
            raise UserError(
                self.env._(
                    "The text of this reminder was erased: remind of the invoice anew."
                )
            )
        return super()._retry()

    def _prepare_retry_vals(self):
        return {**super()._prepare_retry_vals(), "partner_name": self.partner_id.name}


class DunningAnswer(models.Model):
    _inherit = "dunning.answer"

    mail_message_ids = fields.Many2many(
        comodel_name="mail.message",
        relation="dunning_answer_message_rel",
        column1="answer_id",
        column2="message_id",
        readonly=True,
        help="The notes about it on the invoices.",
    )

    def _erase_texts(self, company, today):
        """What was typed; which answer it was, of which day, is a fact."""
        self.env["dunning.reminder"]._erase_messages(
            self.mail_message_ids, company, today
        )
        self._erase_hold_words()
        self.write({"reference": False, "email": False, "note": False})

    def _erase_hold_words(self):
        """The hold repeats what was typed; so do parts that were split from it, and the
        promises of a plan that was proposed. By SQL: words change nothing about who
        waits.
        """
        Hold = self.env["dunning.hold"].sudo()
        Hold.flush_model(["customer_id", "note", "plan_id", "reason", "since"])
        self.env.cr.execute(
            """
            UPDATE dunning_hold part SET reason = NULL, note = NULL
              FROM dunning_hold own
             WHERE own.id = ANY(%s)
               AND (part.id = own.id OR part.customer_id = own.customer_id
                    AND part.since = own.since AND part.reason = own.reason)
            """,
            [self.hold_id.ids],
        )
        self.env.cr.execute(
            """
            UPDATE dunning_hold SET note = NULL
             WHERE plan_id IS NOT NULL AND customer_id = ANY(%s) AND note = ANY(%s)
            """,
            [self.hold_id.customer_id.ids, list(filter(None, self.mapped("note")))],
        )
        Hold.invalidate_model(["reason", "note"], flush=False)
