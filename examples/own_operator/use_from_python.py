"""The operator of swish.hpp, called from Python: use_from_python.py libswish.so"""
import sys

import numpy as np

import exciton

exciton.load_plugin(sys.argv[1])
x = np.linspace(-2, 2, 5, dtype=np.float32)
np.testing.assert_allclose(exciton.ops.swish(x).numpy(), x / (1 + np.exp(-x)), rtol=1e-5)
print("swish from C++: gradient agrees within", exciton.gradcheck(exciton.ops.swish, [np.random.randn(4, 9)]))
