import { parseXML } from "@web/core/utils/xml";
import { registry } from "@web/core/registry";
import { useService } from "@web/core/utils/hooks";
import { Record } from "@web/model/record";
import {
    extractFieldsFromArchInfo,
    useRecordObserver,
} from "@web/model/relational_model/utils";
import { FormArchParser } from "@web/views/form/form_arch_parser";
import { FormRenderer } from "@web/views/form/form_renderer";
import { standardWidgetProps } from "@web/views/widgets/standard_widget_props";

import { Component, onWillStart, useState } from "@odoo/owl";

/**
 * Shows the record of a form through a second form view, which is read when the
 * widget is drawn. In a page of a notebook: when somebody opens that page.
 *
 * Nothing is edited in it. Its buttons save and reload the form, as any others.
 */
export class OnDemand extends Component {
    static template = "dunning_sequences.OnDemand";
    static components = { FormRenderer, Record };
    static props = { ...standardWidgetProps, view: String };

    setup() {
        this.viewService = useService("view");
        this.state = useState({ version: 0 });
        onWillStart(() => this.loadView());
        // The form was saved, discarded or reloaded: what is shown may have changed.
        useRecordObserver((record) => {
            if (!record.dirty) {
                this.state.version++;
            }
        });
    }

    async loadView() {
        const { resModel } = this.props.record;
        const { fields, relatedModels, views } = await this.viewService.loadViews({
            resModel,
            views: [[false, "form"]],
            context: { form_view_ref: this.props.view },
        });
        const arch = parseXML(views.form.arch);
        this.archInfo = new FormArchParser().parse(arch, relatedModels, resModel);
        Object.assign(this, extractFieldsFromArchInfo(this.archInfo, fields));
    }
}

registry.category("view_widgets").add("dunning_on_demand", {
    component: OnDemand,
    extractProps: ({ attrs }) => ({ view: attrs.view }),
});
