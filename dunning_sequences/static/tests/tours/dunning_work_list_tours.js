import { registry } from "@web/core/registry";
import { openInvoicing, openMenu, row, select, selected } from "./tour_steps";

// What waits for a person is decided about in one list, and can be taken back.
registry.category("web_tour.tours").add("dunning_work_list_is_done", {
    url: "/odoo",
    steps: () => [
        ...openInvoicing(),
        ...openMenu("Customers", "To Do"),
        {
            content: "It opens on what is mine",
            trigger: ".o_searchview_facet:contains(Mine)",
        },
        {
            content: "Approve one, on its line",
            trigger: `${row("Azure")} button[name=action_approve]`,
            run: "click",
        },
        {
            content: "It is done",
            trigger: `.o_list_view:not(:has(${row("Azure")}))`,
        },
        {
            content: "Print a letter",
            trigger: `${row("Letters")} button[name=action_print]`,
            run: "click",
        },
        {
            content: "It is printed",
            trigger: `.o_list_view:not(:has(${row("Letters")}))`,
        },
        ...select("Bakery"),
        ...selected("action_record", "Nothing is sent"),
        {
            content: "It counts as reminded",
            trigger: `.o_list_view:not(:has(${row("Bakery")}))`,
        },
        ...select("Cedar"),
        ...selected("action_open_postpone"),
        {
            content: "A week is proposed: fine",
            trigger: ".modal:contains(Postpone Reminders) .modal-footer .btn-primary",
            run: "click",
        },
        {
            content: "It waits",
            trigger: `.o_list_view:not(:has(${row("Cedar")}))`,
        },
        {
            content: "See the rest as cards",
            trigger: ".o_switch_view.o_kanban",
            run: "click",
        },
        {
            content: "In columns that say what to do",
            trigger: ".o_kanban_group:contains(To be done by hand) .o_kanban_record:contains(Delta)",
        },
        ...openMenu("Customers", "Past Reminders"),
        ...select("Bakery"),
        ...selected("action_undo"),
        {
            content: "It counts no more",
            trigger: `${row("Bakery")}:contains(Cancelled)`,
        },
        ...openMenu("Customers", "Pauses, Promises and Disputes"),
        ...select("Postponed"),
        ...selected("action_close"),
        {
            content: "It goes on",
            trigger: `.o_list_view:not(:has(${row("Postponed")}))`,
        },
        {
            content: "What else waits stays",
            trigger: row("Dispute"),
        },
        ...openMenu("Customers", "To Do"),
        {
            content: "Both are to be done again",
            trigger: `.o_list_view:has(${row("Cedar")}) ${row("Bakery")}`,
        },
    ],
});
