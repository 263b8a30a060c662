"""Letter page: what stands on it beside the text, and where the address lies.

The address of a letter shows through the window of its envelope: it has its place, in
millimetres, whatever the company's layout of documents is.
"""

import re

from odoo import fields, models

from .res_company import INTERNAL

#: Left, top, width and height of the address, in mm from the edges of the page.
WINDOWS = {
    # DIN 5008, form B: the field lies 20 to 105 mm from the left and 45 to 90 mm from
    # the top; its upper 17.7 mm are for remarks, and what is printed begins 5 mm inside
    # it. A page folded in three fits envelopes DL, C6/5 and the American No. 10.
    "left": (25, 62.7, 80, 27.3),
    # France, after NF Z 11-001: the frame of 85 by 33 mm that lies in the windows of
    # DL, C6/5 and C5 envelopes, 110 mm from the left and 55 mm from the top.
    "right": (110, 55, 85, 33),
}

TABLE = re.compile("<table.*?</table>", re.DOTALL | re.IGNORECASE)

#: Where envelopes have their windows on the right, by custom of the country.
RIGHT_COUNTRIES = {
    *("FR", "BL", "GF", "GP", "MC", "MF", "MQ", "NC", "PF", "PM", "RE", "WF", "YT"),
    *("BE", "ES", "IT", "PT"),
}

#: The text begins this much below the window, in mm.
BELOW_WINDOW = 8.5

#: The width of the text, as a share of what lies between the margins.
TEXT_WIDTH = 0.85

#: Characters of a line of the address, and lines of it, that have room at full size.
ADDRESS_WIDTH, ADDRESS_LINES = 42, 6

#: Layouts of documents that put the address into the window by themselves.
LAYOUTS_WITH_WINDOW = ("l10n_din5008.external_layout_din5008",)


class ResCompany(models.Model):
    _inherit = "res.company"

    dunning_letter_window = fields.Selection(
        groups=INTERNAL,
        selection=[("left", "On the left"), ("right", "On the right")],
        string="Window of Envelopes",
        help="Where the address of a letter must lie. Empty: as is usual in the "
        "company's country.",
    )

    def _get_dunning_letter_window(self):
        """On which side the window is. Hook: override for other envelopes."""
        self.ensure_one()
        usual = "right" if self.country_id.code in RIGHT_COUNTRIES else "left"
        return self.sudo().dunning_letter_window or usual


class ResConfigSettings(models.TransientModel):
    _inherit = "res.config.settings"

    dunning_letter_window = fields.Selection(
        related="company_id.dunning_letter_window", readonly=False
    )


class DunningSequence(models.Model):
    _inherit = "dunning.sequence"

    letter_notice = fields.Text(
        string="Notice on Letters",
        translate=True,
        help="Small print below the text of each letter, such as what the law says "
        "about late payment. Empty: none.",
    )


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    def _get_letter_window(self):
        """Return where the address lies, None when the layout decides it.

        In percents of the width between the margins, which CSS takes as a measure of
        heights, too: what a millimetre of CSS becomes on paper depends on the version
        of wkhtmltopdf.

        :return: ``left``, ``top`` and ``width`` of the address, ``space`` that the text
            leaves free above it, and ``size`` of the letters in points
        """
        self.ensure_one()
        if self._is_layout_with_window():
            return None
        left, top, width, height = self._get_letter_place()
        paper = self._get_letter_paper()
        between = paper.print_page_width - paper.margin_left - paper.margin_right
        top = max(top - paper.margin_top, 0)
        shares = {
            "left": left - paper.margin_left,
            "top": top,
            "width": width,
            "space": (top + height + BELOW_WINDOW) / TEXT_WIDTH,
        }
        size = 13 if self._count_address_lines() <= ADDRESS_LINES else 9.5
        return {
            "size": size,
            **{name: round(100 * mm / between, 2) for name, mm in shares.items()},
        }

    def _get_letter_place(self):
        """Left, top, width and height of the address, in mm. Hook."""
        return WINDOWS[self.company_id._get_dunning_letter_window()]

    def _is_layout_with_window(self):
        layout = self.company_id.sudo().external_report_layout_id
        return layout.xml_id in LAYOUTS_WITH_WINDOW

    def _get_letter_paper(self):
        report = self.env.ref("dunning_sequences.action_report_dunning_letter").sudo()
        return report.with_company(self.company_id).get_paperformat()

    def _count_address_lines(self):
        """Lines of the printed address, those included that do not fit in one."""
        address = self._get_letter_address().with_context(show_address=True)
        lines = filter(None, (address.display_name or "").split("\n"))
        return sum(-(-len(line) // ADDRESS_WIDTH) for line in lines)

    def _get_letter_deadline(self):
        """The day until which we wait for the money, unless the text names it."""
        self.ensure_one()
        letter = self.with_context(lang=self.lang or self.env.lang)
        deadline = letter._format_dates([letter._get_new_deadline()])
        # A date in a table is that of an invoice.
        text = TABLE.sub("", self.body or "")
        return "" if deadline in text else deadline

    def _get_letter_notice(self):
        """The small print, in the reader's language. Hook."""
        self.ensure_one()
        sequence = self.sequence_id.sudo()
        return sequence.with_context(lang=self.lang or self.env.lang).letter_notice
