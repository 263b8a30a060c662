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
