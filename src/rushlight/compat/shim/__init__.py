"""A folder that processes started under the alias have on `sys.path`; `rushlight.compat.alias` says why."""
