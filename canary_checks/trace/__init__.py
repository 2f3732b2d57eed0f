"""Stage by stage: what a served process makes of an input, compared with what another one makes of it."""
