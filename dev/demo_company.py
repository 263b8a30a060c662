"""The demo's company: what it is set up with, and the invoices that it writes."""

from odoo import Command

from dev import demo_data


class Company:
    def set_up(self):
        self.set_up_company()
        self.set_up_currencies()
        self.set_up_terms()
        self.set_up_accountant()
        self.set_up_direct_debit()
        self.set_up_customers()
        self.coming = sorted(demo_data.read_invoices(), key=lambda i: i.issued)
        self.write_invoices()
        self.set_up_sequences()
        self.set_up_followers()
        self.env.cr.commit()

    def set_up_company(self):
        company = self.company
        for code in ("EUR", *demo_data.RATES):
            self.env.ref(f"base.{code}").active = True
        company.write(
            {
                **demo_data.COMPANY,
                "country_id": self.env.ref("base.fr").id,
                "currency_id": self.env.ref("base.EUR").id,
                "dunning_tz": "Europe/Paris",
            }
        )
        if "iap_enrich_auto_done" in company._fields:
            company.iap_enrich_auto_done = True  # asks a server on the internet
        self.env["res.partner.bank"].create(
            {
                "acc_number": demo_data.IBAN,
                "partner_id": company.partner_id.id,
                "allow_out_payment": True,
            }
        )

    def set_up_currencies(self):
        self.env["res.currency.rate"].create(
            [
                {
                    "name": self.date_of(-200),
                    "currency_id": self.env.ref(f"base.{code}").id,
                    "rate": rate,
                }
                for code, rate in demo_data.RATES.items()
            ]
        )

    def set_up_terms(self):
        self.tax = self.env["account.tax"].create(
            {"name": "20%", "amount": 20, "type_tax_use": "sale"}
        )
        self.instalments = self.env["account.payment.term"].create(
            {
                "name": "40 % in 30 days, 30 % in 60, 30 % in 90",
                "line_ids": [
                    Command.create({"value_amount": share, "nb_days": days})
                    for share, days in ((40, 30), (30, 60), (30, 90))
                ],
            }
        )
        self.bank = self.env["account.journal"].search(
            [("type", "=", "bank"), ("company_id", "=", self.company.id)], limit=1
        )

    def set_up_accountant(self):
        """She is told inside Odoo, so that the inbox holds customers' mails only."""
        name, email = demo_data.ACCOUNTANT
        group = self.env.ref("account.group_account_invoice")
        Users = self.env["res.users"].with_context(no_reset_password=True)
        self.accountant = Users.create(
            {
                "name": name,
                "login": "claire",
                "email": email,
                "phone": self.company.phone,
                "notification_type": "inbox",
                "group_ids": [Command.link(group.id)],
            }
        )

    def set_up_direct_debit(self):
        """Community has no SEPA direct debit: a method of that name will do."""
        self.debit = (
            self.env["account.payment.method"]
            .sudo()
            .create(
                {
                    "name": "Direct debit",
                    "code": "demo_direct_debit",
                    "payment_type": "inbound",
                }
            )
        )
        self.debit_line = self.env["account.payment.method.line"].create(
            {
                "name": "Direct debit",
                "sequence": 99,
                "payment_method_id": self.debit.id,
                "journal_id": self.bank.id,
            }
        )

    def set_up_customers(self):
        Partner = self.env["res.partner"]
        for key, values, people in demo_data.read_customers():
            values["email"] = values["email"].strip("-")
            code = values.pop("country")
            lang = "fr_FR" if code == "FR" else "en_US"
            country = self.env["res.country"].search([("code", "=", code)])
            customer = Partner.create(
                {**values, "country_id": country.id, "lang": lang, "is_company": True}
            )
            for name, email, kind in people:
                Partner.create(
                    {
                        "name": name,
                        "email": email,
                        "parent_id": customer.id,
                        "lang": lang,
                        "type": "invoice" if kind == "invoice" else "contact",
                        "dunning_contact": kind == "star",
                    }
                )
            self.customers[key] = customer

    def set_up_sequences(self):
        """The two that are ready-made, and the one of the addon's demo data."""
        for name in ("standard", "key_accounts", "trade"):
            ref = self.env.ref(f"dunning_sequences.dunning_sequence_{name}")
            ref = ref.with_context(mail_auto_subscribe_no_notify=True)
            ref.excluded_payment_method_ids = self.debit
            self.sequences[name] = ref
        self.sequences["standard"].write(
            {"require_sent": True, "min_amount": 10, "user_id": False}
        )
        self.sequences["key_accounts"].write(
            {"user_id": self.accountant.id, "min_contact_days": 7}
        )
        self.sequences["trade"].user_id = self.accountant
        self.type_texts()
        for sequence in self.sequences.values():
            sequence.action_start()

    def type_texts(self):
        """A note as the key accounts' last step, and the letter, in French, too."""
        name, subject, body = demo_data.NOTE["en_US"]
        note = self.env["dunning.sequence.step"].create(
            {
                "sequence_id": self.sequences["key_accounts"].id,
                "sequence": 100,
                "name": name,
                "trigger": "previous",
                "delay": 10,
                "content": "text",
                "subject": subject,
                "body": body,
            }
        )
        letter = self.env.ref("dunning_sequences.dunning_sequence_trade_letter")
        texts = ((note, demo_data.NOTE["fr_FR"]), (letter, demo_data.LETTER_FR))
        terms = note._fields["body"].get_trans_terms
        for step, (name, subject, body) in texts:
            step.with_context(lang="fr_FR").write({"name": name, "subject": subject})
            # Written so, an HTML text would become that of all languages.
            french = dict(zip(terms(step.body), terms(body), strict=True))
            step.update_field_translations("body", {"fr_FR": french})

    def set_up_followers(self):
        self.company.dunning_sequence_id = self.sequences["standard"]
        for key in demo_data.KEY_ACCOUNTS:
            self.customers[key].dunning_sequence_id = self.sequences["key_accounts"]
        for key in demo_data.TRADE:
            self.customers[key].dunning_sequence_id = self.sequences["trade"]
        for key in demo_data.NO_REMINDERS:
            self.customers[key].dunning_policy = "none"
            self.hush("no reminders", self.customers[key])

    # --- invoices ---------------------------------------------------------------

    def write_invoices(self):
        """Those of the day; on the eve of the story also those of before."""
        rows = []
        while self.coming and self.coming[0].issued <= self.day:
            rows.append(self.coming.pop(0))
        Move = self.env["account.move"].with_context(tracking_disable=True)
        moves = Move.create([self.prepare_invoice(row) for row in rows])
        moves.action_post()
        for row, move in zip(rows, moves, strict=True):
            if "no_followup" in row.notes:
                move.no_followup = True
            move.is_move_sent = "unsent" not in row.notes
            for note in row.notes & {"no_followup", "unsent", "debit"}:
                self.hush(note, move)
            self.invoices[row.customer].append(move)
            self.expect_payments(row, move)

    def expect_payments(self, row, move):
        for payment in row.payments:
            day, _colon, amount = payment.partition(":")
            when = int(day.strip("+")), day.endswith("+")
            self.payments[when].append((move, amount and float(amount)))

    def prepare_invoice(self, row):
        partner = self.customers[row.customer]
        address = partner.address_get(["invoice"])["invoice"]
        currency = next(iter(row.notes & {"USD", "GBP"}), "EUR")
        term = self.instalments if "instalments" in row.notes else None
        return {
            "move_type": "out_invoice",
            "partner_id": address,
            "invoice_date": self.date_of(row.issued),
            "invoice_date_due": None if term else self.date_of(row.due),
            "invoice_payment_term_id": term and term.id,
            "currency_id": self.env.ref(f"base.{currency}").id,
            "preferred_payment_method_line_id": "debit" in row.notes
            and self.debit_line.id,
            "invoice_line_ids": [
                Command.create(
                    {
                        "name": "Furniture made to measure",
                        "price_unit": row.net,
                        "tax_ids": [Command.set(self.tax.ids)],
                    }
                )
            ],
        }
