from __future__ import annotations

from django.contrib import admin

from actors.admin import ActorAdmin
from coordination.models import Coordinator

admin.site.register(Coordinator, ActorAdmin)
