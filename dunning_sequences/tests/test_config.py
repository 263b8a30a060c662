from odoo import Command
from odoo.exceptions import UserError, ValidationError
from odoo.tests import Form, tagged
from odoo.tools import mute_logger

from .common import DunningCommon, to_date


@tagged("post_install", "-at_install")
class TestConfig(DunningCommon):
    """Writing a sequence: what is refused, what is kept, when it begins."""

    def assertRefused(self, message, *steps, **vals):
        with self.assertRaisesRegex(ValidationError, message):
            self._create_sequence(steps, start=False, **vals)

    # ------------------------------------------------------------------------
    # ORDER OF STEPS
    # ------------------------------------------------------------------------

    def test_delays_go_up(self):
        self.assertRefused("“S2” .* must come later than “S1”", (7,), (7,))
        self.assertRefused("must come later", (7,), (-3,))
        self.assertRefused("must come later", (7,), (10, "previous"), (5,))
        self._create_sequence([(-3,), (0,), (10, "previous"), (30,)], start=False)

    def test_the_first_step_has_no_previous_one(self):
        self.assertRefused("“S1” is the first step", (7, "previous"))

    def test_the_previous_reminder_is_at_least_a_day_ago(self):
        for delay in (0, -1):
            with self.assertRaises(Exception) as caught, mute_logger("odoo.sql_db"):
                with self.env.cr.savepoint():
                    self._create_sequence([(7,), (delay, "previous")], start=False)
                    self.env.flush_all()
            self.assertIn("_check_previous", str(caught.exception))

    def test_only_the_last_step_repeats(self):
        self.assertRefused(
            "“S1” repeats, but another step follows it",
            {"delay": 7, "repeat_every": 7},
            (14,),
        )

    def test_repetitions_are_not_negative(self):
        for name in ("repeat_every", "repeat_max"):
            with self.assertRaises(Exception) as caught, mute_logger("odoo.sql_db"):
                with self.env.cr.savepoint():
                    self._create_sequence([{"delay": 7, name: -1}], start=False)
                    self.env.flush_all()
            self.assertIn("_check_repeat", str(caught.exception))

    def test_all_steps_postponed_at_once(self):
        """Each line is written by itself; in between they are out of order."""
        sequence = self._create_sequence([(7,), (14,)])
        first, second = sequence.step_ids
        sequence.step_ids = [
            Command.update(first.id, {"delay": 17}),
            Command.update(second.id, {"delay": 24}),
        ]
        self.assertEqual(sequence.step_ids.mapped("delay"), [17, 24])

    def test_two_steps_exchanged_at_once(self):
        sequence = self._create_sequence([(7,), (14,)])
        first, second = sequence.step_ids
        sequence.step_ids = [
            Command.update(first.id, {"delay": 14, "sequence": 20}),
            Command.update(second.id, {"delay": 7, "sequence": 10}),
        ]
        self.assertEqual(sequence.step_ids.mapped("name"), ["S2", "S1"])

    def test_the_first_step_removed_and_the_next_made_the_first(self):
        sequence = self._create_sequence([(7,), (5, "previous")])
        first, second = sequence.step_ids
        sequence.step_ids = [
            Command.delete(first.id),
            Command.update(second.id, {"trigger": "due_date"}),
        ]
        self.assertEqual(sequence.step_ids, second)

    def test_wrong_order_is_refused_however_it_is_written(self):
        sequence = self._create_sequence([(7,), (14,)])
        first, second = sequence.step_ids
        writes = {
            "on the form": lambda: sequence.write(
                {"step_ids": [Command.update(first.id, {"delay": 20})]}
            ),
            "on the step": lambda: second.write({"delay": 3}),
            "by dragging": lambda: second.write({"sequence": 1}),
            "by adding": lambda: self.env["dunning.sequence.step"].create(
                {
                    **self._prepare_step("S", 9, (5,)),
                    "sequence_id": sequence.id,
                }
            ),
        }
        for how, write in writes.items():
            with self.subTest(how), self.assertRaises(ValidationError):
                with self.env.cr.savepoint():
                    write()
                    self.env.flush_all()

    def test_the_first_step_cannot_be_removed_before_one_that_counts_from_it(self):
        sequence = self._create_sequence([(7,), (5, "previous")])
        with self.assertRaises(ValidationError), self.env.cr.savepoint():
            sequence.step_ids = [Command.delete(sequence.step_ids[0].id)]
        with self.assertRaises(ValidationError), self.env.cr.savepoint():
            sequence.step_ids[0].unlink()

    # ------------------------------------------------------------------------
    # CONTENT OF STEPS
    # ------------------------------------------------------------------------

    def test_a_step_says_something(self):
        self.assertRefused("Type the subject and the text", {"subject": False})
        self.assertRefused("Type the subject and the text", {"body": "<p><br></p>"})
        self.assertRefused("Choose an e-mail template", {"content": "template"})

    def test_a_template_must_be_made_for_reminders(self):
        template = self.env["mail.template"].create(
            {
                "name": "Invoice",
                "model_id": self.env["ir.model"]._get_id("account.move"),
                "subject": "Hello",
                "body_html": "<p>Hello</p>",
            }
        )
        self.assertRefused(
            "“Invoice” is not made for payment reminders",
            {"content": "template", "template_id": template.id},
        )

    def test_typed_text_is_checked_when_saved(self):
        for source, message in (
            ("{{ invoice_nbr }}", "no field “invoice_nbr” in the step “S1”.*due_date"),
            ("{{ due_date.year }}", "{{ due_date.year }}.* cannot be used"),
            ("{{ due_date|upper }}", "cannot be used in the step “S1”"),
            ("{% for a in b %}c{% endfor %}", "cannot be used|no field"),
            ("{{ due_date", "cannot be read"),
            ("a" * 20_001, "longer than 20000 characters"),
        ):
            with self.subTest(source[:40]):
                self.assertRefused(message, {"subject": source})
                self.assertRefused(message, {"body": f"<p>{source}</p>"})

    def test_typed_text_is_checked_in_each_language(self):
        self.env["res.lang"]._activate_lang("fr_FR")
        sequence = self._create_sequence([(7,)])
        with self.assertRaisesRegex(ValidationError, "no field|champ"):
            sequence.step_ids.with_context(lang="fr_FR").subject = "{{ facture }}"

    def test_typed_text_cannot_hide_in_a_translation(self):
        """Not even when somebody writes translations term by term."""
        self.env["res.lang"]._activate_lang("fr_FR")
        sequence = self._create_default((7,))
        step = sequence.step_ids
        french = self._create_customer("Madeleine", lang="fr_FR")
        invoice = self._create_invoice_due("03-01", customer=french)
        (term,) = step._fields["body"].get_trans_terms(step.body)
        try:
            with self.env.cr.savepoint():
                step.update_field_translations(
                    "body", {"fr_FR": {term: "{{ invoice_number.__class__ }}"}}
                )
        except ValidationError:
            return
        self.run_on("03-08")
        self.assertFalse(self.sink.mails)
        self.assertEqual(self.get_last_reminder(invoice).state, "failed")

    # ------------------------------------------------------------------------
    # READY-MADE
    # ------------------------------------------------------------------------

    def test_a_new_company_gets_ready_made_sequences_in_draft(self):
        company = self.env["res.company"].create({"name": "New"})
        sequences = company.dunning_sequence_ids
        self.assertEqual(
            sorted(sequences.mapped("name")), ["Key accounts", "Standard reminders"]
        )
        self.assertEqual(set(sequences.mapped("state")), {"draft"})
        self.assertFalse(sequences.user_id)
        self.assertFalse(company.dunning_sequence_id)
        standard = sequences.filtered(lambda s: s.grouping == "customer")
        self.assertEqual(standard.step_ids.mapped("delay"), [-3, 5, 15, 30])

    def test_the_ready_made_ones_can_be_used_as_they_are(self):
        standard = self.env["dunning.sequence"].search(
            [("company_id", "=", self.company.id), ("grouping", "=", "customer")]
        )
        self.assertEqual(len(standard), 1)
        standard.action_start()
        self.company.dunning_sequence_id = standard
        invoice = self._create_invoice_due("03-01", 1250)
        self.run_on("02-26", "03-06", "03-16", "03-31")
        self.assertReminders(
            invoice,
            "02-26 Courtesy notice",
            "03-06 First reminder",
            "03-16 Second reminder",
            "03-31 Final reminder",
        )
        for mail in self.sink.mails:
            self.assertIn(invoice.name, mail.subject)
            text = self.get_text(mail)
            self.assertIn("Dear Azure,", text)
            self.assertIn("$ 1,250.00", text)
            self.assertIn("Test Company", text)
            self.assertNotIn("{{", mail.subject + text)
            self.assertNotIn("False", text)
            self.assertIn(f"/my/invoices/{invoice.id}", mail.html)

    def test_the_ready_made_ones_speak_french(self):
        """P14: usable as they are, in English and in French."""
        standard = self.env["dunning.sequence"].search(
            [("company_id", "=", self.company.id), ("grouping", "=", "customer")]
        )
        standard.action_start()
        self.company.dunning_sequence_id = standard
        french = self._create_customer("Madeleine", lang="fr_FR")
        self._create_invoice_due("03-01", 1250, customer=french)
        self._create_invoice_due("03-01", 1250)
        self.run_on("03-06")
        texts = {mail["To"].addresses[0].username: mail for mail in self.sink.mails}
        self.assertIn("Dear Azure", self.get_text(texts["azure"]))
        text = self.get_text(texts["madeleine"])
        self.assertIn("Bonjour", text)
        self.assertNotIn("Amount due", text)
        self.assertNotIn("reminder", texts["madeleine"].subject)

    # ------------------------------------------------------------------------
    # STARTING, COPYING, DELETING
    # ------------------------------------------------------------------------

    def test_nothing_leaves_before_the_start(self):
        sequence = self._create_sequence([(7,)], start=False, default=True)
        invoice = self._create_invoice_due("03-01")
        self.run_on("03-08..03-10")
        self.assertFalse(self.sink.mails)
        self.assertFalse(self.Enrollment.search([("move_id", "=", invoice.id)]))
        self.assertEqual(sequence.state, "draft")

    def test_without_steps_it_does_not_start(self):
        sequence = self._create_sequence([], start=False)
        with self.assertRaisesRegex(UserError, "has no step yet"):
            sequence.action_start()

    def test_it_starts_on_the_companys_day(self):
        self.company.dunning_tz = "Pacific/Auckland"
        self.travel("03-07", 20)
        sequence = self._create_sequence([(7,)])
        self.assertEqual(sequence.started_on, to_date("03-08"))

    def test_all_steps_deleted_while_it_runs(self):
        sequence = self._create_default((7,), (14,))
        invoice = self._create_invoice_due("03-01")
        other = self._create_invoice_due("03-01", customer=self._create_customer("B"))
        self.run_on("03-08")
        sequence.step_ids.unlink()
        self.run_on("03-15")
        self.assertReminders(invoice, "03-08 S1")
        self.assertReminders(other, "03-08 S1")

    def test_a_copy_is_in_draft_and_follows_nobody(self):
        sequence = self._create_default((7,), (14,))
        sequence.partner_ids = self.customer
        copy = sequence.copy()
        self.assertEqual(copy.name, "Sequence (copy)")
        self.assertEqual(copy.state, "draft")
        self.assertFalse(copy.started_on)
        self.assertEqual(copy.step_ids.mapped("delay"), [7, 14])
        self.assertEqual(
            copy.step_ids.mapped("subject"), sequence.step_ids.mapped("subject")
        )
        self.assertFalse(copy.partner_ids)
        self.assertEqual(sequence.partner_ids, self.customer)

    def test_a_running_sequence_is_not_deleted(self):
        sequence = self._create_sequence([(7,)])
        with self.assertRaisesRegex(UserError, "is running. Stop it"):
            sequence.unlink()

    def test_a_deleted_sequence_keeps_its_history(self):
        """P16"""
        sequence = self._create_default((7,), (14,), name="Friendly")
        invoice = self._create_invoice_due("03-01")
        reminder = self.run_day("03-08")
        sequence.action_stop()
        sequence.unlink()
        self.run_on("03-15")
        self.assertReminders(invoice, "03-08 S1")
        self.assertEqual(reminder.sequence_name, "Friendly")
        self.assertEqual(reminder.step_name, "S1")
        self.assertFalse(reminder.sequence_id)
        self.assertNext(invoice, "stopped", reason="no_sequence")

    def test_a_deleted_sequence_frees_customers_and_invoices_that_had_it(self):
        default = self._create_default((8,), prefix="D")
        sequence = self._create_sequence([(7,)])
        own = self._create_customer("Own", dunning_sequence_id=sequence.id)
        invoice = self._create_invoice_due("03-01", customer=own)
        single = self._create_invoice_due("03-01")
        single.dunning_sequence_id = sequence
        other = self._create_invoice_due("03-01", customer=self._create_customer("B"))
        self.drain()
        sequence.action_stop()
        sequence.unlink()
        self.env.invalidate_all()
        self.run_on("03-09")
        self.assertReminders(other, "03-09 D1")
        for record in (own, single):
            self.assertFalse(record.dunning_sequence_id)
            self.assertFalse(record.dunning_policy)
        self.assertEqual(default.state, "running")
        # They follow the default again, as whoever deleted it was told.
        self.assertReminders(invoice, "03-09 D1")
        self.assertReminders(single, "03-09 D1")

    def test_a_sequence_deleted_while_its_mail_waits(self):
        sequence = self._create_default((7,))
        invoice = self._create_invoice_due("03-01")
        self.compose_day("03-08")
        sequence.action_stop()
        sequence.unlink()
        self.deliver()
        self.assertFalse(self.sink.mails)
        self.assertReminders(invoice)

    def test_without_its_indexes_the_engine_refuses_to_work(self):
        self._create_default((7,))
        self._create_invoice_due("03-01")
        self.env.cr.execute("DROP INDEX dunning_reminder_line_once")
        with self.assertRaisesRegex(UserError, "dunning_reminder_line_once"):
            self.run_day("03-08")

    # ------------------------------------------------------------------------
    # FORMS
    # ------------------------------------------------------------------------

    def test_a_sequence_is_written_on_its_form(self):
        form = Form(self.env["dunning.sequence"])
        form.name = "Typed"
        with form.step_ids.new() as step:
            step.name = "First"
            step.days = 5
            step.moment = "after"
            step.template_id = self.env.ref(
                "dunning_sequences.mail_template_dunning_first"
            )
        sequence = form.save()
        self.assertEqual(sequence.state, "draft")
        self.assertEqual(sequence.step_ids.timing, "5 days after the due date")
        self.assertEqual(sequence.step_ids.delay, 5)

    def test_when_a_step_comes_is_said_in_words(self):
        sequence = self._create_sequence(
            [
                (-2,),
                (-1,),
                (0,),
                (1,),
                (7,),
                (10, "previous"),
                {"delay": 40, "repeat_every": 5, "repeat_max": 3},
            ],
            start=False,
        )
        self.assertEqual(
            sequence.step_ids.mapped("timing"),
            [
                "2 days before the due date",
                "1 day before the due date",
                "on the due date",
                "1 day after the due date",
                "7 days after the due date",
                "10 days after the previous reminder",
                "40 days after the due date, then 3 more times, every 5 days",
            ],
        )
        self.assertEqual(sequence.step_ids.mapped("number"), [1, 2, 3, 4, 5, 6, 7])

    # ------------------------------------------------------------------------
    # STATUS OF INVOICES
    # ------------------------------------------------------------------------

    def test_status_is_found_as_it_is_shown(self):
        self._create_default((7,), (14,))
        active = self._create_invoice_due("03-01")
        paused = self._create_invoice_due("03-01")
        paused.dunning_paused = True
        none = self._create_invoice_due("03-01")
        none.dunning_policy = "none"
        paid = self._create_invoice_due("03-01")
        self.drain()
        self.pay(paid)
        self.drain()
        moves = active + paused + none + paid
        mine = [("id", "in", moves.ids)]
        Move = self.env["account.move"]

        def find(operator, value):
            return Move.search([*mine, ("dunning_status", operator, value)])

        self.assertEqual(find("=", "active"), active)
        self.assertEqual(find("!=", "active"), moves - active)
        self.assertEqual(find("in", ["active", "paused"]), active + paused)
        self.assertEqual(find("not in", ["active", "paused"]), none + paid)
        self.assertEqual(find("=", False), Move)
        self.assertEqual(find("!=", False), moves)
        groups = dict(Move._read_group(mine, ["dunning_status"], ["__count"]))
        self.assertEqual(groups, {"active": 1, "paused": 1, "none": 2})
        self.assertEqual(
            Move.search([*mine, ("dunning_next_date", "<=", to_date("03-08"))]),
            active + paused,
        )

    def test_next_date_is_found_as_it_is_shown(self):
        self._create_default((7,))
        coming = self._create_invoice_due("03-01")
        none = self._create_invoice_due("03-01")
        none.dunning_policy = "none"
        self.drain()
        Move = self.env["account.move"]
        for operator, value in (
            *(("=", to_date("03-08")), ("!=", to_date("03-08"))),
            *(("=", False), ("!=", False)),
            *((">", to_date("03-01")), ("<", to_date("03-01"))),
        ):
            with self.subTest(f"{operator} {value}"):
                domain = [
                    ("id", "in", (coming + none).ids),
                    ("dunning_next_date", operator, value),
                ]
                found = Move.search(domain)
                shown = (coming + none).filtered_domain(domain[1:])
                self.assertEqual(found, shown)
