"""Letter: reminders on paper, which leave when somebody prints them."""

from odoo import models
from odoo.tools import format_date


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    def _print(self):
        """Count letters as sent on the day on which they are printed.

        What was paid or is held since is taken out, as when a mail leaves; a letter
        with nothing left is cancelled, with the reason. One whose page cannot be made
        waits on.
        """
        self._lock_for_decision()
        for company, group in self.grouped("company_id").items():
            group = group.with_company(company)
            today = company._dunning_today()
            facts = group._read_facts(today)
            printed = group.filtered(
                lambda letter, today=today, facts=facts: letter._recheck_content(
                    today, facts
                )
            )
            printed = printed._keep_letters()
            printed.write({"state": "sent", "sent_on": today})
        self.filtered(lambda r: r.state == "sent")._create_notes()
        self._after_decision()

    def _get_letter_address(self):
        """Whom the envelope names."""
        self.ensure_one()
        return self.recipient_ids[:1] or self.partner_id

    def _get_letter_date(self):
        """The day on which it is printed for the first time, in the reader's words."""
        self.ensure_one()
        day = self.sent_on or self.date
        return format_date(self.env, day, lang_code=self.lang, date_format="long")

    def _get_letter_filename(self):
        self.ensure_one()
        return self.env._(
            "Reminder %(invoice)s %(date)s",
            invoice=(self.move_id.name or "").replace("/", "-"),
            date=self.date,
        )

    def _create_notes(self):
        """Keep what a letter says on the thread of its invoice, for ourselves."""
        self._create_on_threads([reminder._prepare_note_vals() for reminder in self])

    def _prepare_note_vals(self):
        return {
            **self._prepare_message_vals(),
            # Of what is internal, Odoo hides from the portal only comments.
            "message_type": "comment",
            "partner_ids": False,
        }
