"""Settings, addresses, checks, `manage.py up` and what an operator watches: where the parts are put together.

Only `settings.py` reads the environment.
Any package may be imported here; of those that run, only dashboard imports config: the others get its values as
`django.conf.settings`.
"""
