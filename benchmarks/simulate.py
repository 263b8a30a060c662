"""Simulation of 30 days, against the reconcile that looks at as many."""

from odoo.api import Environment

from . import lib, reconcile, report

DAYS = 30
#: The first screen is asked for so many.
SCREEN = 10_000


def simulate(env, clock):
    Enrollment = env["dunning.enrollment"].sudo()
    with clock:
        clock.notes["facts"] = sum(
            1 for _fact in Enrollment._simulate(env.company, DAYS)
        )


def open_screen(env, clock):
    """The menu's entry, the form, and the first page of its list."""
    env = Environment(env.cr, env.ref("base.user_admin").id, {})
    with clock:
        action = env["dunning.simulation"].action_open()
        simulation = env["dunning.simulation"].browse(action["res_id"])
        simulation.web_read({"summary": {}, "reminders_count": {}, "silent_count": {}})
        env["dunning.simulation.line"].web_search_read(
            [("simulation_id", "=", simulation.id)],
            {"date": {}, "partner_id": {"fields": {"display_name": {}}}},
            limit=80,
        )
        env.flush_all()
    env.cr.rollback()


def run(bench):
    name = bench.database("ours")
    screen = min(SCREEN, bench.size)
    clocks = lib.run_in_turn(
        {
            "ours": lib.Subject(simulate, name, writes=False),
            "reconcile": lib.Subject(reconcile.ours, name, writes=False),
            "screen": lib.Subject(
                open_screen, bench.database("ours", screen), writes=False
            ),
        },
        bench.runs,
    )
    return [
        report.compare(
            "simulate",
            f"simulation of {DAYS} days, {bench.size:,} open, against a reconcile",
            clocks,
            "ours",
            "reconcile",
            bar=2,
        ),
        report.Row(
            "simulate_screen",
            f"simulation, first screen, {screen:,} open",
            report.format_seconds(lib.typical(clocks["screen"])),
            "",
            [clock.seconds for clock in clocks["screen"]],
            unit="s",
            bar=3,
        ),
    ]
