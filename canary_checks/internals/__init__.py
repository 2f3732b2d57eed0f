"""What happens inside a model while it works: measured by hooks, compared with a record, told in causes."""
