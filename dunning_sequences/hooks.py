from .models.dunning_reminder import STATES_PENDING


def post_init_hook(env):
    """Give each company its ready-made sequences, in draft."""
    env["dunning.sequence"]._copy_ready_made(env["res.company"].search([]))


def uninstall_hook(env):
    """Take the texts that never left from the threads of their invoices.

    Without our history, nothing would tell them from those that were sent. What the
    journal knows as handed over may have arrived: its text stays.
    """
    waiting = (
        env["dunning.reminder"]
        .sudo()
        .search(
            [
                ("state", "in", ("queued", *STATES_PENDING)),
                ("mail_message_id", "!=", False),
            ]
        )
    )
    (waiting - waiting._filter_handed_over())._drop_message()
