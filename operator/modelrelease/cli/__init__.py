"""The command line `modelrelease`: every command that an installed package registers, under one name."""
