import { registry } from "@web/core/registry";
import { stepUtils } from "@web_tour/tour_utils";

// From the menu to the reminders of the next days, and to one of their invoices.
registry.category("web_tour.tours").add("dunning_simulation_is_read", {
    url: "/odoo",
    steps: () => [
        stepUtils.showAppsMenuItem(),
        {
            content: "Open Invoicing",
            trigger: ".o_app[data-menu-xmlid='account.menu_finance']",
            run: "click",
        },
        {
            content: "Its first page closes the menus that are open while it loads",
            trigger: ".o_last_breadcrumb_item:contains(Invoices)",
        },
        {
            content: "Open Customers",
            trigger: ".o_menu_sections button:contains(Customers)",
            run: "click",
        },
        {
            content: "Open the simulation",
            trigger: ".o-dropdown--menu .dropdown-item:contains(Simulation)",
            run: "click",
        },
        {
            content: "The reminders of thirty days stand in a table",
            trigger: ".o_dunning_simulation_summary:contains(Courtesy notice)",
        },
        {
            content: "Look only one day ahead",
            trigger: ".o_field_widget[name=days] input",
            run: "edit 1 && press Tab",
        },
        {
            content: "What was shown is out of date",
            trigger: ".alert-warning:contains(You have chosen something else)",
        },
        {
            content: "Simulate again",
            trigger: "button[name=action_simulate].btn-primary",
            run: "click",
        },
        {
            content: "Nothing leaves until tomorrow",
            trigger: ".o_dunning_simulation_summary:contains(Next reminder after these days)",
        },
        {
            content: "Open what is not reminded",
            trigger: "button[name=action_view_silent]",
            run: "click",
        },
        {
            content: "It is grouped by reason",
            trigger: ".o_group_header:contains(Next reminder after these days)",
            run: "click",
        },
        {
            content: "Open the invoice",
            trigger: ".o_data_row:contains(Azure) td[name=explanation]",
            run: "click",
        },
        {
            content: "It is the invoice",
            trigger: "a.nav-link[name=dunning]",
        },
    ],
});
