from __future__ import annotations

from django.contrib import admin

from actors.admin import ActorAdmin
from consumers.models import DynamicTopicConsumer, FixedTopicConsumer

admin.site.register([FixedTopicConsumer, DynamicTopicConsumer], ActorAdmin)
