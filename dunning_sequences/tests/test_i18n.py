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
#: An ordinary space where French has a non-breaking one, and quotes that are not French.
BAD_TYPOGRAPHY = re.compile(
    r".{0,20}(?:\s[:;?!»]|«\s|\w[?!;»]|«\w|[“”\"]|\w'\w).{0,20}"
)
NO_BREAK = "\N{NO-BREAK SPACE}"


def get_attributes(text):
    """Return the elements of a text and what QWeb reads from them."""
    if not TAG.search(text):
        return Counter()
    elements = html.fragment_fromstring(text, create_parent="div").iterdescendants()
    return Counter(
        (element.tag, name, value)
        for element in elements
        for name, value in element.items()
    )


@tagged("post_install", "-at_install")
class TestTranslationFiles(BaseCase):
    """The files, whatever the language."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.template = polib.pofile(FOLDER / "dunning_sequences.pot")
        cls.files = {path.stem: polib.pofile(path) for path in FOLDER.glob("*.po")}

    def iterate(self):
        for lang, file in self.files.items():
            for entry in file:
                with self.subTest(lang=lang, msgid=entry.msgid):
                    yield entry

    def test_everything_is_translated(self):
        self.assertIn("fr", self.files)
        wanted = {entry.msgid for entry in self.template}
        for lang, file in self.files.items():
            with self.subTest(lang=lang):
                self.assertEqual({entry.msgid for entry in file}, wanted)
                self.assertFalse([e.msgid for e in file if not e.translated()])

    def test_placeholders_are_kept(self):
        for entry in self.iterate():
            expected, found = (
                Counter(PLACEHOLDER.findall(text))
                for text in (entry.msgid, entry.msgstr)
            )
            self.assertEqual(found, expected)

    def test_html_attributes_are_kept(self):
        for entry in self.iterate():
            self.assertEqual(get_attributes(entry.msgstr), get_attributes(entry.msgid))

    def test_spaces_around_a_term_are_kept(self):
        for entry in self.iterate():
            if not entry.msgid.startswith("<div>"):
                self.assertEqual(entry.msgstr, entry.msgstr.strip())

    def test_french_typography(self):
        for entry in self.files["fr"]:
            text = TAG.sub("<>", PLACEHOLDER.sub("x", entry.msgstr))
            # Lines are broken at will.
            text = re.sub(r"[ \n]+", " ", text)
            text = text.replace(NO_BREAK, "_").replace("_", "\0")
            found = BAD_TYPOGRAPHY.search(text.replace("\0", "~"))
            self.assertFalse(found and found.group(), entry.msgid)


@tagged("post_install", "-at_install")
class TestFrench(DunningCommon):
    """What a French customer and a French accountant read."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.env["res.lang"]._activate_lang("fr_FR")
        # The file as it is now: updating a module keeps the translations there are.
        importer = TranslationImporter(cls.cr, verbose=False)
        importer.load_file(str(FOLDER / "fr.po"), "fr_FR")
        importer.save(overwrite=True, force_overwrite=True)
        cls.env.registry.clear_cache("templates")
        cls.company.phone = "+33 1 99 00 47 10"
        cls.env["res.partner.bank"].create(
            {"acc_number": "FR7612345", "partner_id": cls.company.partner_id.id}
        )
        cls.french = cls._create_customer("Dupont", lang="fr_FR")

    def _create_shipped_sequence(self):
        """The steps of the ready-made sequence, with the templates as shipped."""
        return self._create_default(
            *(
                {
                    "name": name,
                    "delay": delay,
                    "content": "template",
                    "template_id": self.env.ref(
                        f"dunning_sequences.mail_template_dunning_{name}"
                    ).id,
                }
                for name, delay in (
                    ("notice", -3),
                    ("first", 5),
                    ("second", 15),
                    ("final", 30),
                )
            )
        )

    def _get_mails(self, customer, *days):
        """Return {step: mail} of a customer with two invoices due on 1 March."""
        invoices = self._create_invoice_due("03-01", 1250, customer=customer)
        invoices += self._create_invoice_due("03-01", 60, customer=customer)
        self.sink.clear()
        self.run_on(*days)
        mails = self.sink.mails
        self.assertEqual(len(mails), len(days))
        return invoices, mails

    def _get_words(self, mail):
        """Return the pieces of text of a mail, each between two tags."""
        pieces = html.document_fromstring(mail.html).itertext()
        pieces = (" ".join(piece.split()) for piece in pieces)
        return {piece for piece in pieces if re.search(r"[^\W\d_]", piece)}

    def test_shipped_mails_are_french_from_the_subject_to_the_signature(self):
        self._create_shipped_sequence()
        days = ("02-26", "03-06", "03-16", "03-31")
        # One after the other: the same invoices, the same days, another language.
        invoices, mails = self._get_mails(self.french, *days)
        numbers = ", ".join(invoices.mapped("name"))
        self.assertEqual(
            [mail.subject.replace(NO_BREAK, " ") for mail in mails],
            [
                f"Test Company : avis d’échéance du 01/03/2026 ({numbers})",
                f"Test Company : relance de paiement ({numbers})",
                f"Test Company : deuxième relance ({numbers})",
                f"Test Company : dernière relance ({numbers})",
            ],
        )
        kept = {"Total", "Test Company", "Dupont", "FR7612345"}
        kept |= {*invoices.mapped("name"), self.company.phone, self.company.email}
        english = set()
        for name in ("notice", "first", "second", "final"):
            template = self.env.ref(f"dunning_sequences.mail_template_dunning_{name}")
            body = template.with_context(lang="en_US").body_html
            english |= {
                " ".join(piece.split())
                for piece in html.fromstring(body).xpath(
                    "//text()[not(ancestor::*/@t-out)]"
                )
            }
        english |= {"Invoice", "Invoice date", "Due date", "Amount due", "Pay now"}
        english = {piece for piece in english if re.search(r"[^\W\d_]{2}", piece)}
        for mail in mails:
            words = self._get_words(mail)
            self.assertIn("Échéance", words)
            self.assertIn("Reste dû", words)
            self.assertFalse(words & english)
            text = self.get_text(mail)
            self.assertIn(
                "la somme de 1 310,00 $", text.replace("votre règlement", "la somme")
            )
            self.assertIn("Coordonnées bancaires : FR7612345", text)
