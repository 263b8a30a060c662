import { registry } from "@web/core/registry";
import { openInvoicing, openMenu, row, select } from "./tour_steps";

const openSearch = (content) => ({
    content,
    trigger: ".o_searchview_dropdown_toggler",
    run: "click",
});

// Reminders are seen, switched off and looked for in the usual list of invoices.
registry.category("web_tour.tours").add("dunning_invoices_are_switched_off", {
    url: "/odoo",
    steps: () => [
        ...openInvoicing(),
        ...openMenu("Customers", "Invoices"),
        {
            content: "An alarm clock on those that are reminded",
            trigger: `${row("Azure")} td[name=dunning_status] i[aria-label=Active]`,
        },
        ...select("Azure"),
        ...select("Bakery"),
        {
            content: "What can be done with them?",
            trigger: ".o_cp_action_menus button:contains(Actions)",
            run: "click",
        },
        {
            content: "No reminders",
            trigger: ".o-dropdown--menu .dropdown-item:contains(switch off)",
            run: "click",
        },
        {
            content: "The clock is gone",
            trigger: `${row("Azure")} td[name=dunning_status]:not(:has(i))`,
        },
        openSearch("Which late ones are not reminded?"),
        {
            content: "Filter them",
            trigger: ".o_filter_menu .o_menu_item:contains(Overdue without Reminders)",
            run: "click",
        },
        {
            content: "Only those",
            trigger: `.o_list_view:has(${row("Bakery")}):not(:has(${row("Cedar")}))`,
        },
        {
            content: "All of them again",
            trigger: ".o_searchview_facet:contains(Overdue without Reminders) .o_facet_remove",
            run: "click",
        },
        {
            content: "They are",
            trigger: row("Cedar"),
        },
        openSearch("How many are reminded?"),
        {
            content: "By what becomes of their reminders",
            trigger: ".o_group_by_menu .o_menu_item:contains(Reminders)",
            run: "click",
        },
        {
            content: "Those followed",
            trigger: ".o_group_header:contains(Active)",
        },
        {
            content: "And those not followed",
            trigger: ".o_group_header:contains(None)",
        },
    ],
});
