"""The kubectl plugin ``kubectl mrel``: what goes on with a release, and the words of people on call."""
