"""Registered letter: its number, and what proves that it was posted and received.

Entered by whoever has been at the post office, from the letter or from a list of
letters. What proves it is in the file for the collector, too.
"""

import io
import logging

from PIL import Image, ImageOps, ImageSequence

from odoo import api, fields, models
from odoo.exceptions import UserError
from odoo.tools import format_date

_logger = logging.getLogger(__name__)


class DunningSequenceStep(models.Model):
    _inherit = "dunning.sequence.step"

    registered = fields.Boolean(
        string="Registered Letter",
        help="The letter says so, and its number and proofs are asked for.",
    )


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    registered = fields.Boolean(string="Registered Letter", readonly=True)
    registered_number = fields.Char(
        readonly=True, copy=False, help="As the post office gave it."
    )
    received_on = fields.Date(
        readonly=True, copy=False, help="The day that the return receipt names."
    )
    proof_ids = fields.Many2many(
        comodel_name="ir.attachment",
        relation="dunning_reminder_proof_rel",
        column1="reminder_id",
        column2="attachment_id",
        string="Proofs of Delivery",
        readonly=True,
        copy=False,
    )

    def _prepare_reminder_vals(self, *args):
        vals = super()._prepare_reminder_vals(*args)
        step = self.env["dunning.sequence.step"].browse(vals["step_id"])
        vals["registered"] = vals["channel"] == "letter" and step.registered
        return vals

    def action_registered(self):
        """Open the dialog in which numbers and proofs of letters are entered."""
        self._check_action_access()
        self._check_registrable()
        lines = [
            (
                0,
                0,
                {
                    "reminder_id": letter.id,
                    "number": letter.registered_number,
                    "number_before": letter.registered_number,
                    "received_on": letter.received_on,
                    "received_before": letter.received_on,
                },
            )
            for letter in self._sort_for_post()
        ]
        dialog = self.env["dunning.letter.proof"].create({"line_ids": lines})
        return {
            "type": "ir.actions.act_window",
            "name": self.env._("Registered Letters"),
            "res_model": dialog._name,
            "res_id": dialog.id,
            "view_mode": "form",
            "target": "new",
        }

    def _check_registrable(self):
        """:raise UserError: unless all are letters that are, or will be, posted"""
        if any(
            letter.channel != "letter" or letter.state not in ("to_print", "sent")
            for letter in self
        ):
            raise UserError(
                self.env._(
                    "Only letters have numbers and proofs, once they are approved."
                )
            )

    def _note_delivery(self, vals, files):
        """Write down what the post office said about one letter, with a note.

        :param vals: ``registered_number``, ``received_on``: those that are new
        :param files: list of (name, content as base64)
        :raise UserError: for a day on which it cannot have been received
        """
        self.ensure_one()
        if not vals and not files:
            return
        self._check_received_on(vals.get("received_on"))
        proofs = self.env["ir.attachment"].create(
            [self._prepare_proof_vals(name, content) for name, content in files]
        )
        links = [(4, proof.id) for proof in proofs]
        self.write({**vals, "registered": True, "proof_ids": links})
        self.move_id._message_log_batch(
            bodies={self.move_id.id: self._get_registered_note(proofs)}
        )

    def _check_received_on(self, day):
        today = self.company_id._dunning_today()
        if day and not (self.sent_on or self.date) <= day <= today:
            raise UserError(
                self.env._(
                    "%(customer)s cannot have received the letter on %(day)s: choose a "
                    "day between that of the letter and today.",
                    customer=self.partner_name or "",
                    day=format_date(self.env, day),
                )
            )

    def _prepare_proof_vals(self, name, content):
        return {
            "name": name,
            "datas": content,
            "res_model": self._name,
            "res_id": self.id,
        }

    def _get_registered_note(self, proofs):
        """What a colleague reads on the invoice."""
        day = format_date(self.env, self.received_on) if self.received_on else ""
        facts = [
            (self.env._("Registered letter"), self.registered_number or ""),
            (self.env._("Received on"), day),
            (self.env._("Proofs of delivery"), ", ".join(proofs.mapped("name"))),
        ]
        return ". ".join(
            self.env._("%(fact)s: %(value)s", fact=fact, value=value)
            for fact, value in facts
            if value
        )

    # ------------------------------------------------------------------------
    # IN THE FILE FOR THE COLLECTOR
    # ------------------------------------------------------------------------

    def _get_collection_proofs(self, handed_over):
        day = self.received_on and format_date(self.env, self.received_on)
        proofs = [
            (self.env._("Registered letter"), self.registered_number),
            (self.env._("Received on"), day),
        ]
        proofs = [(label, value) for label, value in proofs if value]
        return proofs + super()._get_collection_proofs(handed_over)


class DunningReminderLine(models.Model):
    _inherit = "dunning.reminder.line"

    registered_number = fields.Char(related="reminder_id.registered_number")
    received_on = fields.Date(related="reminder_id.received_on")


class DunningEnrollment(models.Model):
    _inherit = "dunning.enrollment"

    def _read_letters(self):
        """The letters, and behind them what proves that they arrived."""
        pdfs, missing = super()._read_letters()
        for proof in self._get_collection_reminders().proof_ids:
            pdf = self._read_proof(proof)
            if pdf:
                pdfs.append(pdf)
            else:
                missing.append(proof.name)
        return pdfs, missing

    @api.model
    def _read_proof(self, proof):
        """A proof as a PDF: a scan may be a picture. None when it is neither."""
        if not (proof.mimetype or "").startswith("image/"):
            return self._read_pdf(proof)
        content = io.BytesIO(proof.raw)
        try:
            with Image.open(content) as scan, io.BytesIO() as pdf:
                first, *rest = (
                    ImageOps.exif_transpose(page).convert("RGB")
                    for page in ImageSequence.Iterator(scan)
                )
                # As large as fits a sheet of A4, of 8.27 by 11.69 inches.
                dots = max(first.width / 8.27, first.height / 11.69)
                first.save(
                    pdf, "pdf", save_all=True, append_images=rest, resolution=dots
                )
                return pdf.getvalue()
        except Exception:  # whatever a scan can be: the file is made all the same
            _logger.info("Not a picture: attachment %s", proof.id, exc_info=True)
            return None
