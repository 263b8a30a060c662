"""Installing on many posted invoices, beyond what it takes in an empty database."""

from . import database, lib, report

#: None of these may be written anew, row by row.
TABLES = ("account_move", "account_move_line", "res_partner")


def act(name, clock):
    with lib.environment(name) as env:
        before = get_files(env)
    with clock:
        database.install(name, database.OURS)
    with lib.environment(name) as env:
        after = get_files(env)
    clock.notes["rewritten"] = [
        table for table in TABLES if before[table] != after[table]
    ]


def get_files(env):
    """Return {table: its file}: another one after it was rewritten."""
    env.cr.execute(
        "SELECT relname, relfilenode FROM pg_class WHERE relname = ANY(%s)",
        [list(TABLES)],
    )
    return dict(env.cr.fetchall())


def run(bench):
    empty = f"{lib.WORK}_empty"
    lib.copy_db("template_account", empty)
    clocks = lib.run_in_turn(
        {
            "full": lib.Subject(act, bench.database("plain"), by_name=True),
            "empty": lib.Subject(act, empty, by_name=True),
        },
        bench.runs,
    )
    lib.drop_db(empty)
    rewritten = {table for c in clocks["full"] for table in c.notes["rewritten"]}
    return [
        report.Row(
            "install",
            f"installing on {bench.size:,} posted invoices",
            report.format_seconds(lib.typical(clocks["full"])),
            "empty: " + report.format_seconds(lib.typical(clocks["empty"])),
            [
                full.seconds - empty.seconds
                for full, empty in zip(clocks["full"], clocks["empty"], strict=True)
            ],
            unit="s more",
            bar=5,
        ),
        report.Row(
            "install_rewrites",
            "tables that installing rewrites",
            ", ".join(sorted(rewritten)) or "none",
            ", ".join(TABLES),
            [len(rewritten)],
            unit="tables",
            bar=0,
        ),
    ]
