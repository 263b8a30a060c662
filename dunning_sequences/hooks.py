def post_init_hook(env):
    """Give each company its ready-made sequences, in draft."""
    env["dunning.sequence"]._copy_ready_made(env["res.company"].search([]))
