"""The module's own life: installed on a full database, upgraded, uninstalled, back.

    python -m dev.torture_life ODOO.CONF DATABASE

- Installing rewrites no table and no row of anybody, however many invoices there are.
- Upgrading changes nothing that users changed, and nothing at all the second time.
- Uninstalling in the middle of everything leaves nothing behind; accounting works on,
  and nothing leaves by Odoo's own queue.
- Installed again it says nothing until a person starts a sequence.
- From the release before this one (a tag of git), if there is one, it upgrades to what
  a new installation is. RELEASE=… names another commit to come from.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import odoo
from odoo import Command, fields
from odoo.modules import get_manifest
from odoo.modules.module import initialize_sys_path
from odoo.modules.registry import Registry
from odoo.tools import config

from dev import torture_lib
from dev.torture_lib import connect, copy_database, drop_database, environment

ADDON = "dunning_sequences"
TEMPLATE = "template_account"
INVOICES = 200_000

#: Tables with a row for each invoice.
WATCHED = ("account_move", "account_move_line", "res_partner")

#: What a module may leave things in. Rows that are there after uninstalling, and were
#: not before installing, were left behind. Odoo itself forgets some, of its own modules
#: as well: the notes about foreign keys in ir_model_constraint, those in BOOKKEEPING,
#: and the favourites of users (ir_filters).
CONFIGURATION = (
    "digest_tip ir_act_client ir_act_report_xml ir_act_server ir_act_url ir_act_window "
    "ir_actions ir_asset ir_config_parameter ir_cron ir_default ir_exports ir_model "
    "ir_model_access ir_model_data ir_model_fields ir_model_fields_selection "
    "ir_model_inherit ir_model_relation ir_rule ir_sequence ir_ui_menu ir_ui_view "
    "ir_ui_view_custom mail_activity_type mail_alias mail_message_subtype "
    "mail_template report_paperformat res_groups res_groups_privilege"
).split()

#: Names in ir_model_data that Odoo gives to what a model takes over from others.
BOOKKEEPING = re.compile(r"model_inherit__|selection__|module_")

#: Rows that say which model they are about.
ABOUT = {
    "ir_attachment": "res_model",
    "mail_activity": "res_model",
    "mail_followers": "res_model",
    "mail_message": "model",
    "mail_scheduled_message": "model",
}

#: Odoo writes them at each upgrade, whether anything has changed or not.
ALWAYS_WRITTEN = {"write_date", "write_uid", "arch_prev"}


# --- helpers ------------------------------------------------------------------------


class Part:
    """What the stories of this part share."""

    def __init__(self, args):
        self.args = args
        self.problems = []

    def check(self, true, problem):
        if not true:
            self.problems.append(problem)

    def odoo(self, database, *options, addons=None):
        """Run Odoo's command line; its warnings are problems.

        :return: seconds
        """
        forget(database)
        log = self.args.folder / f"{database}{len(options)}.log"
        log.unlink(missing_ok=True)
        command = [sys.executable, "-m", "odoo", "-c", self.args.config, "-d", database]
        command += ["--stop-after-init", "--no-http", f"--logfile={log}", *options]
        if addons:
            command.append(f"--addons-path={addons}")
        started = time.monotonic()
        nothing = subprocess.DEVNULL
        done = subprocess.run(command, stdin=nothing, stderr=nothing, check=False)
        seconds = time.monotonic() - started
        name = f"odoo {' '.join(options)} on {database}"
        self.check(done.returncode == 0, f"{name}: exit code {done.returncode}")
        for line in log.read_text().splitlines():
            if re.match(r"\S+ \S+ \d+ (WARNING|ERROR|CRITICAL) ", line):
                self.problems.append(f"{name}: {line[24:300]}")
        return seconds


def forget(database):
    """Another process changes it: what this one knows of it is old."""
    odoo.sql_db.close_all()
    Registry.delete(database)


def describe(database, ours=True):
    """All that PostgreSQL has, a line each."""
    from odoo.addons.dunning_sequences.tests.schema import describe

    forget(database)
    with odoo.sql_db.db_connect(database).cursor() as cr:
        return set(describe(cr, ours))


def read(database, query, params=()):
    with connect(database) as connection, connection.cursor() as cr:
        cr.execute(query, params)
        return cr.fetchall()


# --- installing ---------------------------------------------------------------------


def install(part):
    """On very many invoices, and on none."""
    copy_database(TEMPLATE, "life_full")
    started = time.monotonic()
    with environment("life_full") as env:
        torture_lib.set_up_invoices(env, INVOICES)
        env.cr.commit()
    print(f"{INVOICES} invoices made in {time.monotonic() - started:.0f} s")
    files = get_files("life_full")
    [[last]] = read("life_full", "SELECT txid_current()")
    copy_database(TEMPLATE, "life_empty")
    empty = part.odoo("life_empty", "-i", ADDON)
    full = part.odoo("life_full", "-i", ADDON)
    print(
        f"Installed in {full:.1f} s, in an empty database in {empty:.1f} s: "
        f"{full - empty:.1f} s more, {full / empty:.2f} times"
    )
    after = get_files("life_full")
    rewritten = [table for table in files if after.get(table) != files[table]]
    part.check(not rewritten, f"rewritten: {rewritten}")
    written = {table: count_written("life_full", table, last) for table in WATCHED}
    part.check(not any(written.values()), f"rows written: {written}")
    print(f"{len(rewritten)} of {len(files)} tables rewritten; rows written: {written}")
    drop_database("life_full")


def count_written(database, table, since):
    query = f"SELECT COUNT(*) FROM {table} WHERE xmin::text::int8 > %s"
    return read(database, query, [since])[0][0]


def get_files(database):
    """Where PostgreSQL keeps each table: elsewhere, once it was rewritten."""
    return dict(
        read(
            database,
            "SELECT relname, relfilenode FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
        )
    )


# --- upgrading ----------------------------------------------------------------------


def upgrade(part):
    """Twice, after users have changed what is theirs to change."""
    database = "life_upgrade"
    copy_database("life_empty", database)
    with environment(database) as env:
        change_what_users_change(env)
        env.cr.commit()
    before = dump(database)
    for time_ in ("first", "second"):
        part.odoo(database, "-u", ADDON)
        after = dump(database)
        for table in sorted(before.keys() | after.keys()):
            for problem in compare(before.get(table, {}), after.get(table, {})):
                part.problems.append(f"the {time_} upgrade, {table}: {problem}")
        before = after
    print(f"Upgraded twice: {sum(map(len, before.values()))} rows compared")
    drop_database(database)


def change_what_users_change(env):
    """All that a person may edit: what the module calls `noupdate`."""
    ours = env["ir.model.data"].search([("module", "=", ADDON)])
    for record in ours.filtered("noupdate"):
        if record.model not in env:
            continue
        target = env[record.model].browse(record.res_id)
        if record.model == "ir.cron":
            target.write({"interval_number": 7, "active": False})
        elif record.model == "ir.rule":
            target.write({"active": False})
        elif record.model == "mail.template":
            target.write({"subject": "Ours", "body_html": "<p>Ours</p>"})
        elif "name" in target._fields and record.model != "dunning.enrollment":
            target.name = f"{target.name}, changed"
    sequence = env["dunning.sequence"].search([], limit=1)
    sequence.step_ids[:1].write(
        {"name": "Changed", "delay": sequence.step_ids[0].delay}
    )
    sequence.step_ids[1:].unlink()
    env["dunning.sequence"].search([])[-1:].unlink()
    env.company.write({"dunning_hour_from": 6, "dunning_hour_to": 7})


def dump(database):
    """{table: {id: row}} of our tables, and of the records that the module made."""
    tables = [name for name in get_files(database) if "dunning" in name]
    wanted = {table: None for table in tables}
    with environment(database) as env:
        for record in env["ir.model.data"].search_fetch([("module", "=", ADDON)]):
            if record.model in env and env[record.model]._auto:
                table = env[record.model]._table
                if table not in tables:
                    wanted.setdefault(table, []).append(record.res_id)
    wanted["ir_model_data"] = [
        id_
        for (id_,) in read(
            database, "SELECT id FROM ir_model_data WHERE module = %s", [ADDON]
        )
    ]
    return {table: dump_table(database, table, ids) for table, ids in wanted.items()}


def dump_table(database, table, ids):
    where = "" if ids is None else "WHERE id = ANY(%s)"
    rows = read(database, f"SELECT to_jsonb(t) FROM {table} t {where}", [ids])
    return {
        row.get("id", str(sorted(row.items()))): {
            name: normalize(name, value)
            for name, value in row.items()
            if name not in ALWAYS_WRITTEN
        }
        for (row,) in rows
    }


def normalize(name, value):
    """Odoo strips the space at the start of a translated text, at upgrades only."""
    if name != "arch_db":
        return value
    return {lang: re.sub(r"\s+", "", text) for lang, text in value.items()}


def compare(before, after):
    if missing := before.keys() - after.keys():
        yield f"{len(missing)} rows are gone, {sorted(missing)[:5]}"
    if new := after.keys() - before.keys():
        yield f"{len(new)} rows are new, {[after[key] for key in sorted(new)[:3]]}"
    for key in before.keys() & after.keys():
        for name, value in before[key].items():
            now = after[key].get(name)
            if now != value:
                yield f"{key}, {name}: {value!r:.100} became {now!r:.100}"


# --- uninstalling -------------------------------------------------------------------


def uninstall(part):
    """While reminders are queued, wait, were sent, and customers are paused."""
    database = "life_uninstall"
    copy_database(TEMPLATE, database)
    part.odoo(database, "-u", "account_payment")  # what Odoo does anyway is not ours
    tables = describe(database, ours=False)
    rows = {table: get_ids(database, table) for table in CONFIGURATION}
    part.odoo(database, "-i", ADDON)
    with torture_lib.inbox(part.args.folder) as port:
        with environment(database) as env:
            live(env, port)
            env.cr.commit()
            stays, goes = get_texts(env)
        leave(part, database)
        texts = get_ids(database, "mail_message")
        part.check(stays and stays <= texts, "texts of sent reminders are gone")
        part.check(goes and not goes & texts, "texts that never left are still there")
        with environment(database) as env:
            use_accounting(env)
            env["mail.mail"].process_email_queue()
            env.cr.commit()
        get_left_behind(part, database, tables, rows)
        come_back(part, database, port)
    drop_database(database)


def live(env, port):
    """A bit of everything, most of it not finished."""
    invoice_ids = torture_lib.set_up(env, port, 30)
    invoices = env["account.move"].browse(invoice_ids)
    sequence = env["dunning.sequence"].search([("state", "=", "running")])
    waiting = sequence.copy({"name": "To approve"})
    waiting.step_ids.mode = "approval"
    waiting.action_start()
    invoices[:5].dunning_sequence_id = waiting
    kinds = ("pause", "promise", "dispute", "reply")
    for invoice, kind in zip(invoices[5:9], kinds, strict=True):
        env["dunning.hold"].create(
            {
                "kind": kind,
                "move_ids": [Command.set(invoice.ids)],
                "company_id": env.company.id,
                "until": fields.Date.today() + timedelta(days=5),
            }
        )
    invoices[9].partner_id.write({"email": False, "dunning_policy": "none"})
    invoices[10].partner_id.email = False
    env["ir.default"].set("dunning.sequence", "min_amount", 5)
    env.flush_all()
    env.cr.commit()
    env["dunning.enrollment"]._run()
    reminders = env["dunning.reminder"].search([("state", "=", "queued")], limit=5)
    env["ir.attachment"].create(
        {
            "name": "a.txt",
            "raw": b"a",
            "res_model": reminders._name,
            "res_id": reminders[0].id,
        }
    )
    sequence.message_post(body="Noted")
    sequence.activity_schedule("mail.mail_activity_data_todo", summary="Look at it")
    env.cr.commit()
    server = env["ir.mail_server"].search([], limit=1)
    env["dunning.reminder"]._deliver(now=fields.Datetime.now())
    invoices[0].message_post(
        body="To a customer", partner_ids=invoices[0].partner_id.ids
    )
    server.smtp_port = 9  # nobody answers: what comes now stays queued
    later = torture_lib.set_up_invoices(env, 10)
    env["dunning.enrollment"]._reconcile(env["account.move"].browse(later))
    env["dunning.enrollment"]._run()
    env.cr.commit()
    env["dunning.reminder"]._deliver(now=fields.Datetime.now())
    server.smtp_port = port
    states = env["dunning.reminder"]._read_group([], ["state"], ["__count"])
    print("Uninstalled with:", ", ".join(f"{n} {state}" for state, n in states))


def get_texts(env):
    """Return the messages of reminders that (may) have left, and of the others."""
    reminders = env["dunning.reminder"].search([("mail_message_id", "!=", False)])
    waiting = reminders.filtered(lambda r: r.state in ("queued", "to_approve"))
    waiting -= waiting._filter_handed_over()
    stays = (reminders - waiting).mail_message_id
    return set(stays.ids), set(waiting.mail_message_id.ids)


def leave(part, database):
    log_file = part.args.folder / "uninstall.log"
    forget(database)
    command = [sys.executable, "-m", "odoo", "module", "uninstall", ADDON]
    command += ["-c", part.args.config, "-d", database]
    with log_file.open("w") as log:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
        )
    part.check(done.returncode == 0, f"uninstalling: exit code {done.returncode}")
    for line in log_file.read_text().splitlines():
        if re.search(r" (WARNING|ERROR|CRITICAL) |^Traceback", line):
            part.problems.append(f"uninstalling: {line[:300]}")
    forget(database)


def use_accounting(env):
    """Post, pay, reset, open."""
    invoices = env["account.move"].search(
        [("move_type", "=", "out_invoice")], order="id"
    )
    copy = invoices[0].copy()
    copy.invoice_date = fields.Date.today()
    copy.action_post()
    wizard = env["account.payment.register"].with_context(
        active_model="account.move", active_ids=(copy + invoices[1]).ids
    )
    wizard.create({})._create_payments()
    invoices[2].button_draft()
    invoices[2].action_post()
    env["account.move"].get_views([(False, "list"), (False, "form")])
    env["res.partner"].get_views([(False, "form")])
    invoices.web_read({"name": {}, "message_ids": {}})
    env.flush_all()


def get_left_behind(part, database, tables, rows):
    mails = list((part.args.folder / "mails").glob("*.eml"))
    print(f"{len(mails)} mails had left; none after it")
    now = describe(database, ours=False)
    for line in sorted(now - tables):
        part.problems.append(f"left behind in the database: {line}")
    for line in sorted(tables - now):
        part.problems.append(f"taken from Odoo: {line}")
    for table, before in rows.items():
        new = get_ids(database, table) - before
        query = f"SELECT to_jsonb(t) FROM {table} t WHERE id = ANY(%s)"
        for (row,) in read(database, query, [list(new)]):
            if table != "ir_model_data" or not BOOKKEEPING.match(row["name"]):
                part.problems.append(f"left behind in {table}: {row!s:.300}")
    for table, column in ABOUT.items():
        query = f"SELECT COUNT(*) FROM {table} WHERE {column} LIKE 'dunning%%'"
        [[count]] = read(database, query)
        part.check(not count, f"left behind in {table}: {count} about our models")


def get_ids(database, table):
    return {id_ for (id_,) in read(database, f"SELECT id FROM {table}")}


def come_back(part, database, port):
    """Nothing is remembered: who was reminded before is not reminded by itself."""
    folder = part.args.folder / "mails"
    before = len(list(folder.glob("*.eml")))
    part.odoo(database, "-i", ADDON)
    names = ("reconcile", "run", "send")
    for name in names:
        torture_lib.run_cron(database, name)
    with environment(database) as env:
        sequences = env["dunning.sequence"].search([])
        part.check(
            sequences and set(sequences.mapped("state")) == {"draft"},
            "the ready-made sequences are not there again, in draft",
        )
        part.check(
            not env["dunning.enrollment"].search_count([]), "somebody is enrolled"
        )
        env.company.write({"dunning_hour_from": 0, "dunning_hour_to": 24})
        env.company.dunning_sequence_id = sequences[0]
        sequences[0].action_start()
        env.cr.commit()
    for name in names:
        torture_lib.run_cron(database, name)
    with environment(database) as env:
        states = env["dunning.enrollment"]._read_group(
            [], ["state", "hold_reason"], ["__count"]
        )
        print("Started again:", ", ".join(f"{n} {s} {r or ''}" for s, r, n in states))
    part.check(
        len(list(folder.glob("*.eml"))) == before,
        "who was reminded before is reminded again",
    )


# --- from the release before --------------------------------------------------------


def migrate(part):
    """From a tag of git, in which versions are named as in the manifest."""
    version = get_manifest(ADDON)["version"]
    reference = os.environ.get("RELEASE") or get_release_before(version)
    if not reference:
        print(f"No release before {version}: there is nothing to upgrade from")
        return
    with tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(
            ["git", "archive", reference, ADDON], capture_output=True, check=True
        )
        subprocess.run(["tar", "x", "-C", folder], input=archive.stdout, check=True)
        copy_database(TEMPLATE, "life_release")
        paths = [p for p in config["addons_path"] if not Path(p, ADDON).exists()]
        part.odoo("life_release", "-i", ADDON, addons=",".join([*paths, folder]))
    with environment("life_release") as env:
        torture_lib.set_up_invoices(env, 20)
        env.cr.commit()
    part.odoo("life_release", "-u", ADDON)
    upgraded, installed = describe("life_release"), describe("life_empty")
    for line in sorted(upgraded - installed):
        part.problems.append(f"upgraded from {reference} only: {line}")
    for line in sorted(installed - upgraded):
        part.problems.append(f"installed afresh only: {line}")
    print(f"Upgraded from {reference}")
    drop_database("life_release")


def get_release_before(version):
    """The newest tag below this version, or None."""
    tags = subprocess.run(
        ["git", "tag", "--list", "*19.0.*"], capture_output=True, text=True, check=False
    ).stdout.split()
    older = [t for t in tags if to_numbers(t) < to_numbers(version)]
    return max(older, key=to_numbers, default=None)


def to_numbers(version):
    return [int(number) for number in re.findall(r"\d+", version)]


def main():
    started = time.monotonic()
    part = Part(torture_lib.parse_arguments(__doc__.splitlines()[0]))
    initialize_sys_path()
    for story in (install, upgrade, uninstall, migrate):
        print(f"--- {story.__name__}", flush=True)
        story(part)
    drop_database("life_empty")
    torture_lib.end(part.problems, started)


if __name__ == "__main__":
    main()
