from __future__ import annotations

from django.contrib import admin

from actor_runtime.admin import ActorAdmin
from consumers.models import DynamicTopicConsumer, FixedTopicConsumer

admin.site.register([FixedTopicConsumer, DynamicTopicConsumer], ActorAdmin)
