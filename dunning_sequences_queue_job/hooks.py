def uninstall_hook(env):
    """What waits as a job is done by the crons again; nothing else is kept in jobs.

    Jobs "started" are those of workers that died: the runner would ask for them anew,
    and for a method that is gone.
    """
    env["queue.job"].search(
        [
            ("model_name", "in", ("dunning.enrollment", "dunning.reminder")),
            ("state", "in", ("wait_dependencies", "pending", "enqueued", "started")),
        ]
    ).state = "cancelled"
    for name in ("reconcile", "run", "send"):
        cron = env.ref(f"dunning_sequences.ir_cron_dunning_{name}", False)
        if cron:
            cron._trigger()
