"""L0: settings, exceptions, the dtype lattice, devices and integer shape maths; imports only the standard library and NumPy."""
