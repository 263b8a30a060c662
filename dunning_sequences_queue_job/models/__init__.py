from . import queue_job
from . import dunning_enrollment
from . import dunning_reminder
