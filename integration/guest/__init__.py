"""Other kernels: Debian's own images, booted in an emulated machine on this host's root file system."""
