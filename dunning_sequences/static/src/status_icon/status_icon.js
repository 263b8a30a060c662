import { Component } from "@odoo/owl";
import { registry } from "@web/core/registry";
import { standardFieldProps } from "@web/views/fields/standard_field_props";

const ICONS = {
    active: "fa-clock-o text-success",
    done: "fa-flag-checkered text-muted",
    failed: "fa-exclamation-triangle text-danger",
    held: "fa-hourglass-half text-warning",
    paused: "fa-pause-circle-o text-warning",
    to_approve: "fa-check-square-o text-info",
    todo: "fa-hand-paper-o text-danger",
};

/** The state of an invoice's reminders as an icon, its name in words for all readers. */
export class StatusIcon extends Component {
    static template = "dunning_sequences.StatusIcon";
    static props = { ...standardFieldProps };

    get icon() {
        return ICONS[this.props.record.data[this.props.name]];
    }

    get label() {
        const { name, record } = this.props;
        const selection = record.fields[name].selection;
        return selection.find(([value]) => value === record.data[name])?.[1];
    }
}

registry.category("fields").add("dunning_status_icon", {
    component: StatusIcon,
    supportedTypes: ["selection"],
});
