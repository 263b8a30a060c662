"""Collection file: one PDF for each customer, with all that proves that he was asked.

A cover with the totals, the invoices, what was said when, and whether it arrived; then
the texts as they were sent, the legal PDFs of the invoices, and the letters.
"""

import io
import logging
from collections import OrderedDict

from lxml import html
from markupsafe import Markup

from odoo import api, models
from odoo.tools import format_date, format_datetime
from odoo.tools.pdf import merge_pdf

_logger = logging.getLogger(__name__)

REPORT = "dunning_sequences.report_dunning_collection"


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    def _get_collection_groups(self):
        """The instalments of each customer, in a company: a file each."""
        ordered = self.sorted(lambda e: (e.partner_id.name or "", e.due_date, e.id))
        groups = ordered.grouped(lambda e: (e.company_id, e.partner_id))
        return [
            group.with_company(company).with_context(lang=company._get_dunning_lang())
            for (company, _customer), group in groups.items()
        ]

    def _prepare_collection_file(self, missing):
        """Return what the file of one customer says. Hook: override to say more.

        :param missing: names of documents that should be in it, and are not
        """
        self._prefetch_amounts()
        rows = [enrollment._prepare_collection_row() for enrollment in self]
        reminders = self._get_collection_reminders()
        attempts = reminders._get_attempts()
        return {
            "lang": self.env.lang,
            "company": self.company_id,
            "customer": self.partner_id,
            "date": format_date(self.env, self.company_id._dunning_today()),
            "rows": rows,
            "totals": self._get_collection_totals(rows),
            "missing": missing,
            "reminders": [r._prepare_collection_row(attempts) for r in reminders],
            "holds": self._get_collection_holds(),
        }

    def _prepare_collection_row(self):
        """One instalment. Hook."""
        self.ensure_one()
        move, amount = self.move_id, self._get_amount()
        Reminder = self.env["dunning.reminder"]
        row = Reminder._prepare_amount_row(move, self.due_date, amount)
        return {**row, "days_late": self.days_late}

    def _get_collection_totals(self, rows):
        """What is unpaid: one total per currency."""
        currencies = {row["currency"]: [] for row in rows}
        for row in rows:
            currencies[row["currency"]].append(row)
        Reminder = self.env["dunning.reminder"]
        return [Reminder._format_totals(group) for group in currencies.values()]

    def _get_collection_reminders(self):
        """All that was said of these invoices, or should have been, oldest first."""
        reminders = self.sudo().move_id.dunning_reminder_line_ids.reminder_id
        return reminders.filtered(
            lambda r: (
                r.state not in ("cancelled", "skipped", "queued")
                and r.company_id == self.company_id
            )
        ).sorted(lambda r: (r.sent_on or r.date, r.id))

    def _get_collection_holds(self):
        """What the customer said, or we agreed on: promises, disputes, replies."""
        holds = self.move_id.dunning_hold_ids | self.partner_id.dunning_hold_ids
        holds = holds.filtered(
            lambda hold: (
                hold.kind in ("promise", "dispute", "reply")
                and hold.company_id == self.company_id
            )
        )
        kinds = dict(holds._fields["kind"]._description_selection(self.env))
        outcomes = dict(holds._fields["outcome"]._description_selection(self.env))
        return [
            {
                "since": format_date(self.env, hold.since),
                "until": format_date(self.env, hold.until),
                "kind": kinds[hold.kind],
                "reason": hold.reason or "",
                "outcome": outcomes.get(hold.outcome, ""),
            }
            for hold in holds.sorted("since")
        ]

    # ------------------------------------------------------------------------
    # DOCUMENTS
    # ------------------------------------------------------------------------

    def _read_invoice_pdfs(self):
        """Return (legal PDFs, names of what is missing); none is made now."""
        pdfs, missing = [], []
        for move in self.move_id.sudo():
            pdf = self._read_pdf(move.invoice_pdf_report_id)
            if pdf:
                pdfs.append(pdf)
            else:
                missing.append(move.name)
        return pdfs, missing

    def _read_letters(self):
        """Return (letters as they were printed, names of what is missing)."""
        letters = self._get_collection_reminders().filtered(
            lambda r: r.channel == "letter" and r.state == "sent" and not r.erased_on
        )
        pdfs, missing = [], []
        for letter in letters:
            pdf = letter._read_letter()
            if pdf:
                pdfs.append(pdf)
            else:
                missing.append(letter.with_env(self.env).display_name)
        return pdfs, missing

    @api.model
    def _read_pdf(self, attachment):
        """The content of a file, None when it is none that can be put into another."""
        raw = attachment.raw
        try:
            return merge_pdf([raw]) if raw else None
        except Exception:  # readers of PDFs raise what they like
            _logger.info("Not a PDF: attachment %s", attachment.id, exc_info=True)
            return None

    def _make_collection_file(self, render):
        """Return the whole PDF of one customer.

        :param render: makes the pages that we write, of what is missing
        """
        pdfs, missing = self._read_invoice_pdfs()
        letters, lacking = self._read_letters()
        return merge_pdf([render([*missing, *lacking]), *pdfs, *letters])


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    def _get_attempts(self):
        """Return {Message-Id: when it was last handed to a mail server}.

        The journal forgets after 90 days.
        """
        names = [name for name in self.mapped("message_id") if name]
        rows = self.env["dunning.attempt"]._read_group(
            [("message_id", "in", names)], ["message_id"], ["started_at:max"]
        )
        return dict(rows)

    def _prepare_collection_row(self, attempts):
        """What was said, to whom, and what proves it. Hook."""
        self.ensure_one()
        channels = dict(self._fields["channel"]._description_selection(self.env))
        states = dict(self._fields["state"]._description_selection(self.env))
        reached = ", ".join(filter(None, (self.email_to, self.email_cc)))
        if self.channel == "letter":
            reached = self._get_letter_address().display_name
        return {
            "date": format_date(self.env, self.sent_on or self.date),
            "step": self.step_name,
            "subject": self.display_name,
            "channel": channels[self.channel],
            "state": states[self.state],
            "to": reached or "",
            "invoices": ", ".join(filter(None, self.line_ids.mapped("move_name"))),
            "proofs": self._get_collection_proofs(attempts.get(self.message_id)),
            "body": self._get_body_without_links(),
            "erased_on": self.erased_on and format_date(self.env, self.erased_on),
        }

    def _get_body_without_links(self):
        """The words as they were sent; its links open the customer's own pages."""
        self.ensure_one()
        if not self.body:
            return ""
        body = html.fromstring(f"<div>{self.body}</div>")
        for link in body.iter("a"):
            link.attrib.pop("href", None)
        return Markup(html.tostring(body, encoding="unicode"))

    def _get_collection_proofs(self, handed_over):
        """Return [(label, value)] of what proves that it left. Hook: add to it.

        :param handed_over: when the mail server got it, None when nobody knows
        """
        self.ensure_one()
        handed_over = handed_over and format_datetime(self.env, handed_over)
        proofs = [
            (self.env._("Message-Id"), self.message_id),
            (self.env._("Handed to the mail server"), handed_over),
            (self.env._("Refused by the mail server"), self.refused),
            (self.env._("What became of it"), self.failure_reason),
        ]
        if self.channel != "email":
            proofs = proofs[3:]
        return [(label, value) for label, value in proofs if value]

    def _read_letter(self):
        """The letter as it was printed, None when it cannot be."""
        self.ensure_one()
        try:
            with self.env.cr.savepoint():
                pdf, kind = self.env["ir.actions.report"]._render_qweb_pdf(
                    "dunning_sequences.action_report_dunning_letter", self.ids
                )
        except Exception:  # of a template that somebody edits, too
            _logger.info("No letter of reminder %s", self.id, exc_info=True)
            return None
        return pdf if kind == "pdf" else None

    @api.model
    def _prepare_amount_row(self, move, due_date, amount):
        """As in the table of a reminder; this is on paper, and has no links."""
        row = self._prepare_table_row(move, due_date, amount)
        total = self._format_totals(
            [{"currency": move.currency_id, "value": move.amount_total}]
        )
        return {**row, "total": total}


class IrActionsReport(models.Model):
    _inherit = "ir.actions.report"

    def _render_qweb_pdf_prepare_streams(self, report_ref, data, res_ids=None):
        """A file for each customer: our pages, and the documents behind them."""
        if self._get_report(report_ref).report_name != REPORT:
            return super()._render_qweb_pdf_prepare_streams(report_ref, data, res_ids)
        enrollments = self.env["dunning.enrollment"].browse(res_ids)
        enrollments._check_collection_access()
        prepare = super()._render_qweb_pdf_prepare_streams
        streams = OrderedDict()
        for group in enrollments._get_collection_groups():
            lead = group[:1].id

            def render(missing, group=group, lead=lead):
                pages = {"collection_ids": group.ids, "collection_missing": missing}
                cover = prepare(report_ref, {**(data or {}), **pages}, [lead])
                return cover[lead]["stream"].getvalue()

            pdf = group._make_collection_file(render)
            streams[lead] = {"stream": io.BytesIO(pdf), "attachment": None}
        return streams


class ReportDunningCollection(models.AbstractModel):
    _name = "report.dunning_sequences.report_dunning_collection"
    _description = "Collection File"

    @api.model
    def _get_report_values(self, docids, data=None):
        data = data or {}
        enrollments = self.env["dunning.enrollment"]
        enrollments = enrollments.browse(data.get("collection_ids") or docids)
        enrollments._check_collection_access()
        files = []
        for group in enrollments._get_collection_groups():
            missing = data.get("collection_missing")
            if missing is None:
                missing = group._read_invoice_pdfs()[1]
            files.append(group._prepare_collection_file(missing))
        return {"doc_ids": docids, "docs": enrollments, "files": files}
