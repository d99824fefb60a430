"""Markets that are added, followed and released on one platform at twenty times the speed: a minute takes 3 s here."""
