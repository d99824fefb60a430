from __future__ import annotations

from actor_runtime.admin import ActorAdmin
from django.contrib import admin

from ingestion.models import Producer

admin.site.register(Producer, ActorAdmin)
