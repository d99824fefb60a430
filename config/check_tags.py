"""Tags of Django's system checks."""

SETTINGS_TAG = "settings"  # of the checks that may find something else where the environment is another
