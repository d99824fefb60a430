"""Settings, addresses, checks, `manage.py up` and what an operator watches: where the parts are put together.

Only `settings.py` reads the environment. Everything may be imported here, and nothing of ours imports config
except `config.settings` through Django.
"""
