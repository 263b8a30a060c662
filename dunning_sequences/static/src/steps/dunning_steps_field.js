import { _t } from "@web/core/l10n/translation";
import { registry } from "@web/core/registry";
import { X2ManyField, x2ManyField } from "@web/views/fields/x2many/x2many_field";

/**
 * A list that is edited in place, whose "View" opens a line in a dialog.
 *
 * Odoo's own saves and leaves the form: whoever writes a sequence would lose sight
 * of it, and could not look at a step before saving.
 */
export class DunningStepsField extends X2ManyField {
    setup() {
        super.setup();
        const openRecord = this._openRecord;
        this._openRecord = (params) =>
            openRecord({ title: params.record?.data.name || _t("New step"), ...params });
    }

    async switchToForm(record) {
        if (await this.list.leaveEditMode({ canAbandon: false })) {
            await this._openRecord({
                record,
                context: this.props.context,
                readonly: this.props.readonly,
            });
        }
    }
}

export const dunningStepsField = {
    ...x2ManyField,
    component: DunningStepsField,
    supportedTypes: ["one2many"],
    additionalClasses: ["o_field_one2many"],
};

registry.category("fields").add("dunning_steps", dunningStepsField);
