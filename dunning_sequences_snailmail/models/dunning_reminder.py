"""Post: let letters leave by Odoo's own service, each one once.

Odoo's own queue of letters sends again what it is not sure of. Ours asks the service by
itself, and the order of events decides:

1. the letter is locked, read again and made; it becomes doubtful, with a letter of
   Odoo's that Odoo's queue does not take up by itself; that is committed;
2. the service is asked;
3. its answer is written down: sent, or failed with its words.

Killed between 1 and 3, the letter is doubtful, and a person decides.
"""

import base64
import logging
from datetime import timedelta

import requests
from urllib3.exceptions import NewConnectionError

from odoo import api, fields, models
from odoo.exceptions import AccessError, UserError
from odoo.tools import SQL, html2plaintext

from odoo.addons.dunning_sequences.models.compose import CONCURRENCY_ERRORS

_logger = logging.getLogger(__name__)

#: Where the service looks for the address: left, top, width and height in mm, as
#: Odoo's own cover page has it.
PLACE = (118, 60, 80, 25.5)

#: Refusals that are about the account: the letters behind would be refused, too.
ACCOUNT_ERRORS = ("CREDIT_ERROR", "TRIAL_ERROR")

#: A letter of Odoo's in this state, for this reason, is not taken up by Odoo's queue.
HANDED_OVER = {"state": "error", "error_code": "UNKNOWN_ERROR"}


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    by_post_service = fields.Boolean(string="By Odoo's Post Service", readonly=True)
    snailmail_id = fields.Many2one(
        comodel_name="snailmail.letter",
        string="Letter of the Post Service",
        readonly=True,
        copy=False,
        index="btree_not_null",
        ondelete="set null",
    )

    def _prepare_reminder_vals(self, *args):
        vals = super()._prepare_reminder_vals(*args)
        step = self.env["dunning.sequence.step"].browse(vals["step_id"])
        by_letter = vals["channel"] == "letter"
        vals["by_post_service"] = by_letter and step.by_post_service
        return vals

    def _is_for_post_service(self):
        """Nothing is posted unless the company says so. Hook: override for less."""
        self.ensure_one()
        allowed = self.company_id.sudo().dunning_snailmail
        return allowed and self.by_post_service and not self.registered

    def _get_letter_place(self):
        return PLACE if self._is_for_post_service() else super()._get_letter_place()

    def _release(self):
        res = super()._release()
        if any(r.state == "to_print" and r.by_post_service for r in self):
            cron = self.env.ref(
                "dunning_sequences_snailmail.ir_cron_dunning_post",
                raise_if_not_found=False,
            )
            if cron:
                cron.sudo()._trigger()
        return res

    # ------------------------------------------------------------------------
    # POST
    # ------------------------------------------------------------------------

    @api.model
    def _cron_post(self):
        self._post_letters()

    @api.model
    def _post_letters(self, now=None):
        """Post the letters that wait for it, one by one.

        :param now: UTC datetime; by default only companies inside their hours post
        """
        Enrollment = self.env["dunning.enrollment"]
        letters = self._find_for_post(now)
        for left, letter_id in zip(reversed(range(len(letters))), letters, strict=True):
            handed = Enrollment._in_own_transaction(self._hand_to_post, letter_id)
            if handed:
                Enrollment._commit_progress()  # before anybody is asked to post it
                ask = self._ask_post_service
                if Enrollment._in_this_transaction(ask, letter_id) is False:
                    waiting = letters[len(letters) - left :]
                    Enrollment._in_own_transaction(self._wait_for_post, waiting)
                    left = 0
            if not Enrollment._commit_progress(1, remaining=left) or not left:
                return

    @api.model
    def _find_for_post(self, now=None):
        companies = self.env["res.company"].sudo()
        companies = companies.search([("dunning_snailmail", "=", True)])
        if not now:
            companies = companies.filtered(lambda company: company._is_dunning_time())
        rows = self.env.execute_query(
            SQL(
                """
                SELECT id FROM dunning_reminder
                 WHERE state = 'to_print' AND by_post_service
                   AND registered IS NOT TRUE AND company_id = ANY(%s)
                   AND (next_try IS NULL OR next_try <= %s)
              ORDER BY id
                """,
                companies.ids,
                now or fields.Datetime.now(),
            )
        )
        return [letter_id for (letter_id,) in rows]

    @api.model
    def _hand_to_post(self, letter_id):
        """Read a letter again, and write down that it is handed over.

        :return: is it?
        """
        letter = self.sudo().browse(letter_id).exists()
        if letter.state != "to_print" or not letter._is_for_post_service():
            return False
        letter = letter._with_company_lang(letter.company_id)
        try:
            letter._lock_for_decision()
        except UserError:
            return False  # somebody decides about it at this moment
        today = letter._get_day(fields.Datetime.now())
        handed = letter._recheck_content(today) and bool(letter._keep_letters())
        if handed and letter.letter_pdf:
            handed = letter._write_post(today)
        else:  # cancelled; or it cannot be made, and says why
            letter._wait_for_post(letter.ids)
            handed = False
        letter._after_decision()
        return handed

    def _write_post(self, today):
        """:return: False when it failed"""
        try:
            with self.env.cr.savepoint():
                self.snailmail_id = self._create_post()
        except CONCURRENCY_ERRORS:
            raise
        except Exception as error:  # a page, an address: a state that somebody sees
            _logger.info("Letter %s is not posted", self.id, exc_info=True)
            self._fail(self._get_failure_reason(error))
            return False
        self.write(
            {
                "state": "doubtful",
                "sent_on": today,
                "failure_reason": self.env._(
                    "Handed to the post service, and its answer was lost: look whether "
                    "it was posted."
                ),
            }
        )
        return True

    def _create_post(self):
        """Return a letter of Odoo's with our page.

        :raise UserError: when the address is not complete
        """
        address = self._get_letter_address()
        Post = self.env["snailmail.letter"]
        if not Post._is_valid_address(address):
            raise UserError(
                self.env._(
                    "The post service needs a street, a postal code, a city and a "
                    "country: complete the address of %(customer)s.",
                    customer=address.display_name,
                )
            )
        post = Post.create({**self._prepare_post_vals(address), **HANDED_OVER})
        pdf = post._overwrite_margins(base64.b64decode(self.letter_pdf))
        if post.cover:
            pdf = post._append_cover_page(pdf)
        post.attachment_id = self.env["ir.attachment"].create(
            {
                "name": f"{self._get_letter_filename()}.pdf",
                "raw": pdf,
                "mimetype": "application/pdf",
                "res_model": self._name,
                "res_id": self.id,
            }
        )
        return post

    def _prepare_post_vals(self, address):
        """Hook: override for colours, both sides, a cover page."""
        self.ensure_one()
        company = self.company_id
        return {
            "model": "account.move",
            "res_id": self.move_id.id,
            "partner_id": address.id,
            "company_id": company.id,
            "user_id": self._get_responsible().id or self.env.uid,
            "color": company.snailmail_color,
            "cover": company.snailmail_cover,
            "duplex": company.snailmail_duplex,
        }

    @api.model
    def _ask_post_service(self, letter_id):
        """Ask the service to post what was handed over, and write its answer down.

        :return: False when the account is at fault, or nobody answers: the others wait
        """
        letter = self.sudo().browse(letter_id)
        letter = letter._with_company_lang(letter.company_id)
        post = letter.snailmail_id
        try:
            post._snailmail_print_valid_address()
        except AccessError as error:  # so Odoo says that nobody answered
            post.write(HANDED_OVER)
            if letter._is_unreached(error):
                letter._take_back_from_post(error)
            return False
        if post.state == "sent":
            letter.write({"state": "sent", "failure_reason": False})
            letter._create_notes()
            letter._after_decision()
            return True
        error = post.error_code
        reason = html2plaintext(post.info_msg or "").strip()
        post.cancel()  # or Odoo's queue takes it up
        letter._fail(reason or self.env._("The post service refused it."))
        letter._after_decision()
        return error not in ACCOUNT_ERRORS

    @api.model
    def _is_unreached(self, error):
        """Did nobody listen? Then nothing was posted; else nobody knows."""
        cause = error.__context__
        if isinstance(cause, requests.exceptions.ConnectTimeout):
            return True
        inner = cause.args[0] if cause and cause.args else None
        return isinstance(getattr(inner, "reason", None), NewConnectionError)

    def _take_back_from_post(self, error):
        """It waits on, as if nobody had been asked."""
        self.snailmail_id.cancel()
        self.write(
            {
                "state": "to_print",
                "sent_on": False,
                "failure_reason": self._get_failure_reason(error),
            }
        )
        self._wait_for_post(self.ids)
        self._after_decision()

    @api.model
    def _wait_for_post(self, letter_ids):
        """What was refused once would be refused for each of them: for an hour."""
        letters = self.sudo().browse(letter_ids).exists()
        letters.next_try = fields.Datetime.now() + timedelta(hours=1)
