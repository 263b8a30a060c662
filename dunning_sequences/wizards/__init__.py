from . import dunning_reminder_compose
from . import dunning_reminder_compose_line
from . import dunning_reminder_compose_send
from . import dunning_simulation
from . import dunning_simulation_line
from . import dunning_partner_enroll
from . import dunning_sequence_delete
from . import dunning_step_preview
