{
    "name": "Payment Reminder Sequences: Job Queue",
    "summary": "Spreads the work of payment reminders over many workers and machines, "
    "as jobs of the OCA's queue",
    "version": "19.0.1.0.0",
    "category": "Accounting/Accounting",
    "author": "Dunning Sequences contributors",
    "license": "LGPL-3",
    "depends": ["dunning_sequences", "queue_job"],
    "data": [
        "data/queue_job_channel_data.xml",
        "data/queue_job_function_data.xml",
    ],
    "auto_install": True,
    "installable": True,
    "uninstall_hook": "uninstall_hook",
}
