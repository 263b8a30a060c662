from . import dunning_simulation
from . import dunning_simulation_line
