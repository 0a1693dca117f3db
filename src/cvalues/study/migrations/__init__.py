"""Schema migrations, applied by `store.open_study`; `HEAD` is the revision that this version of the package writes."""

HEAD = "0002"
KNOWN = ("0001", "0002")
"""Every revision in order; a study at another revision was written by a newer version."""
