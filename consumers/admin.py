from __future__ import annotations

from actor_runtime.admin import ActorAdmin
from django.contrib import admin

from consumers.models import DynamicTopicConsumer, FixedTopicConsumer

admin.site.register([FixedTopicConsumer, DynamicTopicConsumer], ActorAdmin)
