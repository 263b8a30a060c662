from lxml import html

from odoo import api, models

from ..tools import typed_text


class MailTemplate(models.Model):
    _inherit = "mail.template"

    @api.model
    def default_get(self, fields):
        """A template created from a step begins with a text to change, not empty."""
        res = super().default_get(fields)
        if self.env.context.get("dunning_new_template"):
            for name, value in self._get_dunning_defaults().items():
                if name in fields:
                    res.setdefault(name, value)
        return res

    @api.model
    def _get_dunning_defaults(self):
        """The text of the first reminder. Hook: override to begin with another."""
        first = self.env.ref(
            "dunning_sequences.mail_template_dunning_first", raise_if_not_found=False
        )
        if not first:
            return {}
        body = first.body_html
        if not self.env.user.has_group("mail.group_mail_template_editor"):
            body = self._drop_conditions(body)
        return {
            "subject": first.subject,
            "body_html": body,
            "lang": first.lang,
            "auto_delete": True,
        }

    @api.model
    def _drop_conditions(self, body):
        """Odoo lets only template editors write conditions: others begin without."""
        root = html.fragment_fromstring(body, create_parent="div")
        for node in root.xpath("//*[@t-if]"):
            node.drop_tree()
        inner = (html.tostring(child, encoding="unicode") for child in root)
        return "".join(inner)


class DunningReminder(models.Model):
    _inherit = "dunning.reminder"

    def mail_allowed_qweb_expressions(self):
        """The merge fields: plain values, which whoever writes templates may use."""
        merge_fields = tuple(f"object.{name}" for name in typed_text.FIELDS)
        return super().mail_allowed_qweb_expressions() + merge_fields + ("object.lang",)
