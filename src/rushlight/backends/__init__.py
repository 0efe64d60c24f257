"""L1: arrays in, arrays out. A backend never sees a Tensor."""
