"""The kubectl plugin as Krew installs it: one archive for each platform, and the manifest that names them."""
