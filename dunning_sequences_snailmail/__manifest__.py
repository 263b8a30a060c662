{
    "name": "Payment Reminder Sequences: Snailmail",
    "summary": "Posts reminder letters by Odoo's own post service",
    "version": "19.0.1.0.0",
    "category": "Accounting/Accounting",
    "author": "Dunning Sequences contributors",
    "license": "LGPL-3",
    "depends": ["dunning_sequences", "snailmail"],
    "data": ["data/ir_cron_data.xml", "views/snailmail_views.xml"],
    "auto_install": True,
    "installable": True,
}
