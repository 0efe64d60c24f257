"""torch.testing's counterpart: `assert_close`, and the records that generate the operation tests."""
