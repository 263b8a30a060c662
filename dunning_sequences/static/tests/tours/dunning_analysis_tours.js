import { registry } from "@web/core/registry";
import { openInvoicing, openMenu } from "./tour_steps";

// From the menu through graph and pivot to the reminder behind a row.
registry.category("web_tour.tours").add("dunning_analysis_is_read", {
    url: "/odoo",
    steps: () => [
        ...openInvoicing(),
        ...openMenu("Reporting", "Reminder Analysis"),
        { content: "A graph by step", trigger: ".o_graph_canvas_container canvas" },
        {
            content: "See the pivot",
            trigger: ".o_switch_view.o_pivot",
            run: "click",
        },
        {
            content: "What was paid, and the share that was settled",
            trigger: ".o_pivot_cell_value:contains(100.00%)",
        },
        {
            content: "See the list",
            trigger: ".o_switch_view.o_list",
            run: "click",
        },
        {
            content: "Open the reminder",
            trigger: ".o_data_row:contains(Azure) td[name=step_name]",
            run: "click",
        },
        {
            content: "What was said",
            trigger: ".o_form_view .o_field_widget[name=subject]:contains(S1)",
        },
    ],
});
