"""Letter PDFs: made one by one before they are printed, and kept once they are.

A page takes a second or two: hundreds of them would keep somebody waiting, or run into
the time limit of the server. So a job makes the PDF of each letter that waits, as it
would be printed that day. Printing asks for each page again, without making a PDF of
it: where it is the same, letter by letter, its PDF is taken; where something changed
since (paid in part, another text, another address), it is made anew.
"""

import base64
import hashlib
import io
import logging
from collections import OrderedDict

from odoo import SUPERUSER_ID, api, fields, models, modules
from odoo.tools import SQL, config

from .compose import CONCURRENCY_ERRORS

_logger = logging.getLogger(__name__)

ACTION = "dunning_sequences.action_report_dunning_letter"
REPORT = "dunning_sequences.report_dunning_letter"


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    letter_pdf = fields.Binary(
        attachment=True,
        readonly=True,
        copy=False,
        help="The letter as it was printed, or as it would be.",
    )
    letter_key = fields.Char(
        readonly=True, copy=False, help="The page that the PDF was made of."
    )
    letter_made_on = fields.Date(
        readonly=True, copy=False, help="The day for which the PDF was last made."
    )

    _letter_idx = models.Index("(company_id) WHERE state = 'to_print'")

    # ------------------------------------------------------------------------
    # AHEAD OF PRINTING
    # ------------------------------------------------------------------------

    def _release(self):
        res = super()._release()
        if any(reminder.state == "to_print" for reminder in self):
            cron = self.env.ref(
                "dunning_sequences.ir_cron_dunning_letter", raise_if_not_found=False
            )
            if cron:
                cron.sudo()._trigger()
        return res

    @api.model
    def _cron_letters(self):
        """Make the PDFs of the letters that wait, once for each day.

        One that cannot be made has its reason, and is tried again on the next day, or
        by whoever prints it; the others go on.
        """
        if not self._can_make_letters():
            return
        Enrollment = self.env["dunning.enrollment"]
        letters = self._find_letters()
        for left, letter_id in zip(reversed(range(len(letters))), letters, strict=True):
            Enrollment._in_own_transaction(self._make_letter, letter_id)
            if not Enrollment._commit_progress(1, remaining=left):
                return

    @api.model
    def _can_make_letters(self):
        """As Odoo does: no PDF without wkhtmltopdf, nor in tests that ask for none."""
        if modules.module.current_test or config["test_enable"]:
            return bool(self.env.context.get("force_report_rendering"))
        return self.env["ir.actions.report"].get_wkhtmltopdf_state() != "install"

    @api.model
    def _find_letters(self):
        """Ids of the letters that wait without a PDF of their company's day."""
        waiting = self.sudo()._read_group([("state", "=", "to_print")], ["company_id"])
        found = []
        for (company,) in waiting:
            rows = self.env.execute_query(
                SQL(
                    """
                    SELECT id FROM dunning_reminder
                     WHERE company_id = %s AND state = 'to_print'
                       AND (letter_made_on IS NULL OR letter_made_on < %s)
                  ORDER BY letter_made_on NULLS FIRST, id
                    """,
                    company.id,
                    company._dunning_today(),
                )
            )
            found += [letter_id for (letter_id,) in rows]
        return found

    @api.model
    def _make_letter(self, letter_id):
        """Make one PDF, without deciding about the letter: it may be printed meanwhile.

        Nothing is locked while that takes its time.
        """
        letter = self.sudo().browse(letter_id).exists()
        if letter.state != "to_print":
            return
        company = letter.company_id
        letter = letter._with_company_lang(company)
        today = max(company._dunning_today(), letter.date)
        vals = {"letter_made_on": today, "failure_reason": False}
        try:
            page = letter._draft_letter(today)
            if page:
                vals.update(letter._prepare_letter_vals(page))
        except CONCURRENCY_ERRORS:
            raise
        except Exception as error:  # of a template or layout that somebody edits, too
            _logger.info("No PDF of letter %s", letter.id, exc_info=True)
            vals["failure_reason"] = letter._get_failure_reason(error)
        letter.write(vals)

    def _draft_letter(self, today):
        """Return the page that would be printed today; None if none would be.

        What printing would write is taken back.
        """
        with self.env.cr.savepoint() as savepoint:
            page = self._recheck_content(today) and self._render_letter()
            savepoint.rollback()
        return page or None

    # ------------------------------------------------------------------------
    # THE PAGE AND ITS PDF
    # ------------------------------------------------------------------------

    def _render_letter(self):
        """Return the page as HTML: the same for everybody who prints it."""
        self.ensure_one()
        self.env.flush_all()
        company = self.company_id
        env = self.env(
            user=SUPERUSER_ID,
            su=True,
            context={
                "lang": company._get_dunning_lang(),
                "allowed_company_ids": company.ids,
                "debug": False,
                "webp_as_jpg": True,
            },
        )
        page, _kind = env["ir.actions.report"]._render_qweb_html(
            REPORT, self.ids, data={"report_type": "pdf", "debug": False}
        )
        return page

    def _prepare_letter_vals(self, page):
        return {
            "letter_key": self._get_letter_key(page),
            "letter_pdf": base64.b64encode(self._convert_letter(page)),
        }

    @api.model
    def _get_letter_key(self, page):
        return hashlib.sha256(page).hexdigest()

    @api.model
    def _convert_letter(self, page):
        """Return the PDF of a page.

        :raise UserError: when wkhtmltopdf fails
        """
        report = self.env.ref(ACTION).sudo().with_context(debug=False)
        bodies, _ids, header, footer, arguments = report._prepare_html(
            page, report_model=report.model
        )
        return report._run_wkhtmltopdf(
            bodies,
            report_ref=REPORT,
            header=header,
            footer=footer,
            specific_paperformat_args=arguments,
        )

    # ------------------------------------------------------------------------
    # PRINTED
    # ------------------------------------------------------------------------

    def _keep_letters(self):
        """Keep the PDFs of letters that are being printed; make those that changed.

        :return: those to print; the others have a reason, and wait on
        """
        if not self._can_make_letters():
            return self
        kept = self.browse()
        for letter in self:
            try:
                with self.env.cr.savepoint():
                    letter._keep_letter()
            except CONCURRENCY_ERRORS:
                raise
            except Exception as error:
                _logger.info("No PDF of letter %s", letter.id, exc_info=True)
                letter.failure_reason = letter._get_failure_reason(error)
            else:
                kept += letter
        return kept

    def _keep_letter(self):
        page = self._render_letter()
        if self.letter_key != self._get_letter_key(page) or not self.letter_pdf:
            self.write(self._prepare_letter_vals(page))
        self.write({"failure_reason": False})

    def _get_kept_letter(self):
        """The PDF as it was printed; None without."""
        self.ensure_one()
        letter = self.with_context(bin_size=False)
        kept = letter.state == "sent" and letter.letter_pdf
        return base64.b64decode(kept) if kept else None

    def _read_letter(self):
        return self._get_kept_letter() or super()._read_letter()

    def _sort_for_post(self):
        """By country, ours first, then by postal code and customer: as the post likes
        them, and as they are put into envelopes.
        """
        return self.sorted(lambda letter: letter._get_post_key())

    def _get_post_key(self):
        """Hook: override to print in another order."""
        self.ensure_one()
        address = self._get_letter_address()
        country = address.country_id
        abroad = country and country != self.company_id.country_id
        return (
            country.code or "" if abroad else "",
            (address.zip or "").strip().upper(),
            (self.partner_name or "").casefold(),
            self.id,
        )

    # ------------------------------------------------------------------------
    # NOT TO PRINT ANY MORE
    # ------------------------------------------------------------------------

    def _cancel(self, reason):
        self._drop_letters()
        return super()._cancel(reason)

    def _skip(self):
        self._drop_letters()
        return super()._skip()

    def _drop_letters(self):
        """PDFs of letters that nobody has got."""
        made = self.filtered(lambda r: r.channel == "letter" and r.letter_key)
        made.write({"letter_pdf": False, "letter_key": False})

    @api.model
    def _get_erased_fields(self):
        return [*super()._get_erased_fields(), "letter_pdf", "letter_key"]


class IrActionsReport(models.Model):
    _inherit = "ir.actions.report"

    def _render_qweb_pdf_prepare_streams(self, report_ref, data, res_ids=None):
        """Letters in the order of the post; what was printed comes as it was."""
        if not res_ids or self._get_report(report_ref).report_name != REPORT:
            return super()._render_qweb_pdf_prepare_streams(report_ref, data, res_ids)
        letters = self.env["dunning.reminder"].browse(dict.fromkeys(res_ids))
        letters = letters._sort_for_post()
        kept = {letter.id: letter._get_kept_letter() for letter in letters}
        prepare = super()._render_qweb_pdf_prepare_streams
        if not any(kept.values()):
            return prepare(report_ref, data, letters.ids)
        streams = OrderedDict()
        for letter_id, pdf in kept.items():
            if pdf:
                streams[letter_id] = {"stream": io.BytesIO(pdf), "attachment": None}
            else:
                streams.update(prepare(report_ref, data, [letter_id]))
        return streams
