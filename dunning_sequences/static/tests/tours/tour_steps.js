import { stepUtils } from "@web_tour/tour_utils";

export const openMenu = (...names) =>
    names.map((name, depth) => ({
        content: `Open ${name}`,
        trigger: depth
            ? `.o-dropdown--menu .dropdown-item:contains(${name})`
            : `.o_menu_sections button:contains(${name})`,
        run: "click",
    }));

export const openInvoicing = () => [
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
];

export const row = (name) => `.o_data_row:contains(${name})`;

export const select = (name) => [
    {
        content: `Select ${name}`,
        trigger: `${row(name)} .o_list_record_selector input`,
        run: "click",
    },
];

/** Press a button above the list, and confirm what it asks, if it does. */
export const selected = (button, question) => [
    {
        content: `Press ${button} for those selected`,
        trigger: `.o_control_panel button[name=${button}]`,
        run: "click",
    },
    ...(question
        ? [
              {
                  content: "Yes",
                  trigger: `.modal:contains(${question}) .modal-footer .btn-primary`,
                  run: "click",
              },
          ]
        : []),
];
