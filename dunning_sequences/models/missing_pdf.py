"""Missing PDF: make those that a reminder attaches, before it is composed.

A PDF takes seconds: none is made while invoices are locked, or a mail is sent.
Without what it attaches, a reminder fails.
"""

import logging

from psycopg2.errors import DeadlockDetected, SerializationFailure

from odoo import api, models
from odoo.exceptions import UserError

_logger = logging.getLogger(__name__)


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    @api.model
    def _ensure_pdfs(self, company, partner_ids, today):
        """Make the missing PDFs of what some customers are about to be sent."""
        due = self.sudo().search(
            [
                *self._get_due_domain(company, today),
                ("partner_id", "in", partner_ids),
                ("sequence_id.attach_invoice", "=", True),
                ("next_step_id.channel", "=", "email"),
            ]
        )
        due.move_id._dunning_make_pdfs()


class AccountMove(models.Model):
    _inherit = "account.move"

    def _dunning_make_pdfs(self):
        """Make the PDFs of these invoices that are missing; one that fails is left out.

        The reminder that should attach it then fails, and says so.
        """
        missing = self.filtered(lambda move: not move.invoice_pdf_report_id)
        for move in missing:
            try:
                with self.env.cr.savepoint():
                    move._dunning_make_pdf()
            except (SerializationFailure, DeadlockDetected):
                raise  # somebody changes the invoice: the next run tries again
            except Exception:
                _logger.info("No PDF of invoice %s", move.id, exc_info=True)
            self.env["dunning.enrollment"]._commit_progress()

    def _dunning_make_pdf(self):
        """Make and store it as "Send & Print" does; nothing is sent by that.

        :raise UserError: when Odoo cannot make it
        """
        self.ensure_one()
        sender = self.env["account.move.send"].with_company(self.company_id)
        settings = sender._get_default_sending_settings(
            self, sending_methods={"manual"}, extra_edis=set()
        )
        was_sent = self.is_move_sent
        sender._generate_invoice_documents({self: settings})
        if settings.get("error"):
            raise UserError(sender._format_error_text(settings["error"]))
        self.write({"is_move_sent": was_sent})


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    def _check_content(self, subject, body):
        res = super()._check_content(subject, body)
        lacking = self._get_moves_to_attach().filtered(
            lambda move: not move.invoice_pdf_report_id
        )
        # A sample is written at once: a real one has its PDF made before.
        if lacking and not self.env.context.get("dunning_sample"):
            raise UserError(
                self.env._(
                    "The PDF of the invoice %(invoice)s could not be made. Open the "
                    "invoice and print it to see why, then try again.",
                    invoice=", ".join(lacking.mapped("name")),
                )
            )
        lost = self._get_attachments().filtered(self._is_lost)
        if lost:
            raise UserError(
                self.env._(
                    "The file %(file)s is not on the server any more. Restore it, or "
                    "attach it again, then try again.",
                    file=", ".join(lost.mapped("name")),
                )
            )
        return res

    @api.model
    def _is_lost(self, attachment):
        """Is its file gone, as after an incomplete backup? It would leave empty."""
        if not attachment.store_fname or not attachment.file_size:
            return False
        return not attachment._file_read(attachment.store_fname, size=1)
