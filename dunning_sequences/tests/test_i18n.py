import re
from collections import Counter
from pathlib import Path

import polib
from lxml import html

from odoo.tests import BaseCase, tagged
from odoo.tools.translate import TranslationImporter

from .common import DunningCommon

FOLDER = Path(__file__).parent.parent / "i18n"

#: What a translation has to leave as it is.
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z%]|\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
TAG = re.compile(r"<[^>]*>")

#: What French writes otherwise: with a non-breaking space, with other quotes.
NOT_FRENCH = re.compile(r"[ \n][:;?!»]|\w[;?!»]|\w:\s|«[ \n]|«\w|[“”\"]|\w'\w")

TEMPLATES = ("notice", "first", "second", "final")


def get_attributes(text):
    """Return the elements of a text with what QWeb reads of them."""
    if not TAG.search(text):
        return Counter()
    elements = html.fragment_fromstring(text, create_parent="div").iterdescendants()
    return Counter((e.tag, *item) for e in elements for item in e.items())


def get_text(source):
    """Return the text of a piece of HTML in one line, with plain spaces."""
    return " ".join(html.fromstring(source).text_content().split())


@tagged("post_install", "-at_install")
class TestTranslations(BaseCase):
    """The files of translations, whatever the language."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.source = polib.pofile(FOLDER / "dunning_sequences.pot")
        cls.files = {path.stem: polib.pofile(path) for path in FOLDER.glob("*.po")}

    def get_entries(self):
        return [e for file in self.files.values() for e in file.translated_entries()]

    def test_everything_is_translated(self):
        self.assertIn("fr", self.files)
        wanted = [entry.msgid for entry in self.source]
        for file in self.files.values():
            self.assertEqual([e.msgid for e in file.translated_entries()], wanted)

    def test_placeholders_are_kept(self):
        for entry in self.get_entries():
            source, target = (
                Counter(PLACEHOLDER.findall(text))
                for text in (entry.msgid, entry.msgstr)
            )
            self.assertEqual(target, source, entry.msgid)

    def test_tags_with_attributes_are_kept(self):
        for entry in self.get_entries():
            self.assertEqual(
                get_attributes(entry.msgstr), get_attributes(entry.msgid), entry.msgid
            )

    def test_french_typography(self):
        for entry in self.files["fr"].translated_entries():
            text = TAG.sub("x", PLACEHOLDER.sub("x", entry.msgstr))
            found = NOT_FRENCH.search(text)
            self.assertFalse(found and text[: found.end()][-30:], entry.msgid)


@tagged("post_install", "-at_install")
class TestFrench(DunningCommon):
    """What a French customer and a French accountant read."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["res.lang"]._activate_lang("fr_FR")
        # From the file: an update keeps the translations that the database has.
        importer = TranslationImporter(cls.cr, verbose=False)
        importer.load_file(str(FOLDER / "fr.po"), "fr_FR")
        importer.save(overwrite=True, force_overwrite=True)
        cls.env.registry.clear_cache("templates")
        cls.company.phone = "+33 1 99 00 47 10"
        cls.env["res.partner.bank"].create(
            {"acc_number": "FR7612345", "partner_id": cls.company.partner_id.id}
        )
        cls.customer = cls._create_customer("Dupont", lang="fr_FR")
        cls.templates = [
            cls.env.ref(f"dunning_sequences.mail_template_dunning_{name}")
            for name in TEMPLATES
        ]

    def _get_english(self):
        """Return the pieces of text, between two tags, of the mails in English."""
        sources = [template.body_html for template in self.templates]
        for name in ("invoice_table", "payment_link"):
            view = self.env.ref(f"dunning_sequences.reminder_{name}")
            sources.append(view.arch_db)
        pieces = set()
        for source in sources:
            # What stands in a t-out is an example for the editor.
            for piece in html.fromstring(source).xpath("//text()[not(../@t-out)]"):
                pieces.add(" ".join(piece.split()))
        return {p for p in pieces if re.search(r"[a-z]{2}", p) and p != "Total"}

    def _get_mails(self, invoices):
        """Run the ready-made steps, for invoices due on 1 March."""
        self._create_default(
            *(
                {"delay": delay, "content": "template", "template_id": template.id}
                for delay, template in zip((-3, 5, 15, 30), self.templates, strict=True)
            )
        )
        self.run_on("02-26", "03-06", "03-16", "03-31")
        self.assertEqual(len(self.sink.mails), 4)
        return self.sink.mails

    def test_mails_are_french_from_the_subject_to_the_signature(self):
        english = self._get_english()
        self.assertIn("Kind regards,", english)
        self.assertIn("Amount due", english)
        invoices = self._create_invoice_due("03-01", 1250)
        invoices += self._create_invoice_due("03-01", 60)
        mails = self._get_mails(invoices)
        numbers = ", ".join(invoices.mapped("name"))
        self.assertEqual(
            [mail.subject for mail in mails],
            [
                f"Test Company\xa0: avis d’échéance du 01/03/2026 ({numbers})",
                f"Test Company\xa0: relance de paiement ({numbers})",
                f"Test Company\xa0: deuxième relance ({numbers})",
                f"Test Company\xa0: dernière relance ({numbers})",
            ],
        )
        for mail in mails:
            text = get_text(mail.html)
            for piece in english:
                self.assertNotRegex(text, rf"\b{re.escape(piece)}(?!\w)")
            self.assertIn("1 310,00", text)
            self.assertIn("Coordonnées bancaires : FR7612345", text)
            self.assertIn('lang="fr-FR"', mail.html)
        self.assertIn("arrivera à échéance le 01/03/2026", get_text(mails[0].html))
        self.assertIn(
            "augmentées des intérêts de retard et de l’indemnité prévus par la loi",
            get_text(mails[3].html),
        )
