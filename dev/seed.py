"""Run in `odoo shell` once, in the template database, by dev/prepare.

Every database of this checkout is a copy of the template, so it holds what is
slow to make, and is silent without a network.
"""

company = env.company
params = env["ir.config_parameter"]

# French is there to be chosen; the users stay with English.
lang = env.ref("base.lang_fr")
env["base.language.install"].create({"lang_ids": [(6, 0, lang.ids)]}).lang_install()
env["res.users"].with_context(active_test=False).search([]).lang = "en_US"
env["ir.default"].set("res.partner", "lang", "en_US")

# Odoo chooses a chart of accounts by the company's country; else any will do.
if not company.chart_template:
    env["account.chart.template"].try_loading(
        "generic_coa", company=company, install_demo=False
    )

# Nothing here has a reason to call a server on the internet: on port 9 of this machine
# nobody answers, at once.
for service in (
    "enrich",
    "iap",
    "iap.partner_autocomplete",
    "sms",
    "snailmail",
):
    params.set_param(f"{service}.endpoint", "http://127.0.0.1:9")

# Core's own mails would come between those of the addon.
for cron in env["ir.cron"].search([]):
    if any(
        name in (cron.code or "")
        for name in (
            "_cron_send_digest_email",
            "send_unregistered_user_reminder",
            "update_notification",
        )
    ):
        cron.active = False

# Files go into the database, so that a copy of it is complete. Later ones are files
# again.
params.set_param("ir_attachment.location", "db")
env["ir.qweb"]._pregenerate_assets_bundles()
env["ir.attachment"].force_storage()
params.search([("key", "=", "ir_attachment.location")]).unlink()
env.cr.commit()
print("SEED READY")
