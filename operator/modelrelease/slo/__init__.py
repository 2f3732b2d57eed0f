"""Pure statistics of service level objectives: counters, burn rates, sequential tests."""
