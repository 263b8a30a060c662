from . import test_plan
from . import test_typed_text
from . import test_life
from . import test_compose
from . import test_deliver
from . import test_tours
