"""The page behind a reminder's links: the customer answers without a login.

To open it changes nothing, because programs that look for viruses open each link of a
mail: an answer is given by a form that is sent. It shows what the reminder was about,
and nothing else of anybody.
"""

from datetime import date

from werkzeug.exceptions import NotFound

from odoo import SUPERUSER_ID, fields, http
from odoo.exceptions import UserError
from odoo.http import request
from odoo.tools import format_date
from odoo.tools.mimetypes import guess_mimetype

from ..tools.amount import parse_amount
from ..tools.one_line import one_line

#: What a customer adds: so many files, of so many bytes each, of these kinds.
FILES = 3
FILE_SIZE = 8 * 1024 * 1024
FILE_KINDS = {"application/pdf": ".pdf", "image/jpeg": ".jpg", "image/png": ".png"}

#: Answers that can come with files.
WITH_FILES = ("paid", "problem")

#: The page is for whom we wrote to: no search engine, no cache, no referrer.
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}

ROUTE = "/dunning/answer/<string:token>"


class DunningAnswerPage(http.Controller):
    @http.route(ROUTE, type="http", auth="public", methods=["GET"], sitemap=False)
    def show(self, token, kind=None, done=None, **_kwargs):
        """Show what is due, and the ways to answer.

        :param kind: the answer that is open on the page
        :param done: the answer that was given a moment ago
        """
        reminder = self._get_reminder(token)
        return self._render(reminder, token, kind=kind, done=done)

    @http.route(
        ROUTE,
        type="http",
        auth="public",
        methods=["POST"],
        sitemap=False,
        max_content_length=FILES * FILE_SIZE + 2**20,
    )
    def answer(self, token, **_kwargs):
        """Keep an answer; what cannot be kept is shown again, with the reason."""
        reminder = self._get_reminder(token)
        post = self._read_form()
        kind = post.get("kind")
        if not reminder or kind not in dict(reminder._get_answer_kinds()):
            return self._render(reminder, token)
        try:
            with request.env.cr.savepoint():
                reminder.env["dunning.answer"]._check_often_enough(reminder)
                files = self._read_files() if kind in WITH_FILES else []
                values = self._read_values(reminder, kind, post)
                reminder.env["dunning.answer"]._accept(reminder, values, files)
        except UserError as error:
            return self._render(reminder, token, kind, error=error.args[0], post=post)
        return request.redirect(f"/dunning/answer/{token}?done={kind}")

    # ------------------------------------------------------------------------

    def _get_reminder(self, token):
        """The reminder, and from now on all in the language in which it was written."""
        reminder = request.env["dunning.reminder"]._find_answered(token)
        if reminder:
            request.update_context(lang=reminder.lang or request.env.lang)
        # As Odoo itself: whoever has no login has no address to write from either.
        reminder = reminder.with_env(request.env).with_user(SUPERUSER_ID)
        return reminder.with_company(reminder.company_id)

    def _render(self, reminder, token, kind=None, **values):
        """One page for all: also for a link that is too old, or nobody's."""
        if not reminder:
            values = {"lang_of_page": self._get_page_lang()}
            response = request.render("dunning_sequences.answer_page_gone", values)
            response.status_code = NotFound.code
        else:
            values = self._prepare_values(reminder, token, kind, **values)
            response = request.render("dunning_sequences.answer_page", values)
        response.headers.update(HEADERS)
        return response

    def _get_page_lang(self):
        return (request.env.lang or "en").replace("_", "-")

    def _prepare_values(self, reminder, token, kind, done=None, error=None, post=None):
        """Hook: override to show more."""
        Answer = reminder.env["dunning.answer"]
        kinds = reminder._get_answer_kinds()
        known = dict(kinds)
        rows = reminder._get_answer_rows()
        open_rows = [row for row in rows if row["is_open"]]
        currencies = {row["currency"] for row in open_rows}
        said = reminder._get_last_answer()
        done = done if done and done == reminder.answer else None
        proposed = reminder._get_last_answer("plan") if done == "plan" else None
        return {
            "company": reminder.company_id,
            "lang_of_page": self._get_page_lang(),
            "reminder": reminder,
            "token": token,
            "rows": rows,
            "open_rows": open_rows,
            "currency": currencies.pop() if len(currencies) == 1 else None,
            "kinds": kinds,
            "kind": kind if kind in known else None,
            "done": done,
            "is_held": bool(done and reminder._get_last_answer(done)._is_holding()),
            "said": self._get_said(said) if said and not done else None,
            "error": error,
            "post": post or {},
            "chosen": self._read_ids(),
            "reasons": Answer._selection_reason(),
            "rhythms": Answer._selection_rhythm(),
            "most_payments": reminder.sequence_id.plan_payments,
            "plan_rows": proposed._get_plan_rows() if proposed else (),
            "today": fields.Date.to_string(reminder.company_id._dunning_today()),
            "last_day": fields.Date.to_string(Answer._get_last_promise(reminder)),
        }

    def _get_said(self, answer):
        """What he finds who comes back."""
        kinds = dict(answer._selection_kind())
        return request.env._(
            "You told us on %(date)s: %(what)s",
            date=format_date(request.env, answer.create_date),
            what=kinds[answer.kind],
        )

    def _read_values(self, reminder, kind, post):
        """Take what belongs to this kind of answer, and only that.

        :raise UserError: for a day that is none
        """
        moves = reminder._get_answerable_moves()
        if len(moves) > 1:
            moves = moves.filtered(lambda move: str(move.id) in self._read_ids())
        values = {"kind": kind, "move_ids": moves}
        for name in reminder.env["dunning.answer"]._get_fields_of(kind):
            text = (post.get(name) or "").strip()
            values[name] = self._read_value(name, text)
        return values

    def _read_value(self, name, text):
        if name == "date":
            return self._read_date(text)
        if name == "amount":
            return self._read_amount(text)
        if name == "payments":
            return int(text[:3]) if text.isascii() and text.isdigit() else 0
        return text or False

    def _read_ids(self):
        return set(request.httprequest.form.getlist("move"))

    def _read_form(self):
        """What was typed: a file of that name is none of it."""
        form = request.httprequest.form
        return {name: form[name].replace("\x00", "") for name in form}

    def _read_date(self, text):
        try:
            return date.fromisoformat(text) if text else False
        except ValueError as error:
            raise UserError(
                request.env._("“%(text)s” is not a day.", text=text[:20])
            ) from error

    def _read_amount(self, text):
        """In the way of writing numbers of the page's language."""
        lang = request.env["res.lang"]._get_data(code=request.env.lang or "en_US")
        try:
            return (
                parse_amount(text, lang.decimal_point, lang.thousands_sep or "")
                if text
                else 0.0
            )
        except ValueError as error:
            raise UserError(
                request.env._("“%(text)s” is not an amount.", text=text[:20])
            ) from error

    def _read_files(self):
        """Read what the customer adds.

        :return: (name, content) of each
        :raise UserError: for too many, too large, or of a kind that we do not take
        """
        uploads = [f for f in request.httprequest.files.getlist("file") if f.filename]
        files = [
            (one_line(upload.filename), self._read_file(upload))
            for upload in uploads[:FILES]
        ]
        if len(uploads) > FILES or any(
            len(content) > FILE_SIZE or guess_mimetype(content) not in FILE_KINDS
            for _name, content in files
        ):
            raise UserError(
                request.env._(
                    "Add at most %(count)s files: PDF or pictures (JPEG, PNG) of at "
                    "most %(size)s MB each.",
                    count=FILES,
                    size=FILE_SIZE // 1024**2,
                )
            )
        # By its name a file could be taken for what it is not.
        return [
            (f"{name.rpartition('.')[0][-80:]}{FILE_KINDS[guess_mimetype(file)]}", file)
            for name, file in files
        ]

    def _read_file(self, upload):
        upload.seek(0)  # it may have been read by a try that collided
        return upload.read(FILE_SIZE + 1)
