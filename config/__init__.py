"""Settings, addresses, checks, `manage.py up` and what an operator watches: where the parts are put together.

Only `settings.py` reads the environment.
Any package may be imported here; none imports config, which reaches them as `django.conf.settings`.
"""
