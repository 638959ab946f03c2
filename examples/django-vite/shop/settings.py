# SPDX-License-Identifier: GPL-3.0-or-later
import os

SECRET_KEY = os.environ["DJANGO_SECRET_KEY"]
INSTALLED_APPS = ["django.contrib.staticfiles", "django_vite"]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "HOST": "db", "NAME": "shop", "USER": "shop"}}
ROOT_URLCONF = "shop.urls"
