"""The kernel, as user space sees it: loading, attaching, reading, the ledger."""
