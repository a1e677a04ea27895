"""The lab: uploads beside other traffic on one emulated link, in network namespaces (run as root)."""
