import { registry } from "@web/core/registry";

// From the menu to the dashboard with its figures, and by a card to the report behind it.
registry.category("web_tour.tours").add("dunning_dashboard_is_opened", {
    url: "/odoo",
    steps: () => [
        {
            content: "Open the apps",
            trigger: ".o_navbar_apps_menu button",
            run: "click",
        },
        {
            content: "Open Dashboards",
            trigger:
                ".o_app[data-menu-xmlid='spreadsheet_dashboard.spreadsheet_dashboard_menu_root']",
            run: "click",
        },
        {
            content: "Open Payment Reminders",
            trigger: ".o_dashboard_name:contains(Payment Reminders)",
            run: "click",
        },
        {
            content: "It is of our own figures, not of the sample",
            trigger: ".o_renderer:not(.o-sample-dashboard) .o-figure canvas",
        },
        {
            content: "A card leads to its report",
            trigger: ".o-figure canvas[role=button]:first",
            run: "click",
        },
        {
            content: "What is open, by age",
            trigger: ".o_pivot_cell_value:contains(470.00)",
        },
    ],
});
