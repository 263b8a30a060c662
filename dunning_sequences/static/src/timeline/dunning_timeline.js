import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { standardWidgetProps } from "@web/views/widgets/standard_widget_props";

import { Component } from "@odoo/owl";

const MODE_ICONS = { auto: "fa-paper-plane", approval: "fa-check-square-o", manual: "fa-hand-o-right" };
const CHANNEL_ICONS = { letter: "fa-print", activity: "fa-clock-o" };

/** More points than this do not fit side by side: they go one below the other. */
const MAX_IN_A_ROW = 7;

/**
 * Draws the steps of a sequence around the due date, as they stand in the form:
 * what is not saved yet included.
 */
export class DunningTimeline extends Component {
    static template = "dunning_sequences.Timeline";
    static props = { ...standardWidgetProps };

    get list() {
        return this.props.record.data.step_ids;
    }

    get isVertical() {
        return this.points.length > MAX_IN_A_ROW;
    }

    /** The steps in their order, and the due date among them. */
    get points() {
        const points = this.getSteps();
        const first = points.findIndex((point) => point.day >= 0);
        points.splice(first < 0 ? points.length : first, 0, {
            key: "due",
            day: 0,
            isDueDate: true,
            name: _t("Due date"),
            icon: "fa-calendar",
        });
        return points.map((point, index) => ({
            ...point,
            // The space to the next point tells the days between them.
            gap: Math.max(points[index + 1]?.day - point.day || 0, 0),
        }));
    }

    getSteps() {
        let before = { day: 0 };
        let dated = null;
        return this.list.records.map((record) => {
            const { name, delay, trigger, timing, mode, channel } = record.data;
            const counted = trigger === "previous";
            const step = {
                key: record.id,
                // Counted from the previous reminder: the sum, if that one is on time.
                day: counted ? before.day + delay : delay,
                name: name || _t("New step"),
                timing,
                about: "",
                icon: CHANNEL_ICONS[channel] || MODE_ICONS[mode],
                mode: this.getLabel("mode", mode),
                channel: channel === "email" ? "" : this.getLabel("channel", channel),
                isTooEarly: !counted && dated !== null && delay <= dated,
            };
            step.about = counted ? this.getDayInWords(step.day) : "";
            dated = counted ? dated : delay;
            before = step;
            return step;
        });
    }

    getLabel(fieldName, value) {
        const { selection } = this.list.fields[fieldName];
        return selection.find(([key]) => key === value)?.[1] || "";
    }

    getDayInWords(day) {
        if (day === 0) {
            return _t("about the due date");
        }
        if (day < 0) {
            return day === -1
                ? _t("about 1 day before the due date")
                : _t("about %s days before the due date", -day);
        }
        return day === 1
            ? _t("about 1 day after the due date")
            : _t("about %s days after the due date", day);
    }
}

export const dunningTimeline = { component: DunningTimeline };

registry.category("view_widgets").add("dunning_timeline", dunningTimeline);
