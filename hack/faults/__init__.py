"""The confusion table of the diagnosis: known faults in, named causes out."""
