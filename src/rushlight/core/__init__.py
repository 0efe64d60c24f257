"""L2: tensors, storage, nodes and the one choke point `apply`; records, computes nothing."""
