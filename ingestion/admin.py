from __future__ import annotations

from django.contrib import admin

from actor_runtime.admin import ActorAdmin
from ingestion.models import Producer

admin.site.register(Producer, ActorAdmin)
