"""Test message: what a step says, to oneself, with a real invoice's figures (I16).

The reminder is composed by the same code as any other, and rolled back; only the
mail is kept.
"""

from markupsafe import Markup

from odoo import models
from odoo.exceptions import UserError
from odoo.tools import html_escape

#: No real reminder repeats a step that often: the sample meets none of them.
SAMPLE_OCCURRENCE = 1_000_000


class DunningSequenceStep(models.Model):
    _inherit = "dunning.sequence.step"

    def action_send_test(self):
        """Send what this step says to oneself, marked as a test.

        :raise UserError: when there is nothing to make a sample from, or its text
            cannot be filled in
        """
        self.ensure_one()
        self.check_access("read")
        self.env["dunning.hold"].check_access("create")
        self._check_testable()
        with self.env.cr.savepoint() as savepoint:
            sample = self._create_sample()
            sample._mark_as_test()
            message = sample._build_message()
            server_id = sample.sequence_id.mail_server_id.id or None
            savepoint.rollback()
        server = self.env["ir.mail_server"].sudo()
        server.send_email(message, mail_server_id=server_id)
        return {
            "type": "ir.actions.client",
            "tag": "display_notification",
            "params": {
                "type": "success",
                "message": self.env._(
                    "The test message is on its way to %(address)s.",
                    address=self.env.user.email,
                ),
            },
        }

    def _check_testable(self):
        if self.channel == "activity":
            raise UserError(
                self.env._("“%(step)s” sends no message.", step=self.display_name)
            )
        if not self.env.user.email:
            raise UserError(
                self.env._("Give yourself an e-mail address in your preferences first.")
            )

    def _create_sample(self):
        """Compose the reminder that the newest invoice would get at this step today.

        The caller rolls it back.
        """
        company = self.company_id
        today = company._dunning_today()
        enrollment = self._create_sample_enrollment(self._get_sample_invoice(), today)
        user = self.env.user
        whom = {
            "to": [user.email_formatted],
            "cc": [],
            "bcc": [],
            "partners": user.partner_id,
            "source": "customer",
        }
        group = {f"test {user.id}": (whom, self._get_sample_lang(), enrollment)}
        Reminder = self.env["dunning.reminder"].sudo().with_company(company)
        Reminder = Reminder.with_context(dunning_sample=True)
        sample = Reminder._compose(group, today, origin="manual")
        if sample.state == "failed":
            raise UserError(sample.failure_reason)
        return sample

    def _get_sample_lang(self):
        return self.env.user.lang or "en_US"

    def _get_sample_invoice(self):
        """The newest invoice; an open one, where there is one."""
        Move = self.env["account.move"]
        domain = [
            ("company_id", "=", self.company_id.id),
            ("move_type", "=", "out_invoice"),
            ("state", "=", "posted"),
        ]
        is_open = [("payment_state", "in", ("not_paid", "partial"))]
        move = Move.search(domain + is_open, order="id desc", limit=1)
        move = move or Move.search(domain, order="id desc", limit=1)
        if not move:
            raise UserError(
                self.env._(
                    "There is no posted invoice yet to take the figures from. Post "
                    "one, then try again."
                )
            )
        return move

    def _create_sample_enrollment(self, move, today):
        """The invoice's own instalment, as if this step came today."""
        Enrollment = self.env["dunning.enrollment"].sudo()
        vals = {
            "sequence_id": self.sequence_id.id,
            "company_id": self.company_id.id,
            "partner_id": move.commercial_partner_id.id,
            "next_step_id": self.id,
            "next_date": today,
            "occurrence": SAMPLE_OCCURRENCE,
            "state": "running",
        }
        enrollment = Enrollment.search([("move_id", "=", move.id)], limit=1)
        if enrollment:
            enrollment.write(vals)
            return enrollment
        line = move.line_ids.filtered(lambda r: r.display_type == "payment_term")[:1]
        due_date = line.date_maturity or move.invoice_date_due or today
        return Enrollment.create(
            {
                **vals,
                "move_id": move.id,
                "move_line_id": line.id,
                "due_date": due_date,
            }
        )


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    def _mark_as_test(self):
        """Say in subject and text that it is none, and whatever it is, mail it."""
        self.ensure_one()
        env = self.with_context(lang=self.lang).env
        note = env._("This is a test: nobody else got it, and it does not count.")
        banner = Markup('<p style="padding: 8px; background-color: #fef3c7;">%s</p>')
        self.write(
            {
                "channel": "email",
                "state": "queued",
                "subject": env._("[Test] %(subject)s", subject=self.subject),
                "body": banner % html_escape(note) + self.body,
            }
        )
        if self.mail_message_id:
            self._drop_message()
        self._create_messages()
