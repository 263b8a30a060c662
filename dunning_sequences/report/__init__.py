from . import median
from . import dunning_analysis
from . import dunning_ageing
from . import dunning_comparison
from . import dunning_promise_analysis
