from . import res_company
from . import dunning_sequence_step
from . import dunning_reminder
